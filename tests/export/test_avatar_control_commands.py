"""Rules of the commands `controls` and `encoder`: what they make is kept with its generator, drawn, and published."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from tiny_training import noise_pictures, tiny_config

from bridge.model_card import read_card
from bridge.services.avatar import Spec
from export.avatar.commands import SampleConfig
from export.avatar.control_commands import ControlsConfig, EncoderConfig, keep
from export.avatar.control_fit import FitConfig
from export.avatar.encoder_training import EncoderRecipe
from export.avatar.sample import generate
from export.avatar.to_onnx import export_avatar
from export.avatar.train import train
from export.avatar.trained import load_default, open_trained, write_default
from export.run_log import save_picture

FIT = FitConfig(faces=64, steps=2, batch=4, calibration=8, axes=1, least=0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with controls and an encoder beside its checkpoint."""
    folder = tmp_path_factory.mktemp("control")
    config = dataclasses.replace(tiny_config(folder), kimg=0.016)
    source = train(config).parent
    controls = ControlsConfig(
        source=str(source),
        fit=FIT,
        pictures=60,
        shown=256,
        attributes=("glasses", "hair_length"),
        readable=-100.0,
        measured=8,
        compared=2,
        cache=folder / "faces",
        out=folder / "controls",
    )
    controls.run()
    encoder = EncoderConfig(
        source=str(source),
        minutes=0.005,
        recipe=EncoderRecipe(pool=16, batch=8, drawn=4),
        pictures=60,
        steps=2,
        measured=4,
        cache=folder / "faces",
        out=folder / "encoder",
    )
    encoder.run()
    return source


def test_files_stand_beside_the_checkpoint_and_pictures_in_the_out_folder(run: Path) -> None:
    out = run.parents[2]
    for name in ("controls.safetensors", "controls.json", "encoder.safetensors", "encoder.json", "encoder.pt"):
        assert (run / name).stat().st_size > 0, name
    for name in ("controls/controls.png", "controls/controls.md", "encoder/projections.png", "encoder/encoder.md"):
        assert (out / name).stat().st_size > 0, name
    assert json.loads((run / "encoder.json").read_text())["measured"]["training_steps"] >= 1


def test_the_run_is_opened_with_them(run: Path) -> None:
    trained = open_trained(str(run))
    assert trained.controls is not None
    assert trained.projector is not None
    assert [slider.name for slider in trained.controls.sliders] == ["glasses", "hair_length", "axis_1"]
    assert trained.projector.steps in (1, 2)


def test_sliders_can_be_measured_anew_without_a_search(run: Path, tmp_path: Path) -> None:
    before = open_trained(str(run)).controls
    config = ControlsConfig(source=str(run), find=False, pictures=60, shown=64, readable=-100.0, measured=6, compared=2)
    dataclasses.replace(config, cache=run.parents[2] / "faces", out=tmp_path).run()
    after = open_trained(str(run)).controls
    assert before is not None
    assert after is not None
    assert torch.equal(before.directions, after.directions)
    assert [slider.name for slider in after.sliders] == [slider.name for slider in before.sliders]
    assert after.sliders[0].measured["without_it"] + after.sliders[0].measured["with_it"] == 6


def test_a_generator_without_sliders_has_none_to_measure(run: Path, tmp_path: Path) -> None:
    shutil.copyfile(run / "checkpoint.pt", tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="has no sliders to measure; leave out --no-find"):
        ControlsConfig(source=str(tmp_path), find=False).run()


def test_sampling_with_a_control_moves_the_styles(run: Path, tmp_path: Path) -> None:
    trained = open_trained(str(run))
    moved = generate(trained.generator, [7], offset=trained.offset({"glasses": 0.8}))
    paths = [tmp_path / "plain.png", tmp_path / "moved.png", tmp_path / "still.png"]
    for path, control in zip(paths, ((), ("glasses=0.8",), ("glasses=0",)), strict=True):
        SampleConfig(seed=(7,), source=str(run), control=control, out=path).run()
    plain, with_control, still = (path.read_bytes() for path in paths)
    assert plain == still
    assert (plain != with_control) == bool((moved != generate(trained.generator, [7])).any())
    with pytest.raises(ValueError, match='there is no control "beard"'):
        SampleConfig(source=str(run), control=("beard=1",), out=paths[0]).run()


def test_a_default_carries_them_in_its_own_files(run: Path, tmp_path: Path) -> None:
    trained = open_trained(str(run))
    write_default(trained, "mine", tmp_path)
    again = load_default("mine", tmp_path)
    assert again.controls is not None
    assert again.projector is not None
    assert trained.controls is not None
    assert again.controls.sliders == trained.controls.sliders
    assert torch.equal(again.controls.directions, trained.controls.directions)
    assert again.record == trained.record
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    weights = sum(2 * value.numel() for value in again.projector.encoder.state_dict().values())
    assert weights <= 1.5e6


def test_a_bundle_has_their_graphs_and_a_card_that_the_sidecar_accepts(run: Path, tmp_path: Path) -> None:
    card = read_card(export_avatar(open_trained(str(run)), tmp_path, "mine") / "card.json")
    msgspec.convert(card.spec, Spec).check(card)
    assert [graph.name for graph in card.graphs] == ["mapping", "synthesis", "control", "encoder"]
    assert [control["name"] for control in card.spec["controls"]] == ["glasses", "hair_length", "axis_1"]
    assert card.spec["projection_steps"] >= 1


def test_training_the_generator_on_leaves_stale_files_out(run: Path, tmp_path: Path) -> None:
    trained = open_trained(str(run))
    other = dataclasses.replace(trained, generator=trained.generator)
    (tmp_path / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes())
    other.generator.mapping.w_mean += 1.0
    keep(str(tmp_path), other)
    assert (tmp_path / "controls.json").is_file()
    opened = open_trained(str(tmp_path))
    assert opened.controls is None
    assert opened.projector is None
    with pytest.raises(ValueError, match=r"this generator has no control \['glasses'\]; run: python -m export avatar controls"):
        opened.offset({"glasses": 1.0})


def test_unknown_attributes_are_refused(run: Path) -> None:
    config = ControlsConfig(source=str(run), pictures=60, attributes=("wings",), cache=run.parents[2] / "faces")
    with pytest.raises(ValueError, match=r"attributes \['wings'\] are not among those of this style"):
        config.run()


def test_an_encoder_without_steps_is_refused(run: Path) -> None:
    with pytest.raises(ValueError, match="steps from 1 to 8"):
        EncoderConfig(source=str(run), steps=9).run()


def test_generators_of_folders_get_axes_alone(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(noise_pictures(56)):
        save_picture(np.ascontiguousarray(image.transpose(1, 2, 0)), folder / f"{index}.png")
    source = train(dataclasses.replace(tiny_config(tmp_path), source="folder", path=str(folder), kimg=0.016)).parent
    ControlsConfig(source=str(source), fit=FIT, measured=4, compared=2, cache=tmp_path / "data", out=tmp_path / "out").run()
    trained = open_trained(str(source))
    assert trained.controls is not None
    assert [slider.name for slider in trained.controls.sliders] == ["axis_1"]
    with pytest.raises(ValueError, match="trained on a folder; give it as --path"):
        EncoderConfig(source=str(source), minutes=0.001, out=tmp_path / "out").run()
