"""Rules of few-shot adaptation: both networks go on, what is frozen stays, and the comparison shows both runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import tiny_config

from export import checkpoint
from export.avatar.adapt import AdaptConfig
from export.avatar.commands import main
from export.avatar.comparison import rest_of
from export.avatar.model import ModelConfig
from export.avatar.train import train
from export.avatar.trained import Trained, open_trained
from export.avatar.trainer import Trainer
from export.curves import read_curve

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
    with pytest.raises(SystemExit, match=r"gave 4 of at least 10 pictures; .*; `data`, .* and `adapt` .* --minimum 4$"):
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
    with pytest.raises(ValueError, match=r"has no curve metric/fd_vgg; it logged \["):
        read_curve(source.parent, "metric/fd_vgg")


@pytest.fixture
def words(source: Path, pictures: Path, tmp_path: Path) -> list[str]:
    """Four steps of adaptation, half of them drawn again."""
    words = [
        "adapt",
        "--data",
        str(pictures),
        "--from",
        str(source),
        "--runs",
        str(tmp_path),
        "--cache",
        str(tmp_path / "data"),
    ]
    words += ["--run", "few", "--kimg", "0.064", "--draw-kimg", "0.032", "--head-start-kimg", "0", "--threads", "1"]
    return words


@contextmanager
def steps(monkeypatch: pytest.MonkeyPatch, signal_after: int = 0) -> Iterator[list[int]]:
    """Collects the step before each step that is trained; the process gets a SIGINT after so many of them."""
    taken: list[int] = []
    train_step = Trainer.train_step

    def counted(trainer: Trainer) -> None:
        taken.append(trainer.step)
        train_step(trainer)
        if len(taken) == signal_after:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", counted)
        yield taken


def test_a_comparison_stops_at_a_signal_and_goes_on_with_what_is_left(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words += ["--compare-scratch", "--metric-kimg", "0.032", "--metric-count", "8"]
    first, second = (tmp_path / "avatar" / name / "checkpoint.pt" for name in ("few", "few-scratch"))
    comparison = tmp_path / "avatar" / "few" / "comparison.png"

    with steps(monkeypatch, signal_after=1) as taken:
        main(words)
    printed = capsys.readouterr()
    assert taken == [0]
    assert printed.out.splitlines()[-1] == str(first)
    assert f'stopped by a signal after 16 pictures; saved in "{first}"; the same command with --resume goes on' in printed.err
    assert not second.parent.exists()

    with steps(monkeypatch, signal_after=5) as taken:
        main([*words, "--resume"])
    printed = capsys.readouterr()
    assert taken == [1, 2, 3, 0, 1]
    assert printed.out.splitlines()[-1] == str(second)
    assert f'stopped by a signal after 32 pictures; saved in "{second}"' in printed.err
    assert not comparison.exists()

    weights = open_trained(str(first)).generator.state_dict()
    with steps(monkeypatch) as taken:
        main([*words, "--resume"])
    assert taken == [2, 3]
    assert capsys.readouterr().out.splitlines()[-1] == str(comparison)
    for name, weight in open_trained(str(first)).generator.state_dict().items():
        assert torch.equal(weight, weights[name]), name
    curves = json.loads(comparison.with_suffix(".json").read_text("utf-8"))
    assert [[step for step, _ in curve] for curve in curves.values()] == [[32, 64], [32, 64]]


def test_a_comparison_that_would_have_no_curve_is_refused_before_it_trains(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = [*words, "--compare-scratch", "--metric-count", "8"]
    with steps(monkeypatch) as taken:
        with pytest.raises(
            SystemExit, match=r"few\" would end without a curve .* from 0 to 64 pictures, and with metric_kimg 2 "
        ):
            main(compared)
        with pytest.raises(SystemExit, match="metric_kimg is 0, so nothing would be measured"):
            main([*compared, "--metric-kimg", "0"])
        with pytest.raises(SystemExit, match=r"no run to go on with at \".*few/checkpoint.pt\"; begin it without --resume"):
            main([*compared, "--metric-kimg", "0.032", "--resume"])
    assert taken == []
    main(words)
    with steps(monkeypatch) as taken:
        for metric_kimg in ("0.032", "2"):
            with pytest.raises(
                SystemExit, match=r"is complete with 64 pictures, but was never .* a --metric-kimg of at most 0.064"
            ):
                main([*compared, "--metric-kimg", metric_kimg, "--resume"])
        with pytest.raises(SystemExit, match=r"few/checkpoint.pt\" exists; go on with --resume or choose another --run name"):
            main([*compared, "--metric-kimg", "0.032"])
    assert taken == []
    assert not (tmp_path / "avatar" / "few-scratch").exists()


def test_the_minutes_of_a_compared_run_count_over_its_sessions(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "minutes", kimg=0.0, minutes=0.01)
    assert rest_of(config) == config
    path = train(config)
    state = checkpoint.load(path, "avatar")
    longer = rest_of(dataclasses.replace(config, minutes=60.0))
    assert longer.minutes == pytest.approx(60.0 - state["seconds"] / 60)
    train(rest_of(config))
    assert checkpoint.load(path, "avatar")["step"] == state["step"] > 0
