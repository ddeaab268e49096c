"""Rules of the priors: what is hidden, what each sees, and that sampling is deterministic and resumes exactly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scene_examples import SMALL, SMALL_PRIOR, dataset, prior_trainer, trainer, world

from bridge.scene_card import TileKind
from export.scene import climate, data, masking, sample
from export.scene.classes import BIOMES
from export.scene.code_windows import CodeWindows, cached, encode_windows
from export.scene.config import TrainConfig
from export.scene.labels import painted
from export.scene.prior import FREE, Conditions, build
from export.scene.prior_config import PriorConfig, PriorTrainConfig
from export.scene.reconstruction import encode
from export.scene.sample import free
from export.scene.tiles import TileSource, neighbourhood
from export.scene.train import train
from export.scene.train_prior import build as train_prior_trainer
from export.scene.train_prior import train_prior
from export.scene.trained import load_checkpoint

CODES, GRID, MARGIN = 32, 16, 4
AUTOREGRESSIVE = dataclasses.replace(SMALL_PRIOR, kind="autoregressive")


def small(kind: str = "masked") -> torch.nn.Module:
    torch.manual_seed(0)
    made = build(CODES, GRID, dataclasses.replace(SMALL_PRIOR, kind=kind)).eval()
    for parameter in made.parameters():
        parameter.data.mul_(4.0)  # so that what a prior sees shows in what it gives
    return made


def windows(count: int = 6) -> CodeWindows:
    rng = np.random.default_rng(0)
    side = GRID + 2 * MARGIN
    return CodeWindows(
        rng.integers(0, CODES, (count, side, side)).astype(np.uint16),
        rng.integers(0, 8, (count, GRID, GRID)).astype(np.uint8),
        rng.integers(0, 6, count),
        rng.random(count, np.float32),
        rng.random(count, np.float32),
    )


def draw(**options: float) -> masking.Batch:
    return masking.batch(windows(), np.arange(6), CODES, PriorTrainConfig(**options), np.random.default_rng(3))


def test_the_cosine_hides_everything_first_and_one_code_last() -> None:
    counts = [masking.cosine_count(progress, 256) for progress in (0.0, 1 / 3, 2 / 3, 1.0)]
    assert counts == [256, 222, 128, 1]


def test_hidden_codes_are_masks_and_the_others_are_true() -> None:
    tokens, true, hidden, _ = draw(no_neighbours=0.0)
    inside = tokens[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert (inside[hidden] == CODES).all()
    assert torch.equal(inside[~hidden], true[~hidden])
    assert hidden.flatten(1).any(dim=1).all()


def test_a_neighbour_is_there_as_a_whole_or_not_at_all() -> None:
    original = windows().codes.astype(np.int64)
    tokens = draw(no_neighbours=0.2)[0].numpy()
    parts = (slice(0, MARGIN), slice(MARGIN, -MARGIN), slice(-MARGIN, None))
    seen = set()
    for row in range(3):
        for column in range(3):
            if (row, column) == (1, 1):
                continue
            where = (slice(None), parts[row], parts[column])
            outside = (tokens[where] == CODES + 1).all(axis=(1, 2))
            there = (tokens[where] == original[where]).all(axis=(1, 2))
            assert (outside ^ there).all()
            seen |= set(there.tolist())
    assert seen == {True, False}


def test_without_neighbours_the_whole_margin_is_outside() -> None:
    tokens = draw(no_neighbours=1.0)[0]
    tokens[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = CODES + 1
    assert (tokens == CODES + 1).all()


def test_conditions_are_free_or_true() -> None:
    source = windows()
    conditions = draw(drop_condition=0.5, drop_painting=0.3)[3]
    for value, true in zip(conditions, (source.painted, source.biome, source.ruggedness, source.water), strict=True):
        found = value.numpy()
        assert ((found == FREE) | (found == true)).all()
        assert (found == FREE).any()
        assert (found != FREE).any()
    everything = draw(drop_condition=1.0, drop_painting=1.0)[3]
    assert all((value == FREE).all() for value in everything)


def test_editing_hides_within_a_rectangle() -> None:
    hidden = draw(inpainting=1.0)[2].numpy()
    assert not hidden.all()


def test_windows_hold_the_codes_of_each_tile_encoded_alone(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.train_step()
    model, worlds = made.model.eval(), made.task.train.worlds
    found = encode_windows(model, worlds, 3, MARGIN, 5)
    tiles = neighbourhood(TileSource(worlds, 192).draw(16, 5, 0))
    codes = encode(model, tiles).reshape(16, 3, 3, GRID, GRID)[:3]
    assert np.array_equal(found.codes[:, MARGIN:-MARGIN, MARGIN:-MARGIN], codes[:, 1, 1])
    assert np.array_equal(found.codes[:, :MARGIN, MARGIN:-MARGIN], codes[:, 0, 1, -MARGIN:])
    assert np.array_equal(found.codes[:, -MARGIN:, :MARGIN], codes[:, 2, 0, :MARGIN, -MARGIN:])
    assert np.array_equal(found.painted, painted(tiles.ground[4::9][:3], 4))
    stored = [cached(tmp_path / "codes", model, worlds, 3, MARGIN, 5) for _ in range(2)]
    assert all(np.array_equal(found.codes, part.codes) for part in stored)
    assert len(list((tmp_path / "codes").iterdir())) == 1


@torch.no_grad()
def test_the_masked_prior_sees_neighbours_painting_and_conditions() -> None:
    prior = small()
    tokens = torch.from_numpy(sample.blank(1, GRID, MARGIN, CODES))
    asked = sample.free(1, GRID)
    before = prior(tokens, *asked)
    assert before.shape == (1, GRID, GRID, CODES)
    beside = tokens.clone()
    beside[:, MARGIN:-MARGIN, :MARGIN] = 3
    changes = [
        (beside, asked),
        (tokens, asked._replace(painted=torch.full((1, GRID, GRID), 2))),
        (tokens, asked._replace(biome=torch.tensor([1]))),
        (tokens, asked._replace(ruggedness=torch.tensor([0.0]))),
        (tokens, asked._replace(water_share=torch.tensor([0.5]))),
    ]
    for other_tokens, other in changes:
        assert not torch.allclose(before, prior(other_tokens, *other), atol=1e-4)


@torch.no_grad()
def test_a_code_of_the_autoregressive_prior_depends_on_earlier_ones_alone() -> None:
    prior, rng = small("autoregressive"), torch.Generator().manual_seed(0)
    tokens = torch.randint(0, CODES, (1, GRID + 2 * MARGIN, GRID + 2 * MARGIN), generator=rng)
    before = prior(tokens, *sample.free(1, GRID)).flatten(1, 2)
    other = tokens.clone()
    other[0, MARGIN + 5, MARGIN + 3] = (tokens[0, MARGIN + 5, MARGIN + 3] + 1) % CODES
    after = prior(other, *sample.free(1, GRID)).flatten(1, 2)
    place = 5 * GRID + 3
    assert torch.allclose(before[:, : place + 1], after[:, : place + 1], atol=1e-4)
    assert not torch.allclose(before[:, place + 1 :], after[:, place + 1 :], atol=1e-3)


@torch.no_grad()
def test_keys_and_values_that_are_kept_change_nothing() -> None:
    """Codes drawn one by one are those that the whole sequence's logits and the same uniforms give."""
    prior, rng = small("autoregressive"), torch.Generator().manual_seed(0)
    tokens = torch.randint(0, CODES, (2, GRID + 2 * MARGIN, GRID + 2 * MARGIN), generator=rng)
    asked = Conditions(
        torch.randint(-1, 8, (2, GRID, GRID), generator=rng), torch.tensor([1, -1]), torch.tensor([0.3, -1.0]), torch.rand(2)
    )
    uniforms = torch.rand(2, GRID * GRID, generator=rng)
    drawn = prior.sample(tokens, asked, uniforms)
    tokens[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = drawn
    shares = prior(tokens, *asked).flatten(1, 2).softmax(dim=-1).cumsum(dim=-1)
    again = (shares < uniforms[..., None] * shares[..., -1:]).sum(dim=-1).unflatten(1, (GRID, GRID))
    assert (again != drawn).float().mean() < 0.01  # a uniform may fall on a border within rounding


def test_both_priors_have_nearly_the_same_number_of_weights() -> None:
    counts = [
        sum(p.numel() for p in build(512, 16, PriorConfig(kind=kind)).parameters()) for kind in ("masked", "autoregressive")
    ]
    assert counts[1] / counts[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", ["masked", "autoregressive"])
def test_a_seed_gives_the_same_tile_alone_and_among_others(kind: str) -> None:
    prior = small(kind)
    codes = sample.draw_codes(prior, [5, 6, 7], steps=3)
    assert codes.shape == (3, GRID, GRID)
    assert codes.min() >= 0
    assert codes.max() < CODES
    assert np.array_equal(codes[1], sample.draw_codes(prior, [6], steps=3)[0])
    assert not np.array_equal(codes[0], codes[1])


def test_codes_that_are_kept_stay_and_only_masks_are_drawn() -> None:
    prior, tokens = small(), sample.blank(1, GRID, MARGIN, CODES)
    tokens[0, MARGIN : MARGIN + 8, MARGIN:-MARGIN] = 9
    codes = sample.draw_codes(prior, [1], tokens=tokens, steps=3)
    assert (codes[0, :8] == 9).all()
    assert not (codes[0, 8:] == 9).all()


def test_a_seed_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="seed is -1; it must be from 0"):
        sample.draw_codes(small(), [-1])


@pytest.mark.parametrize("model", [SMALL_PRIOR, AUTOREGRESSIVE])
def test_a_prior_that_is_restored_goes_on_bit_for_bit(tmp_path: Path, model: PriorConfig) -> None:
    below = trainer(tmp_path)
    below.train_step()
    whole, first, second = (prior_trainer(tmp_path, below, model=model) for _ in range(3))
    for _ in range(6):
        whole.train_step()
    for _ in range(3):
        first.train_step()
    second.restore(first.state())
    for _ in range(3):
        second.train_step()
    for name in ("prior", "average"):
        states = [getattr(made, name).state_dict() for made in (whole, second)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert second.metrics == whole.metrics


@pytest.mark.usefixtures("small_worlds")
def test_a_prior_goes_on_from_another_and_names_it(tmp_path: Path) -> None:
    shape = {"runs": tmp_path, "cache": tmp_path / "cache", "batch": 4, "log_every": 1}
    below, other = (
        train(TrainConfig(**shape, run=run, seed=seed, ktiles=0.008, model=SMALL)) for run, seed in (("a", 1), ("b", 2))
    )
    config = PriorTrainConfig(**shape, vqvae=str(below.parent), run="first", windows=4, ktiles=0.02, model=SMALL_PRIOR)
    first = load_checkpoint(train_prior(config))
    second = dataclasses.replace(config, run="second", start_from=str(tmp_path / "scene" / "first"), ktiles=0.004)
    for name, weight in train_prior_trainer(second).prior.state_dict().items():
        assert torch.equal(weight, first.prior.state_dict()[name])
    record = load_checkpoint(train_prior(second)).record["prior"]
    assert [stage["tiles_seen"] for stage in [*record["earlier"], record]] == [20, 4]
    again = load_checkpoint(train_prior(dataclasses.replace(second, resume=True, ktiles=0.008))).record["prior"]
    assert [stage["tiles_seen"] for stage in [*again["earlier"], again]] == [20, 8]
    wider = dataclasses.replace(second, run="wide", model=dataclasses.replace(SMALL_PRIOR, width=2 * SMALL_PRIOR.width))
    with pytest.raises(ValueError, match=r"has another shape: width is \d+ here, \d+ there; give the same --model options"):
        train_prior(wider)
    with pytest.raises(ValueError, match="draws codes of another VQ-VAE than"):
        train_prior(dataclasses.replace(second, run="strange", vqvae=str(other.parent)))


@pytest.fixture
def small_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones in place of the built-in worlds."""
    sets = {"train": dataset([world(0), world(1)]), "held-out": dataset([world(2)], "held-out")}
    monkeypatch.setattr(data, "load", lambda *_, split, **__: sets[split])


def test_a_prior_is_not_restored_onto_other_codes(tmp_path: Path) -> None:
    below, other = trainer(tmp_path), trainer(tmp_path, seed=2)
    state = prior_trainer(tmp_path, below).state()
    with pytest.raises(ValueError, match="trained on the codes of another VQ-VAE"):
        prior_trainer(tmp_path, other).restore(state)


@pytest.mark.parametrize("model", [SMALL_PRIOR, AUTOREGRESSIVE])
def test_training_lowers_the_cross_entropy(tmp_path: Path, model: PriorConfig) -> None:
    below = trainer(tmp_path)
    for _ in range(10):
        below.train_step()
    made = prior_trainer(tmp_path, below, model=model, learning_rate=3e-3, warm_up=5, average=0.9)
    before = made.measure()["nats"]
    for _ in range(60):
        made.train_step()
    assert made.measure()["nats"] < before - 0.3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": 3}, "margin is 3; it must be 0 or a multiple of patch, 2"),
        ({"width": 30}, "width is 30; it must be a multiple"),
    ],
)
def test_impossible_priors_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PriorConfig(**options)


def test_a_climate_is_a_sample_of_the_data_in_an_order_of_likeness() -> None:
    rng = np.random.default_rng(3)
    count = 640
    biome = rng.integers(len(BIOMES), size=count)
    ruggedness, water = rng.random((2, count)).astype(np.float32)
    windows = CodeWindows(np.zeros((count, 1, 1), np.uint16), np.zeros((count, 1, 1), np.uint8), biome, ruggedness, water)
    rows = climate.sampled(windows)
    assert len(rows) == climate.KINDS
    real = {(int(b), round(float(r), 4), round(float(w), 4)) for b, r, w in zip(biome, ruggedness, water, strict=True)}
    assert {tuple(row) for row in rows} <= real
    names = [BIOMES[int(row[0])] for row in rows]
    assert list(dict.fromkeys(names)) == list(climate.ALIKE)
    for name in BIOMES:
        share = float((biome == BIOMES.index(name)).mean())
        assert abs(names.count(name) / len(rows) - share) <= 1 / len(rows)
        own = [row for row, of in zip(rows, names, strict=True) if of == name]
        order = [-row[2] if name == "water" else row[1] for row in own]
        assert order == sorted(order)
    assert len(climate.sampled(windows, 1000)) == count


def test_what_is_not_asked_for_comes_from_the_climate_unless_the_tile_is_painted() -> None:
    kinds = [TileKind(1, 0.25, 0.5), TileKind(3, 0.75, 0.0)]
    asked = free(3, 4)
    asked.painted[1, 2, 2] = 0
    asked.water_share[2] = 0.125
    found = climate.complete(kinds, asked, [5, 6, 7], [(0, 0), (1, 0), (4, 9)])
    assert found.biome[0] in (1, 3)
    assert [value[1].item() for value in found[1:]] == [FREE] * 3
    assert found.water_share[2] == 0.125
    assert found.biome[2] != FREE
    for row, (seed, at) in {0: (5, (0, 0)), 2: (7, (4, 9))}.items():
        alone = climate.complete(kinds, Conditions(*(value[row : row + 1] for value in asked)), [seed], [at])
        assert all(torch.equal(one[0], many[row]) for one, many in zip(alone, found, strict=True))
