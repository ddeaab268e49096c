"""Rules of the attributes: every variant of the installed styles has a number, and pictures bear the numbers out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dicebear import Avatar
from hypothesis import given
from hypothesis import strategies as st

from export.avatar import dicebear_faces
from export.avatar.attribute_kinds import UNSEEN, FirstShade, Largest, Part, Shade, lab
from export.avatar.attributes import ATTRIBUTES, attribute_table

COLOURS = st.text("0123456789abcdef", min_size=6, max_size=6).map("#{}".format)


def parts(attribute: object) -> Iterator[Part]:
    if isinstance(attribute, Part):
        yield attribute
    elif isinstance(attribute, Largest):
        yield from attribute.parts
    elif isinstance(attribute, Shade) and attribute.hidden_by is not None:
        yield attribute.hidden_by
    elif isinstance(attribute, FirstShade):
        yield from (shade.hidden_by for shade in attribute.shades if shade.hidden_by is not None)


def variants(style: str, part: str) -> list[str]:
    return list(dicebear_faces.definition_of(style)["components"][part]["variants"])


@pytest.mark.parametrize("style", sorted(ATTRIBUTES))
def test_tables_have_exactly_the_variants_of_the_installed_style(style: str) -> None:
    for name, attribute in ATTRIBUTES[style].items():
        for part in parts(attribute):
            assert set(part.table) == set(variants(style, part.label.removesuffix("Variant"))), name
            assert all(0.0 <= number <= 1.0 for number in part.table.values()), name
            assert len({*part.table.values(), part.absent}) > 1, name


@pytest.mark.parametrize("style", sorted(ATTRIBUTES))
def test_shades_reach_from_0_to_1_over_the_colours_of_the_installed_style(style: str) -> None:
    for attribute in ATTRIBUTES[style].values():
        for shade in attribute.shades if isinstance(attribute, FirstShade) else [attribute]:
            if isinstance(shade, Shade):
                colours = dicebear_faces.definition_of(style)["colors"][shade.colour]["values"]
                numbers = [Shade(style, shade.colour, shade.scale)({f"{shade.colour}Color": colour}) for colour in colours]
                assert (min(numbers), max(numbers)) == (0.0, 1.0)


@pytest.mark.parametrize("style", sorted(ATTRIBUTES))
@given(data=st.data())
def test_every_face_has_numbers_from_0_to_1(style: str, data: st.DataObject) -> None:
    definition = dicebear_faces.definition_of(style)
    labels = {}
    for part in definition["components"]:
        if data.draw(st.booleans()):
            labels[f"{part}Variant"] = data.draw(st.sampled_from(variants(style, part)))
    for colour in definition["colors"]:
        if data.draw(st.booleans()):
            labels[f"{colour}Color"] = data.draw(COLOURS)
    names, table = attribute_table(style, [labels, {}])
    assert names == list(ATTRIBUTES[style])
    assert (table.dtype, table.shape) == (np.float32, (2, len(names)))
    assert ((table >= 0) & (table <= 1)).all()


def test_no_faces_give_an_empty_table() -> None:
    names, table = attribute_table("toon-head", [])
    assert table.shape == (0, len(names))


def test_unknown_styles_and_variants_are_errors() -> None:
    with pytest.raises(ValueError, match='style "micah" has no attributes; these have'):
        attribute_table("micah", [])
    with pytest.raises(ValueError, match=r'hairVariant is "quiff"; attributes\.py knows'):
        attribute_table("toon-head", [{"hairVariant": "quiff"}])


def picture(style: str, **options: Any) -> np.ndarray:
    face = Avatar(dicebear_faces.load_style(style), {"seed": "1-3", "backgroundColor": []} | options)
    return dicebear_faces.rasterise(face.to_json()["svg"], 128).astype(int)


def coloured(style: str, colour: str, **options: Any) -> np.ndarray:
    """Where a face shows a colour: bool [128, 128]."""
    red, blue = (picture(style, **options, **{f"{colour}Color": [value]}) for value in ("#ff0000", "#0000ff"))
    return np.abs(red - blue).max(axis=0) > 60


HAIR = {
    "pixel-art": ("hair", {"beardProbability": 0, "glassesProbability": 0, "hatProbability": 0}),
    "voxel-art": ("top", {"beardProbability": 0, "eyebrowsProbability": 0}),
    "toon-head": ("rearHair", {"beardProbability": 0, "hairVariant": ["undercut"]}),
    "avataaars": ("top", {"facialHairProbability": 0, "accessoriesProbability": 0}),
}


@pytest.mark.parametrize("style", sorted(HAIR))
def test_hair_hangs_as_low_as_its_length_says(style: str) -> None:
    part, options = HAIR[style]
    lowest, lengths = [], []
    for variant in variants(style, part):
        mask = coloured(style, "hair", **options, **{f"{part}Variant": [variant], f"{part}Probability": 100})
        rows = np.flatnonzero(mask.sum(axis=1) >= 8)
        if len(rows):
            lowest.append(rows.max())
            lengths.append(ATTRIBUTES[style]["hair_length"]({f"{part}Variant": variant}))
    slope, start = np.polyfit(lengths, lowest, 1)
    assert slope > 50
    assert np.abs(start + slope * np.array(lengths) - lowest).max() < 2


def test_hats_of_voxel_art_hide_the_hair_and_its_colour() -> None:
    for top in variants("voxel-art", "top"):
        labels = {"topVariant": top, "hairColor": "#2c222b"}
        shown = coloured("voxel-art", "hair", topVariant=[top], eyebrowsProbability=0, beardProbability=0).sum() > 50
        assert (ATTRIBUTES["voxel-art"]["hair_lightness"](labels) != UNSEEN) == shown
        assert ATTRIBUTES["voxel-art"]["hat"](labels) == (not shown)


def test_the_clothing_of_voxel_art_has_the_colour_that_covers_most() -> None:
    lightness = ATTRIBUTES["voxel-art"]["clothing_lightness"]
    for outfit in variants("voxel-art", "outfit"):
        areas = {colour: coloured("voxel-art", colour, outfitVariant=[outfit]).sum() for colour in ("shirt", "jacket")}
        labels = {"outfitVariant": outfit, "shirtColor": "#fab005", "jacketColor": "#343a40"}  # their lightest and darkest
        assert (lightness(labels) == 1.0) == (areas["shirt"] > areas["jacket"]), outfit


def test_mouths_of_toon_heads_are_open_when_they_cover_more() -> None:
    opened = ATTRIBUTES["toon-head"]["mouth_open"]
    for mouth in variants("toon-head", "mouth"):
        options = {"beardProbability": 0, "skinColor": ["#f1c3a5"], "mouthVariant": [mouth]}
        drawn = np.abs(picture("toon-head", **options) - picture("toon-head", **options, mouthProbability=0)).max(axis=0) > 60
        assert (drawn.sum() > 30) == (opened({"mouthVariant": mouth}) == 1.0)


def test_colours_are_measured_in_cielab() -> None:
    assert lab("#ffffff") == pytest.approx((100, 0, 0), abs=0.05)
    assert lab("#000000") == pytest.approx((0, 0, 0), abs=0.05)
    assert lab("#ff0000") == pytest.approx((53.24, 80.09, 67.20), abs=0.05)
    assert lab("#0000ff") == pytest.approx((32.30, 79.19, -107.86), abs=0.05)


@given(COLOURS, COLOURS)
def test_darker_skin_never_has_more_lightness(first: str, second: str) -> None:
    shade = ATTRIBUTES["pixel-art"]["skin_lightness"]
    darker, lighter = sorted((first, second), key=lambda colour: lab(colour)[0])
    assert shade({"skinColor": darker}) <= shade({"skinColor": lighter})
