"""Rules of the comparison of priors: both draw the codes of one VQ-VAE, one thread each, and a table can be quoted."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest
from scene_examples import SMALL_PRIOR, dataset, trained, world

from export import checkpoint
from export.scene import commands, data
from export.scene.compare_priors import check_comparable
from export.scene.trained import Trained

AUTOREGRESSIVE = dataclasses.replace(SMALL_PRIOR, kind="autoregressive")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def masked(folder: Path) -> Trained:
    return trained(folder / "masked", 1)


@pytest.fixture(scope="module")
def autoregressive(folder: Path) -> Trained:
    return trained(folder / "ar", 1, model=AUTOREGRESSIVE)


def test_the_command_measures_both_and_writes_a_table(
    folder: Path, masked: Trained, autoregressive: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert masked.vqvae.codes == autoregressive.vqvae.codes
    monkeypatch.setattr(data, "load", lambda *_, **__: dataset([world(2)], "held-out"))
    given = ["--from", str(folder / "masked" / "prior"), "--autoregressive", str(folder / "ar" / "prior")]
    sizes = ["--count", "4", "--alone", "1", "--steps", "2", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    commands.main(["compare-priors", *given, *sizes])
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    for kind, one in (("masked", masked), ("autoregressive", autoregressive)):
        found = report["priors"][kind]
        assert found["parameters"] == sum(parameter.numel() for parameter in one.prior.parameters())
        assert found["tiles_seen"] == 4
        assert min(found["tiles_per_second"], found["tiles_per_second_alone"], found["fd_vgg"]) > 0.0
        assert (tmp_path / "out" / f"{kind}.png").is_file()
    ratio = report["priors"]["masked"]["fd_vgg"] / report["priors"]["autoregressive"]["fd_vgg"]
    assert report["masked_over_autoregressive"]["fd_vgg"] == pytest.approx(ratio)
    lines = (tmp_path / "out" / "report.md").read_text("utf-8").splitlines()
    assert lines[0] == "| 2 steps a tile, one thread | masked | autoregressive | ratio |"
    assert lines[-1].startswith("| FD-VGG, 4 against 4 |")
    assert lines[-1].endswith(f"| {ratio:.2f} |")


def test_a_decoder_that_has_learnt_more_changes_no_code(masked: Trained, autoregressive: Trained) -> None:
    sharpened = copy.deepcopy(masked.vqvae)
    sharpened.heads.height.bias += 1.0
    check_comparable(dataclasses.replace(masked, vqvae=sharpened), autoregressive)
    sharpened.encoder.to_code.bias += 1.0
    with pytest.raises(ValueError, match=r"1 of their tensors differ, encoder\.to_code\.bias for one"):
        check_comparable(dataclasses.replace(masked, vqvae=sharpened), autoregressive)


def test_priors_over_different_codes_do_not_compare(masked: Trained, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"of different VQ-VAEs: .*; train both with the same --vqvae"):
        check_comparable(masked, trained(tmp_path, 2, model=AUTOREGRESSIVE))


def test_each_prior_is_of_its_kind(masked: Trained, autoregressive: Trained) -> None:
    with pytest.raises(ValueError, match=r"the autoregressive prior is masked; give one trained with --model\.kind auto"):
        check_comparable(masked, masked)
    with pytest.raises(ValueError, match="the masked prior is autoregressive"):
        check_comparable(autoregressive, masked)


def test_what_is_no_prior_is_said_in_one_line(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "checkpoint.pt", "npc-policy", {})
    with pytest.raises(SystemExit) as stop:
        commands.main(["compare-priors", "--from", str(tmp_path), "--out", str(tmp_path / "out")])
    assert str(stop.value).startswith("error: ")
