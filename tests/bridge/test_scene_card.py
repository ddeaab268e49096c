"""The scene section of a card: every contradiction is a refused bundle with a reason."""

from __future__ import annotations

import copy

import msgspec
import pytest
import tiny_scene
from tiny_scene import SCENE_SPEC

from bridge.bundle_loader import LoadOptions, load_bundle
from bridge.model_card import read_card
from bridge.scene_card import Spec
from bridge.services import family_modules


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return read_card(tiny_scene.write_scene(tmp_path_factory.mktemp("models")) / "card.json")


def test_a_good_section_passes_and_knows_its_sizes(card):
    spec = msgspec.convert(card.spec, Spec)
    spec.check(card)
    assert (spec.grid, spec.vertices, spec.metres) == (4, 17, 32.0)
    assert (spec.mask_token, spec.outside_token) == (16, 17)


def change(path, value):
    """Return the good section with one value changed; `path` is `name`, or `name.index.field`."""
    section = copy.deepcopy(SCENE_SPEC)
    part, *rest = path.split(".")
    target = section
    for following in rest:
        target, part = target[int(part) if isinstance(target, list) else part], following
    target[int(part) if isinstance(target, list) else part] = value
    return section


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("tile_cells", 48, "tile_cells is 48, expected one of"),
        ("downsample", 2, "downsample is 2, expected one of"),
        ("codebook_size", 1, "codebook_size is 1, expected 2 to 65536"),
        ("prior_margin", 5, "prior_margin is 5, expected 0 to 4"),
        ("decoder_margin", -1, "decoder_margin is -1, expected 0 to 4"),
        ("metres_per_cell", 0.0, "metres_per_cell is 0"),
        ("metres_per_cell", float("nan"), "metres_per_cell is nan"),
        ("steps", 0, "steps is 0, expected 1 to 64"),
        ("choice_temperature", -1.0, "choice_temperature is -1"),
        ("height", {"low": 5.0, "high": 5.0}, "height goes from 5.0 to 5.0"),
        ("height", {"low": -1e9, "high": 5.0}, "height goes from"),
        ("water_share", {"low": 0.0, "high": 2.0}, "water_share goes from 0.0 to 2.0"),
        ("ruggedness", {"low": -1.0, "high": 1.0}, "ruggedness goes from -1.0"),
        ("ruggedness", {"low": 0.0, "high": float("inf")}, "ruggedness goes from 0.0 to inf"),
        ("ground_classes", [], "expected some"),
        ("object_classes.0.name", "nothing", 'the objects with "none" first'),
        ("biomes", ["plains", "plains"], "biomes are"),
        ("biomes", [""], "biomes are"),
        ("ground_classes.1.name", "water", "ground_classes are"),
        ("ground_classes.0.colour", [0, 0, 256], 'ground class "water" has colour'),
        ("object_classes.1.spacing_metres", 0.0, 'spacing_metres of "tree" is 0'),
        ("object_classes.1.spacing_metres", 9.0, 'spacing_metres of "tree" is 9.0, expected 1 to 8'),
        ("object_classes.1.scale", {"low": 0.0, "high": 1.0}, 'scale of "tree"'),
        ("object_classes.2.yaw_steps", -1, 'yaw_steps of "house" is -1'),
        ("climate", [[0, 0.5, 0.5]] * 4097, "climate has 4097 kinds of tiles, expected at most 4096"),
        ("climate", [[1, 0.5, 0.5], [2, 0.5, 0.5]], r"biome of climate\[1\] is 2, expected 0 to 1"),
        ("climate", [[0, 1.5, 0.5]], r"ruggedness of climate\[0\] is 1.5, expected 0 to 1"),
        ("climate", [[0, 0.5, 0.75]], r"water_share of climate\[0\] is 0.75, expected 0 to 0.5"),
        ("tile_cells", 32, "inputs of graph prior are"),
        ("codebook_size", 17, "outputs of graph prior are"),
        ("decoder_margin", 0, "inputs of graph decoder are"),
        ("ground_classes", SCENE_SPEC["ground_classes"][:3], "outputs of graph decoder are"),
    ],
)
def test_a_section_that_contradicts_itself_or_its_graphs_is_refused(card, path, value, text):
    spec = msgspec.convert(change(path, value), Spec)
    with pytest.raises(ValueError, match=text):
        spec.check(card)


def test_an_unknown_name_in_the_section_is_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert(SCENE_SPEC | {"rivers": 3}, Spec)


def test_a_bundle_without_its_encoder_is_refused(tmp_path):
    folder = tiny_scene.write_scene(tmp_path)
    text = (folder / "card.json").read_text().replace('"encoder"', '"coder"').replace("encoder.onnx", "coder.onnx")
    (folder / "card.json").write_text(text)
    options = LoadOptions(providers=["CPUExecutionProvider"], strict=False, executor=None)
    assert "family scene has ['prior', 'decoder', 'encoder']" in load_bundle(folder, family_modules(), options).reason
