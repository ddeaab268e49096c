"""Rules of training: a resumed run is the uninterrupted run, bit for bit, and bad numbers stop it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from export import checkpoint
from export.avatar.config import TrainConfig
from export.avatar.model import ModelConfig
from export.avatar.train import train
from export.avatar.trainer import Diverged, Trainer

TINY = ModelConfig(latent_size=8, mapping_layers=2, channels=(4, 4, 4, 4))


def tiny_config(folder: Path, **changes: Any) -> TrainConfig:
    """Five steps an epoch, penalties every third and fourth step, all of it within a second or two."""
    config = TrainConfig(
        runs=folder / "runs",
        cache=folder.parent / "faces",
        faces=40,
        batch=8,
        kimg=0.184,
        model=TINY,
        r1_interval=4,
        path_interval=3,
        average_kimg=0.05,
        mirror=True,
        log_every=2,
    )
    return dataclasses.replace(config, **changes)


def final_state(config: TrainConfig) -> dict[str, Any]:
    return checkpoint.load(config.folder / "checkpoint.pt", "avatar")


def assert_identical(first: Any, second: Any, where: str = "state") -> None:
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_identical(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_identical(*pair, f"{where}[{index}]")
    else:
        assert first == second, where


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
    assert {"checkpoint.pt", "config.json", "samples-000000184.png"} <= names
    assert curves(uninterrupted).keys() >= {"loss/generator", "loss/discriminator", "penalty/r1", "penalty/path", "path_length"}


def test_another_seed_gives_another_run(tmp_path: Path, uninterrupted: TrainConfig) -> None:
    config = tiny_config(tmp_path, seed=2, kimg=0.016)
    train(config)
    mine = final_state(config)["generator"]["synthesis.constant"]
    assert not torch.equal(mine, final_state(uninterrupted)["generator"]["synthesis.constant"])


def test_every_picture_is_shown_once_an_epoch(tmp_path: Path) -> None:
    images = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 32, 32), np.uint8)
    trainer = Trainer(tiny_config(tmp_path, mirror=False), images)
    epochs = []
    for _ in range(2):
        shown: list[int] = []
        for _ in range(5):
            real = trainer._real_batch()
            shown += ((real[:, 0, 0, 0] + 1.0) * 127.5).round().int().tolist()
            trainer.step += 1
        epochs.append(shown)
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))
    assert epochs[0] != epochs[1]


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
    trainer = Trainer(tiny_config(tmp_path), np.zeros((8, 3, 32, 32), np.uint8))
    with torch.no_grad():
        for _ in range(1500):
            trainer._styles(64)
        latents = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(5))
        expected = trainer.generator.mapping.to_w(latents).mean(dim=0)
    torch.testing.assert_close(trainer.generator.mapping.w_mean, expected, atol=0.05, rtol=0.0)


def test_style_mixing_happens_as_often_as_asked(tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path, mixing=0.25), np.zeros((8, 3, 32, 32), np.uint8))
    with torch.no_grad():
        w = trainer._styles(4000)
    share = (w[:, 0] != w[:, -1]).any(dim=1).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.03)


def test_a_number_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    path = train(dataclasses.replace(config, kimg=0.016))
    state = checkpoint.load(path, "avatar")
    state["generator_optimiser"]["state"][0]["exp_avg_sq"].fill_(torch.nan)
    checkpoint.save(path, "avatar", state)
    before = path.read_bytes()
    with pytest.raises(Diverged, match=r"after \d+ pictures; the last good checkpoint is .*checkpoint.pt"):
        train(dataclasses.replace(config, resume=True))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kimg": 0.0}, "no budget: give --minutes, --kimg or both"),
        ({"batch": 64}, "DiceBear pixel-art has 40 pictures; a batch takes 64"),
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
    assert state["seconds"] > 0.6
