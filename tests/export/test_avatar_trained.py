"""Rules of defaults and checkpoints as sources: small, recorded, and drawn as committed."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from PIL import Image

from export.avatar import data
from export.avatar.config import TrainConfig
from export.avatar.model import ModelConfig
from export.avatar.pictures import over
from export.avatar.sample import generate
from export.avatar.train import train
from export.avatar.trained import DEFAULTS, load_checkpoint, load_default, open_trained, training_command, write_default
from export.checkpoint import CheckpointError
from export.run_log import picture_grid

MEBIBYTES_5 = 5 * 2**20


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    model = ModelConfig(latent_size=8, mapping_layers=1, channels=(4, 4, 4), pixel_size=2, palette_size=8)
    config = TrainConfig(runs=folder, cache=folder / "data", faces=16, batch=8, kimg=0.016, model=model, seed=5)
    return train(config).parent


def test_the_default_is_small_and_float16() -> None:
    assert (DEFAULTS / "pixel.safetensors").stat().st_size <= MEBIBYTES_5
    default = load_default()
    for network in (default.generator, default.discriminator):
        for name, weight in network.state_dict().items():
            assert torch.equal(weight, weight.half().float()), name


def test_the_default_tells_how_it_was_made() -> None:
    record = load_default().record
    assert record["datasheet"]["source"] == "DiceBear pixel-art"
    assert record["datasheet"]["licence"] == "CC0-1.0"
    assert record["datasheet"]["redistributable"]
    assert record["metrics"]["count"] == 5000
    assert record["pictures_seen"] > 0
    assert record["hours"] > 0
    assert record["command"].startswith(("python -m export avatar train", "python -m export avatar pretrain"))


def test_the_committed_grid_shows_the_committed_weights() -> None:
    grid = picture_grid(over(generate(load_default().generator, range(64))), 8)
    with Image.open(DEFAULTS / "pixel.png") as image:
        committed = np.asarray(image.convert("RGB"))[::4, ::4]
    assert committed.shape == grid.shape
    assert np.abs(committed.astype(int) - grid.astype(int)).max() <= 1


def test_the_discriminator_prefers_drawn_faces_to_generated_ones(tmp_path: Path) -> None:
    default = load_default()
    real = data.load("pixel-art", size=32, pixel_size=2, count=64, split="held-out", cache=tmp_path).images
    fake = generate(default.generator, range(64), truncation=1.0)
    real_logits, fake_logits = (default.discriminator(torch.from_numpy(x) / 127.5 - 1.0).mean() for x in (real, fake))
    assert real_logits > fake_logits


def test_a_checkpoint_becomes_a_default_and_draws_the_same(run_folder: Path, tmp_path: Path) -> None:
    trained = open_trained(str(run_folder))
    write_default(trained, "mine", tmp_path)
    again = load_default("mine", tmp_path)
    assert again.record == trained.record
    assert again.generator.config == trained.generator.config
    first, second = generate(trained.generator, range(8)), generate(again.generator, range(8))
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 4


def test_a_record_holds_no_path_of_this_machine(run_folder: Path) -> None:
    assert str(run_folder.parent.parent) not in str(load_checkpoint(run_folder / "checkpoint.pt").record)


def test_terms_that_forbid_it_keep_a_model_from_becoming_a_default(run_folder: Path, tmp_path: Path) -> None:
    trained = open_trained(str(run_folder))
    sheet = trained.record["datasheet"] | {"source": "DiceBear avataaars", "licence": "own terms", "redistributable": False}
    barred = dataclasses.replace(trained, record=trained.record | {"datasheet": sheet})
    with pytest.raises(ValueError, match="DiceBear avataaars has the licence own terms, which is not known to let a model"):
        write_default(barred, "mine", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_weight_beyond_float16_is_refused(run_folder: Path, tmp_path: Path) -> None:
    trained = open_trained(str(run_folder))
    trained.generator.synthesis.constant[0, 0, 0, 0] = 1e6
    with pytest.raises(ValueError, match=r'"generator.synthesis.constant" does not fit into float16'):
        write_default(trained, "mine", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_recorded_command_gives_the_same_configuration() -> None:
    config = TrainConfig(
        minutes=90.0, seed=4, mirror=True, r1_gamma=0.5, model=ModelConfig(channels=(1, 2, 3, 4), resample="linear")
    )
    words = shlex.split(training_command(config.to_json()))
    assert words[:5] == ["python", "-m", "export", "avatar", "train"]
    assert tyro.cli(TrainConfig, args=words[5:]) == config


@pytest.mark.parametrize("source", ["nothing", "runs/none", "pixel/"])
def test_an_unknown_source_says_what_there_is(source: str) -> None:
    with pytest.raises(CheckpointError, match=r"neither a default \(there are \['pixel', 'toon'\]\) nor a checkpoint file"):
        open_trained(source)


def test_default_means_the_committed_one() -> None:
    assert open_trained("default").record == open_trained("pixel").record == load_default().record
