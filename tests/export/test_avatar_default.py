"""Rules of the `default` command: what a run has becomes files, and the page tells what the record holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from export.avatar import control_report
from export.avatar.commands import main
from export.avatar.config import TrainConfig
from export.avatar.default_page import page
from export.avatar.model import ModelConfig
from export.avatar.pretrain import PretrainConfig
from export.avatar.style_flow import FlowConfig
from export.avatar.train import train
from export.avatar.trained import DEFAULTS, load_default, open_trained


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that went on from another one, with sliders and an encoder."""
    folder = tmp_path_factory.mktemp("runs")
    model = ModelConfig(latent_size=8, mapping_layers=1, channels=(4, 4, 4), pixel_size=2, palette_size=8)
    fresh = TrainConfig(runs=folder, run="first", cache=folder / "data", faces=16, batch=8, kimg=0.016, model=model)
    first = train(fresh).parent
    second = TrainConfig(
        runs=folder, run="second", cache=folder / "data", faces=24, batch=8, kimg=0.008, model=model, start_from=str(first)
    )
    run = str(train(second).parent)
    common = ["--from", run, "--cache", str(folder / "data"), "--out", str(folder / "out"), "--pictures", "40"]
    main(["controls", *common, "--shown", "64", "--readable", "-9", "--measured", "8", "--compared", "4"])
    main(["encoder", *common, "--minutes", "0.01", "--measured", "8", "--steps", "1"])
    return Path(run)


def test_a_run_becomes_a_default_with_its_page_and_pictures(run_folder: Path, tmp_path: Path) -> None:
    where = ["--folder", str(tmp_path), "--cache", str(run_folder.parents[1] / "data")]
    main(["default", "--from", str(run_folder), "--name", "mine", "--compare", "24", *where])
    names = {path.name for path in tmp_path.iterdir()}
    sheets = {"mine.png", "mine-controls.png", "mine-projections.png", "mine-neighbours.png"}
    assert names == {"mine.safetensors", "mine.json", "mine.md"} | sheets
    text = (tmp_path / "mine.md").read_text("utf-8")
    assert all(f"({name})" in text for name in sheets)
    record = load_default("mine", tmp_path).record
    assert f"{record['metrics']['generated']['fd_vgg']:g}" in text
    assert "24 untruncated pictures against 24 held-out ones" in text
    assert "24 pictures shown in " in text
    assert "CC0-1.0" in text


def test_the_stages_that_led_to_a_run_are_recorded_in_order(run_folder: Path) -> None:
    stages = open_trained(str(run_folder)).stages
    assert [(stage["source"], stage["faces"], stage["pictures_seen"]) for stage in stages] == [
        ("pixel-art", 16, 16),
        ("pixel-art", 24, 8),
    ]
    assert [stage["command"].split()[4:7] for stage in stages] == [["train", "--run", "first"], ["train", "--run", "second"]]
    assert "--faces 24" in stages[1]["command"]


def test_the_card_says_how_long_it_was_trained(run_folder: Path) -> None:
    trained = open_trained(str(run_folder))
    provenance = trained.provenance
    assert provenance.metrics["pictures_seen"] == 24
    assert provenance.metrics["hours"] == round(sum(stage["hours"] for stage in trained.stages), 3)
    assert provenance.config["stages"] == trained.stages


def test_the_page_says_in_how_many_hours_the_generator_rested(run_folder: Path) -> None:
    trained = open_trained(str(run_folder))
    record = trained.record | {"hours": 1.0, "config": trained.record["config"] | {"head_start_kimg": 0.006}}
    text = page("mine", dataclasses.replace(trained, record=record), 1, [])
    assert "In 0.75 of them the generator rested" in text
    assert "rested" not in page("mine", trained, 1, [])


def test_a_default_of_a_run_that_drew_pictures_again_has_its_curve(tmp_path: Path) -> None:
    flow = ModelConfig(latent_size=8, mapping="flow", flow_width=16, flow_blocks=1, channels=(4, 4, 4), pixel_size=2)
    drawn = PretrainConfig(
        runs=tmp_path,
        run="drawn",
        cache=tmp_path,
        faces=16,
        batch=8,
        kimg=1.6,
        model=flow,
        encoded=16,
        flow=FlowConfig(steps=2),
    )
    drawn.pretrain()
    config = TrainConfig(runs=tmp_path, run="played", cache=tmp_path, faces=16, batch=8, kimg=0.008, model=flow)
    run = train(dataclasses.replace(config, start_from=str(tmp_path / "avatar" / "drawn")))
    main(["default", "--from", str(run), "--name", "mine", "--compare", "0", "--folder", str(tmp_path / "made")])
    text = (tmp_path / "made" / "mine.md").read_text("utf-8")
    assert "(mine-curve.png)" in text
    with Image.open(tmp_path / "made" / "mine-curve.png") as picture:
        assert len(picture.getcolors(1 << 20)) > 2


@pytest.mark.parametrize("name", sorted(path.stem for path in DEFAULTS.glob("*.safetensors")))
def test_the_page_of_a_committed_default_tells_its_record(name: str) -> None:
    text = (DEFAULTS / f"{name}.md").read_text("utf-8")
    trained = load_default(name)
    assert trained.record["command"] in text
    assert f"{trained.record['metrics']['generated']['fd_vgg']:g}" in text
    sliders = trained.controls.sliders if trained.controls else ()
    assert all(f"| {slider.name} |" in text for slider in sliders)
    assert ("## Sliders" in text) == ("both networks, sliders" in text) == bool(sliders)
    assert ("## Projection" in text) == ("encoder |" in text) == (trained.projector is not None)


def test_the_readme_has_the_sliders_of_pixel_as_they_were_measured() -> None:
    controls = load_default("pixel").controls
    assert controls
    assert control_report.table(controls) in (DEFAULTS.parent / "README.md").read_text("utf-8")
