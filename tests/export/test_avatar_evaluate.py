"""Rules of the verdict on a generator: beside the data's own figures, repeatable, and copies are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from export.avatar import copies, evaluate, features, trained
from export.avatar.evaluate import EvaluateConfig, InLoopMetric, load_pictures
from export.avatar.features import extract
from export.avatar.metrics import Neighbours, frechet
from export.avatar.model import Discriminator, Generator, ModelConfig
from export.avatar.sample import generate

SHAPE: dict[str, Any] = {"image_size": 32, "image_channels": 4, "pixel_size": 2, "channels": (4, 4, 4), "latent_size": 8}
RECORD: dict[str, Any] = {"source": "pixel-art", "faces": 40, "seed": 1, "model": SHAPE}


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(ModelConfig(**SHAPE)).eval().requires_grad_(False)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8), np.uint8).repeat(4, axis=2).repeat(4, axis=3)


def test_a_measurement_is_repeatable_and_leaves_randomness_alone(generator: Generator, tmp_path: Path) -> None:
    features.vgg16.cache_clear()
    data = pictures(30)
    metric = InLoopMetric(data, 20, tmp_path, pairs=3)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = metric.measure(generator), metric.measure(generator)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert first == second
    assert set(first) == {"fd_vgg", "kd_vgg", "kd_vgg_deviation", "precision", "recall", "path_length"}
    assert all(np.isfinite(value) for value in first.values())
    drawn = generate(generator, range(20), truncation=1.0)
    assert first["fd_vgg"] == pytest.approx(frechet(extract(data[:20]), extract(drawn)), rel=1e-6)


@pytest.mark.parametrize("k", [0, 10])
def test_too_few_pictures_are_refused_before_anything_is_measured(k: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot measure 3 pictures with k = 3; k must be above 0"):
        InLoopMetric(pictures(30), 3, tmp_path)
    with pytest.raises(ValueError, match=f"cannot measure 10 pictures with k = {k}"):
        load_pictures(EvaluateConfig(count=10, k=k, cache=tmp_path), RECORD)


def test_measuring_leaves_the_generator_trainable(generator: Generator, tmp_path: Path) -> None:
    network = Generator(generator.config)
    InLoopMetric(pictures(8), 8, tmp_path, pairs=2).measure(network)
    z, noise = torch.randn(2, 8), torch.randn(2, network.config.noise_size)
    unmixed = torch.zeros(2, dtype=torch.int64)
    network(z, z, torch.ones(2), unmixed, unmixed, noise).sum().backward()
    assert network.synthesis.constant.grad is not None


def test_fewer_pictures_may_be_generated_than_there_are_real_ones(generator: Generator, tmp_path: Path) -> None:
    data = pictures(20)
    measured = InLoopMetric(data, 20, tmp_path, drawn=12, pairs=0).measure(generator)
    drawn = generate(generator, range(12), truncation=1.0)
    assert measured["fd_vgg"] == pytest.approx(frechet(extract(data), extract(drawn)), rel=1e-6)
    with pytest.raises(ValueError, match="cannot measure 3 pictures"):
        InLoopMetric(data, 20, tmp_path, drawn=3)


def test_a_generator_of_the_data_itself_is_perfect(generator: Generator, tmp_path: Path) -> None:
    metric = InLoopMetric(generate(generator, range(12), truncation=1.0), 2000, tmp_path, pairs=0)
    measured = metric.measure(generator)
    assert metric.count == 12
    assert measured["fd_vgg"] == pytest.approx(0.0, abs=1e-6)
    assert (measured["precision"], measured["recall"]) == (1.0, 1.0)
    assert "path_length" not in measured


def test_the_command_writes_report_and_sheet(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = trained.Trained(generator, Discriminator(generator.config), {"config": RECORD})
    monkeypatch.setattr(evaluate, "open_trained", {"tiny": opened}.__getitem__)
    config = EvaluateConfig("tiny", count=20, pairs=2, cache=tmp_path / "data", out=tmp_path / "deep" / "out")
    config.run()
    report = json.loads((config.out / "report.json").read_text("utf-8"))
    assert (report["count"], report["split"], report["training_pictures"]) == (20, "held-out", 40)
    assert report["fd_vgg_ratio"] == pytest.approx(
        report["generated"]["fd_vgg"] / report["halves_of_the_data"]["fd_vgg"], rel=1e-2
    )
    assert report["fd_vgg_ratio"] > 1.5
    assert report["nearest_in_pixels"]["generated"]["copies"] == 0
    with Image.open(config.out / "neighbours.png") as sheet:
        assert sheet.size == (4 * (2 * 32 + 8) * 3, 5 * 36 * 3)
    printed = capsys.readouterr().out
    assert "fd_vgg ratio" in printed
    assert printed.splitlines()[-1] == str(config.out / "report.json")


@pytest.mark.parametrize("split", ["held-out", "train"])
def test_the_halves_are_disjoint(split: Any, tmp_path: Path) -> None:
    config = EvaluateConfig(count=20, split=split, training=30, cache=tmp_path)
    sets = load_pictures(config, RECORD)
    first, second, training = ({image.tobytes() for image in part} for part in (sets.first, sets.second, sets.training))
    assert [len(part) for part in (sets.first, sets.second, sets.training)] == [20, 20, 30]
    assert sets.first.shape[1:] == (4, 32, 32)
    assert not first & second
    assert bool(training & (first | second)) == (split == "train")


def test_a_folder_needs_pictures_that_were_not_trained_on(tmp_path: Path) -> None:
    for name, number in (("seen", 12), ("unseen", 10)):
        (tmp_path / name).mkdir()
        for index, image in enumerate(pictures(number, seed=number)):
            Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / name / f"{index}.png")
    record = RECORD | {"source": "folder", "model": SHAPE | {"image_channels": 3}}
    with pytest.raises(ValueError, match="give it as --path"):
        load_pictures(EvaluateConfig(), record)
    seen = str(tmp_path / "seen")
    with pytest.raises(ValueError, match="give others as --held-out-path, or use --split train"):
        load_pictures(EvaluateConfig(path=seen), record)
    own = load_pictures(EvaluateConfig(path=seen, split="train", cache=tmp_path), record)
    assert [len(part) for part in (own.first, own.second, own.training)] == [6, 6, 12]
    other = load_pictures(EvaluateConfig(path=seen, held_out_path=str(tmp_path / "unseen"), cache=tmp_path), record)
    assert [len(part) for part in (other.first, other.second, other.training)] == [5, 5, 12]


def test_copies_are_told_from_new_pictures() -> None:
    training, unseen, new = pictures(100, 1), pictures(100, 2), pictures(100, 3)
    near_unseen = copies.pixel_neighbours(unseen, training)
    honest = copies.compare(copies.pixel_neighbours(new, training), near_unseen)
    assert honest["generated"]["copies"] == 0
    assert honest["too_near"] < 0.1
    almost = np.clip(training[:50].astype(int) + 3, 0, 255).astype(np.uint8)
    copied = copies.compare(copies.pixel_neighbours(np.concatenate([training[50:], almost]), training), near_unseen)
    assert copied["generated"]["copies"] == 50
    assert copied["too_near"] == 1.0
    assert copied["generated"]["median"] < 3.1 < copied["held_out"]["smallest"]


def test_distances_in_pixels_are_in_levels() -> None:
    black = np.zeros((1, 3, 16, 16), np.uint8)
    assert copies.pixel_neighbours(black + 7, black).distance == pytest.approx([7.0])


def test_the_sheet_shows_the_closest_pairs_first(tmp_path: Path) -> None:
    levels = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 32, 32), np.uint8)
    found = Neighbours(np.arange(40)[::-1], np.arange(40.0)[::-1])
    copies.write_sheet(tmp_path / "sheet.png", levels, levels, found)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))[::3, ::3]
    assert sheet.shape == (8 * 36, 4 * 72, 3)
    for place, (row, column) in ((0, (0, 0)), (1, (0, 72)), (4, (36, 0))):
        assert (sheet[row : row + 32, column : column + 32] == 39 - place).all()
        assert (sheet[row : row + 32, column + 34 : column + 66] == place).all()


def test_the_report_of_equal_halves_has_no_ratio(generator: Generator, tmp_path: Path) -> None:
    same = pictures(8)
    config = EvaluateConfig(count=8, pairs=0, cache=tmp_path, out=tmp_path / "out")
    verdict = config.evaluate(
        trained.Trained(generator, Discriminator(generator.config), {}), evaluate.Pictures(same, same, same)
    )
    assert verdict["halves_of_the_data"]["recall"] == 1.0
    assert "path_length" not in verdict["generated"]
