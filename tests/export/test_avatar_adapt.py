"""Rules of few-shot adaptation: both networks go on, what is frozen stays, and the comparison shows both runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import tiny_config

from export.avatar.adapt import AdaptConfig
from export.avatar.commands import main
from export.avatar.comparison import read_curve
from export.avatar.model import ModelConfig
from export.avatar.train import train
from export.avatar.trained import Trained, open_trained

SHAPE = ModelConfig(latent_size=8, mapping_layers=2, channels=(4, 4, 4), pixel_size=2, palette_size=6)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "run"
    return train(tiny_config(folder, model=SHAPE, kimg=0.04))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures in red and blue, colours that the source's data does not have."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(60):
        blue = rng.random((16, 16, 1)) < 0.5
        pixels = np.where(blue, np.array([3, 9, 250], np.uint8), np.array([251, 7, 5], np.uint8))
        Image.fromarray(pixels.astype(np.uint8)).resize((32, 32), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def adapted(source: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Trained]:
    folder = tmp_path_factory.mktemp("adapted")
    config = AdaptConfig(
        data=str(pictures), source=str(source), runs=folder, cache=folder / "data", kimg=0.128, draw_kimg=0.064, threads=1
    )
    return open_trained(str(source)), open_trained(str(config.adapt()))


def test_what_is_frozen_stays_and_the_rest_moves(adapted: tuple[Trained, Trained]) -> None:
    before, after = adapted
    for name, weight in after.generator.mapping.named_parameters():
        assert torch.equal(weight, before.generator.mapping.get_parameter(name)), name
    assert not torch.equal(after.generator.synthesis.constant, before.generator.synthesis.constant)
    first = before.discriminator.blocks[0].conv0.weight
    assert torch.equal(after.discriminator.blocks[0].conv0.weight, first)
    assert not torch.equal(after.discriminator.dense.weight, before.discriminator.dense.weight)


def test_a_folder_gives_as_many_pictures_as_asked(source: Path, pictures: Path, tmp_path: Path) -> None:
    common = {"data": str(pictures), "source": str(source), "cache": tmp_path / "data", "kimg": 0.032, "threads": 1}
    trained = open_trained(str(AdaptConfig(runs=tmp_path, count=40, **common).adapt()))
    assert trained.datasheet.count == 40
    with pytest.raises(ValueError, match="has 60 pictures, not 61; take fewer, or 0 for all"):
        AdaptConfig(runs=tmp_path, run_name="more", count=61, **common).adapt()


def test_a_dozen_pictures_are_enough_and_fewer_when_asked(source: Path, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        shutil.copy(pictures / f"{number}.png", folder)
    words = ["adapt", "--data", str(folder), "--from", str(source), "--runs", str(tmp_path), "--cache", str(tmp_path / "data")]
    words += ["--kimg", "0.064", "--draw-kimg", "0.032", "--head-start-kimg", "0", "--threads", "1"]
    main(words)
    assert open_trained(str(tmp_path / "avatar" / "adapted")).datasheet.count == 12
    for number in range(4, 12):
        (folder / f"{number}.png").unlink()
    with pytest.raises(SystemExit, match=r"gave 4 of at least 10 pictures; .*; `data`, `train` and `adapt` .* --minimum 4$"):
        main([*words, "--run", "four"])
    main([*words, "--run", "four", "--minimum", "4"])
    assert open_trained(str(tmp_path / "avatar" / "four")).datasheet.count == 4


def test_styles_are_mixed_as_often_as_the_source_mixed_them(source: Path, pictures: Path) -> None:
    config = AdaptConfig(data=str(pictures), source=str(source))
    assert config.training(adapted=True).mixing == open_trained(str(source)).record["config"]["mixing"]


def test_the_palette_takes_the_new_colours(adapted: tuple[Trained, Trained]) -> None:
    palette = adapted[1].generator.synthesis.palette
    assert palette is not None
    colours = {tuple(colour) for colour in torch.round((palette.colours + 1.0) * 127.5).int().tolist()}
    assert colours == {(3, 9, 250, 255), (251, 7, 5, 255)}


def test_the_record_says_where_it_began(adapted: tuple[Trained, Trained], source: Path) -> None:
    record = adapted[1].record
    assert record["config"]["start_from"] == str(source)
    assert record["config"]["augment"] == "bg"
    assert record["datasheet"]["source"].startswith("folder ")


def test_a_comparison_trains_twice_and_shows_both(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = AdaptConfig(
        data="pixel-art",
        source=str(source),
        runs=tmp_path,
        cache=tmp_path / "data",
        count=40,
        kimg=0.064,
        draw_kimg=0.032,
        metric_kimg=0.032,
        metric_count=60,
        compare_scratch=True,
        threads=1,
    )
    config.run()
    picture = Path(capsys.readouterr().out.splitlines()[-1])
    with Image.open(picture) as image:
        assert image.size[0] > 960
        assert np.asarray(image).std() > 10
    curves = json.loads(picture.with_suffix(".json").read_text("utf-8"))
    assert list(curves) == [f"adapted from {source}", "from scratch"]
    for curve in curves.values():
        assert [step for step, _ in curve] == [32, 64]
        assert all(np.isfinite(value) for _, value in curve)


@pytest.mark.parametrize("adapted", [True, False])
def test_both_runs_of_a_comparison_take_the_same_machine_and_batch(source: Path, adapted: bool) -> None:
    config = AdaptConfig(data="pixel-art", source=str(source), batch=8, device="cuda:1", threads=3, compare_scratch=True)
    training = config.training(adapted=adapted)
    assert (training.batch, training.device, training.threads) == (8, "cuda:1", 3)


def test_a_style_off_the_grid_of_the_source_says_what_to_do(source: Path, tmp_path: Path) -> None:
    config = AdaptConfig(data="toon-head", source=str(source), runs=tmp_path, cache=tmp_path, threads=1)
    with pytest.raises(ValueError, match=r"are made of squares of 2 x 2 pixels; .* save pictures of the style in a folder"):
        config.adapt()


def test_a_run_that_measured_nothing_has_no_curve(source: Path) -> None:
    with pytest.raises(ValueError, match="has no curve metric/fd_vgg; give --metric-kimg or --metric-minutes"):
        read_curve(source.parent, "metric/fd_vgg")
