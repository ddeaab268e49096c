"""Rules of training: a resumed run is the uninterrupted run, bit for bit, and bad numbers stop it."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import TINY, assert_identical, assert_moved_alike, noise_pictures, tiny_config

from export import checkpoint
from export.avatar.config import TrainConfig
from export.avatar.evaluate import InLoopMetric
from export.avatar.latents import draw_latents
from export.avatar.model import Discriminator, Generator
from export.avatar.pictures import straight
from export.avatar.sample import draw
from export.avatar.train import TrainingLoop, train
from export.avatar.trained import open_trained
from export.avatar.trainer import Diverged, Trainer
from export.run_log import RunLog, picture_grid


def final_state(config: TrainConfig) -> dict[str, Any]:
    return checkpoint.load(config.folder / "checkpoint.pt", "avatar")


def curves(config: TrainConfig) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(config.folder))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def disturb_global_randomness() -> None:
    torch.manual_seed(torch.seed() % 1000)
    np.random.default_rng().random()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    config = tiny_config(tmp_path_factory.mktemp("uninterrupted"))
    train(config)
    return config


@pytest.mark.parametrize("stops", [(0.056,), (0.008, 0.096)])
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, uninterrupted: TrainConfig, stops: tuple[float, ...]
) -> None:
    config = tiny_config(tmp_path)
    for index, kimg in enumerate((*stops, config.kimg)):
        disturb_global_randomness()
        train(dataclasses.replace(config, kimg=kimg, resume=index > 0))
    first, second = final_state(uninterrupted), final_state(config)
    assert first["step"] == 23
    for state in (first, second):
        del state["seconds"], state["config"]
    assert_identical(first, second)
    assert curves(uninterrupted) == curves(config)


def test_a_run_with_everything_that_has_a_state_resumes_exactly(tmp_path: Path) -> None:
    """Augmentation that adapts, reduced precision, and batches in two parts, stopped between two corrections of p."""
    extras = {"augment": "bgc", "augment_p": 0.5, "augment_kimg": 0.5, "precision": "bfloat16", "accumulate": 2}
    extras["decay_kimg"] = 0.1
    whole, parts = (tiny_config(tmp_path, run=run, kimg=0.08, **extras) for run in ("whole", "parts"))
    train(whole)
    train(dataclasses.replace(parts, kimg=0.048))
    train(dataclasses.replace(parts, resume=True))
    first, second = final_state(whole), final_state(parts)
    for state in (first, second):
        del state["seconds"], state["config"]
    assert_identical(first, second)
    assert first["augmentation"]["p"] != 0.5
    assert curves(whole) == curves(parts)
    assert {"augmentation/p", "augmentation/r_t"} <= curves(whole).keys()


def test_steps_after_a_checkpoint_that_was_never_saved_are_repeated(tmp_path: Path, uninterrupted: TrainConfig) -> None:
    config = tiny_config(tmp_path)
    path = train(dataclasses.replace(config, kimg=0.056))
    early = path.read_bytes()
    train(dataclasses.replace(config, kimg=0.12, resume=True))
    path.write_bytes(early)
    train(dataclasses.replace(config, resume=True))
    assert curves(uninterrupted) == curves(config)
    assert_identical(final_state(uninterrupted)["average"], final_state(config)["average"])


def test_the_run_folder_tells_what_was_done(uninterrupted: TrainConfig) -> None:
    names = {path.name for path in uninterrupted.folder.iterdir()}
    assert {"checkpoint.pt", "config.json", "samples-000000184.png", "progress.gif"} <= names
    assert curves(uninterrupted).keys() >= {"loss/generator", "loss/discriminator", "penalty/r1", "penalty/path", "path_length"}


def test_the_samples_are_the_pictures_of_the_average(uninterrupted: TrainConfig) -> None:
    generator = open_trained(str(uninterrupted.folder)).generator
    expected = picture_grid(straight(draw(generator, range(64))), 8)
    with Image.open(uninterrupted.folder / "samples-000000184.png") as opened:
        enlarge = opened.width // expected.shape[1]
        drawn = np.asarray(opened)[::enlarge, ::enlarge]
        np.testing.assert_allclose(drawn.astype(int), expected, atol=1, err_msg="beyond the rounding of another thread count")


def test_another_seed_gives_another_run(tmp_path: Path, uninterrupted: TrainConfig) -> None:
    config = tiny_config(tmp_path, seed=2, kimg=0.016)
    train(config)
    mine = final_state(config)["generator"]["synthesis.constant"]
    assert not torch.equal(mine, final_state(uninterrupted)["generator"]["synthesis.constant"])


def test_every_picture_is_shown_once_an_epoch(tmp_path: Path) -> None:
    images = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 32, 32), np.uint8)
    trainer = Trainer(tiny_config(tmp_path, mirror=False), images)
    epochs = []
    for epoch in range(2):
        batches = [trainer.batches.draw(5 * epoch + step, 0.0)[0] for step in range(5)]
        epochs.append([round((value + 1.0) * 127.5) for batch in batches for value in batch.real[:, 0, 0, 0].tolist()])
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))
    assert epochs[0] != epochs[1]


def test_fewer_pictures_than_a_batch_takes_are_all_in_every_batch(tmp_path: Path) -> None:
    source = Trainer(tiny_config(tmp_path, batch=8), noise_pictures(3)).batches
    batches = [np.bincount(source.pictures_of(step), minlength=3).tolist() for step in range(12)]
    assert all(sorted(counts) == [2, 3, 3] for counts in batches)
    assert len({tuple(counts) for counts in batches}) == 3


def test_the_average_follows_with_its_half_life(tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path, average_kimg=0.016), np.zeros((8, 3, 32, 32), np.uint8))
    for parameter in trainer.average.parameters():
        parameter.data.zero_()
    for parameter in trainer.generator.parameters():
        parameter.data.fill_(1.0)
    trainer.generator.mapping.w_mean.fill_(5.0)
    # Far enough for the ramp, which holds the half-life below a twentieth of the pictures seen.
    trainer.step = 1000
    for _ in range(2):
        trainer._update_average()
    for parameter in trainer.average.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 0.5))
    assert torch.equal(trainer.average.mapping.w_mean, trainer.generator.mapping.w_mean)


def test_the_mean_of_w_follows_the_mapping_network(tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path), noise_pictures())
    mapping, expected = trainer.generator.mapping, torch.zeros(8)
    for step in range(3):
        batches = trainer.batches.draw(step, 0.0)
        trainer._fakes(batches)
        expected = 0.995 * expected + 0.005 * mapping.to_w(batches[0].latents.z).mean(dim=0).detach()
    torch.testing.assert_close(mapping.w_mean, expected)


def test_style_mixing_happens_as_often_as_asked() -> None:
    latents = draw_latents(TINY, 4000, 0.25, torch.Generator().manual_seed(0))
    mixed = latents.mix_start < TINY.num_layers
    assert mixed.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert set(latents.mix_start.tolist()) == set(range(1, TINY.num_layers + 1))


def test_a_number_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    path = train(dataclasses.replace(config, kimg=0.016))
    state = checkpoint.load(path, "avatar")
    state["optimisers"]["generator"]["state"][0]["exp_avg_sq"].fill_(torch.nan)
    checkpoint.save(path, "avatar", state)
    before = path.read_bytes()
    with pytest.raises(Diverged, match=r"after \d+ pictures; the last good checkpoint is .*checkpoint.pt"):
        train(dataclasses.replace(config, resume=True))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kimg": 0.0}, "no budget: give --minutes, --kimg or both"),
        ({"resume": True, "run": "new"}, "no checkpoint at .*; train first"),
        ({}, "exists; go on with --resume or choose another --run name"),
        ({"resume": True, "r1_gamma": 9.0}, "trained with r1_gamma = 0.1, not 9.0; use another --run name"),
    ],
)
def test_what_can_not_be_trained_is_refused(uninterrupted: TrainConfig, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(dataclasses.replace(uninterrupted, **changes))


def test_a_budget_in_minutes_ends_the_session(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, kimg=0.0, minutes=0.01)
    train(config)
    state = final_state(config)
    assert state["step"] > 0
    assert state["seconds"] > 0.3, "the budget is 0.6 s; what comes after the last step does not count"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 3}, "batch is 8; it must be a multiple of accumulate, 3"),
        ({"precision": "float16"}, "float16 needs CUDA, not device cpu; use float32 or bfloat16"),
        ({"freeze_mapping": True}, "frozen layers would keep random weights; give --start-from"),
        ({"start_from": "pixel", "freeze_discriminator_layers": 4}, "freeze_discriminator_layers is 4; there are 3 blocks"),
        ({"augment_p": 1.5}, "augment_p is 1.5; it must be from 0 to 1"),
        ({"r1_gamma": float("nan")}, "r1_gamma is nan; it must not be below 0"),
        ({"decay_kimg": -1.0}, "decay_kimg is -1.0; it must not be below 0"),
        ({"metric_kimg": 1.0, "metric_minutes": 1.0}, "choose one"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_config(tmp_path, **changes)


@pytest.mark.parametrize("images", [noise_pictures(channels=4), noise_pictures(size=64), noise_pictures().astype(np.float32)])
def test_pictures_of_another_shape_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"pictures are .*; the model takes uint8 \(3, 32, 32\)"):
        Trainer(tiny_config(tmp_path), images)


def test_a_batch_in_parts_takes_the_same_step(tmp_path: Path) -> None:
    """Parts of four pictures keep the groups of the minibatch standard deviation, so only sums change their order."""
    whole, parts = (Trainer(tiny_config(tmp_path, accumulate=count), noise_pictures()) for count in (1, 2))
    start = copy.deepcopy(whole.state())
    for _ in range(5):
        whole.train_step()
        parts.train_step()
    for network in ("generator", "discriminator", "average"):
        assert_moved_alike(start[network], whole.state()[network], parts.state()[network])


def test_bfloat16_trains_and_keeps_float32_weights(tmp_path: Path) -> None:
    exact, rough = (Trainer(tiny_config(tmp_path, precision=name), noise_pictures()) for name in ("float32", "bfloat16"))
    for trainer in (exact, rough):
        trainer.train_step()
        trainer.check_finite()
    assert all(parameter.dtype == torch.float32 for parameter in rough.generator.parameters())
    assert exact.metrics["loss/discriminator"] != rough.metrics["loss/discriminator"]
    assert rough.metrics["loss/discriminator"] == pytest.approx(exact.metrics["loss/discriminator"], rel=0.05)


@pytest.mark.parametrize("objective", ["minimax", "hinge"])
def test_every_objective_trains(tmp_path: Path, objective: str) -> None:
    trainer = Trainer(tiny_config(tmp_path, objective=objective), noise_pictures())
    before = {name: weight.clone() for name, weight in trainer.generator.named_parameters()}
    for _ in range(2):
        trainer.train_step()
    trainer.check_finite()
    assert all(not torch.equal(weight, before[name]) for name, weight in trainer.generator.named_parameters())


def test_augmentation_reaches_the_generator_and_moves_its_strength(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, augment="bgc", augment_p=0.8, augment_target=-1.0, augment_kimg=0.1)
    trainer = Trainer(config, noise_pictures())
    plain = Trainer(dataclasses.replace(config, augment="none"), noise_pictures())
    for _ in range(8):
        trainer.train_step()
        plain.train_step()
    assert not torch.equal(trainer.generator.synthesis.constant, plain.generator.synthesis.constant)
    # r_t is above -1, so p rises to its limit: by 0.32 in four steps of eight pictures.
    assert trainer.strength.p == config.augment_max


def test_training_starts_from_the_average_of_another_run_and_keeps_what_is_frozen(
    tmp_path: Path, uninterrupted: TrainConfig
) -> None:
    source = final_state(uninterrupted)
    frozen_parts = {"freeze_mapping": True, "freeze_discriminator_layers": 2}
    config = tiny_config(tmp_path, kimg=0.04, start_from=str(uninterrupted.folder), **frozen_parts)
    train(config)
    adapted = final_state(config)
    for key, before in source["average"].items():
        frozen = key.startswith("mapping.")
        assert torch.equal(adapted["generator"][key], before) == frozen, key
    for key, before in source["discriminator"].items():
        frozen = key.startswith(("from_image.", "blocks.0.", "blocks.1."))
        assert torch.equal(adapted["discriminator"][key], before) == frozen, key


def test_networks_of_another_shape_are_no_start(tmp_path: Path, uninterrupted: TrainConfig) -> None:
    model = dataclasses.replace(TINY, latent_size=4, image_channels=4)
    config = tiny_config(tmp_path, model=model, start_from=str(uninterrupted.folder))
    with pytest.raises(ValueError, match=r"another shape: image_channels is 4 here, 3 there; latent_size is 4 here, 8 there"):
        train(config)


def test_networks_to_start_from_become_generator_average_and_discriminator(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    generator, discriminator = Generator(TINY), Discriminator(TINY)
    trainer = Trainer(config, noise_pictures())
    trainer.start_from(generator, discriminator)
    for network in (trainer.generator, trainer.average):
        assert_identical(dict(network.state_dict()), dict(generator.state_dict()))
    assert_identical(dict(trainer.discriminator.state_dict()), dict(discriminator.state_dict()))


def test_a_run_does_not_go_on_with_other_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(noise_pictures(60)):
        Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{number}.png")
    config = tiny_config(tmp_path, source="folder", path=str(folder), kimg=0.008)
    train(config)
    (folder / "7.png").unlink()
    with pytest.raises(ValueError, match="pictures have changed since this run began: count was 60, is 59; bring them back"):
        train(dataclasses.replace(config, kimg=0.016, resume=True))


def test_only_the_discriminator_learns_during_its_head_start(tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path, head_start_kimg=0.016), noise_pictures())
    start = [copy.deepcopy(network.state_dict()) for network in (trainer.generator.synthesis, trainer.discriminator)]

    def moved() -> list[bool]:
        now = trainer.generator.synthesis.state_dict(), trainer.discriminator.state_dict()
        return [any(not torch.equal(new[name], old[name]) for name in old) for new, old in zip(now, start, strict=True)]

    for _ in range(2):
        trainer.train_step()
    assert moved() == [False, True]
    trainer.train_step()
    assert moved() == [True, True]


def test_the_mapping_network_learns_at_its_own_rate(tmp_path: Path) -> None:
    steps = []
    for rate in (1.0, 3.0):
        trainer = Trainer(tiny_config(tmp_path, mapping_rate=rate, path_weight=0.0), noise_pictures())
        before = copy.deepcopy(trainer.generator.state_dict())
        trainer.train_step()
        after = trainer.generator.state_dict()
        names = "mapping.layers.0.weight", "synthesis.constant"
        steps.append([(after[name] - before[name]).abs().mean().item() for name in names])
    assert steps[1][0] == pytest.approx(3 * steps[0][0], rel=0.02)
    assert steps[1][1] == pytest.approx(steps[0][1], rel=0.02)


def test_the_learning_rates_fall_along_a_quarter_of_a_cosine(tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path, decay_kimg=0.04, mapping_rate=3.0), noise_pictures())
    rates = []
    for _ in range(7):
        trainer.train_step()
        rates.append([group["lr"] for player in trainer.players.values() for group in player.optimiser.param_groups])
    shares = [[now / first for now, first in zip(row, rates[0], strict=True)] for row in rates]
    for step, row in enumerate(shares):
        expected = math.cos(step / 5 * math.pi / 2) if step < 5 else 0.02
        assert row == pytest.approx([expected] * 3), step


def test_the_pictures_of_a_run_become_a_film(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, kimg=0.04)
    train(dataclasses.replace(config, kimg=0.024))
    train(dataclasses.replace(config, resume=True))
    with Image.open(config.folder / "progress.gif") as film:
        assert film.n_frames == 2
        assert max(film.size) <= 512


def test_the_best_checkpoint_is_kept_by_the_distance_to_the_data(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, metric_kimg=0.016, kimg=0.032, log_every=1)
    trainer = Trainer(config, noise_pictures())
    with RunLog(config.folder) as log:
        TrainingLoop(trainer, log, InLoopMetric(noise_pictures(8), 8, tmp_path, pairs=2)).run([])
    curve = curves(config)["metric/fd_vgg"]
    # Points of the other curves, one each step, repeat no measurement.
    assert [step for step, _ in curve] == [16, 32]
    measured = dict(curve)
    best = checkpoint.load(config.folder / "best.pt", "avatar")
    assert 8 * best["step"] == min(measured, key=measured.__getitem__)
    assert best["metrics"]["best/metric/fd_vgg"] == pytest.approx(min(measured.values()))
