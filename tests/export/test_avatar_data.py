"""Rules of the built-in data sets: the same arguments give the same pictures, on terms that were checked."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicebear import Avatar
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from export.avatar import data, dicebear_faces
from export.avatar.data import Dataset
from export.avatar.datasheet import Datasheet, in_words


def faces(cache: Path, style: str = "pixel-art", **changes: Any) -> Dataset:
    return data.load(style, **{"size": 32, "count": 12, "seed": 1, "cache": cache} | changes)


def test_faces_depend_on_the_seed_alone(tmp_path: Path) -> None:
    first, again, other = faces(tmp_path / "a"), faces(tmp_path / "b"), faces(tmp_path / "a", seed=2)
    assert np.array_equal(first.images, again.images)
    assert first.labels == again.labels
    assert not np.array_equal(first.images, other.images)


def test_more_faces_begin_with_the_same_ones(tmp_path: Path) -> None:
    assert np.array_equal(faces(tmp_path, count=4).images, faces(tmp_path).images[:4])


def test_held_out_faces_are_none_of_the_training_faces(tmp_path: Path) -> None:
    train = {image.tobytes() for seed in (1, 2) for image in faces(tmp_path, seed=seed, count=40).images}
    held_out = faces(tmp_path, count=40, split="held-out")
    assert not train & {image.tobytes() for image in held_out.images}
    assert held_out.datasheet.split == "held-out"


@pytest.mark.parametrize("style", sorted(dicebear_faces.STYLES))
def test_pictures_are_premultiplied_on_a_transparent_ground(tmp_path: Path, style: str) -> None:
    images = faces(tmp_path, style, count=3, size=64).images
    assert images.shape == (3, 4, 64, 64)
    assert images.dtype == np.uint8
    assert (images[:, :3] <= images[:, 3:]).all()
    assert images[:, 3, 0, 0].max() < 255
    assert (images[:, 3] == 255).mean() > 0.1


def test_glass_in_front_of_nothing_keeps_its_colour_times_alpha() -> None:
    shape = '<rect width="1" height="2" fill="#ff8000" opacity="0.5"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2">{shape}</svg>'
    image = dicebear_faces.rasterise(svg, 2)
    assert np.abs(image[:, :, 0].astype(int) - np.array([[128], [64], [0], [128]])).max() <= 1
    assert image[:, :, 1].max() == 0


def test_references_are_drawn() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><defs><rect id="a" width="4" height="4" fill="#0f0"/></defs>'
        '<use href="#a"/></svg>'
    )
    assert dicebear_faces.rasterise(svg, 4)[:, 1, 1].tolist() == [0, 255, 0, 255]


MASK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8" fill="none"><mask id="a" style="mask-type:{kind}">'
    '<ellipse cx="4" cy="4" rx="2" ry="2" fill="#611519"/></mask>'
    '<g mask="url(#a)"><ellipse cx="4" cy="4" rx="4" ry="4" fill="#0000ff"/></g></svg>'
)


def test_masks_by_alpha_and_by_luminance_are_told_apart() -> None:
    alpha = dicebear_faces.rasterise(MASK.format(kind="alpha"), 8)
    assert alpha[:, 4, 4].tolist() == [0, 0, 255, 255]
    assert alpha[3, 0, 4] == 0
    luminance = dicebear_faces.rasterise(MASK.format(kind="luminance"), 8)
    assert 0 < luminance[3, 4, 4] < 64


def test_every_mouth_of_a_toon_head_is_drawn() -> None:
    style = dicebear_faces.load_style("toon-head")
    options = {"seed": "1-3", "backgroundColor": [], "beardProbability": 0}
    mouths = {}
    for mouth in dicebear_faces.definition_of("toon-head")["components"]["mouth"]["variants"]:
        svg = Avatar(style, options | {"mouthVariant": [mouth]}).to_json()["svg"]
        mouths[mouth] = dicebear_faces.rasterise(svg, 256).astype(int)
    for first, second in itertools.combinations(mouths, 2):
        assert (np.abs(mouths[first] - mouths[second]).max(axis=0) > 32).sum() > 30, (first, second)


def test_faces_off_the_pixel_grid_are_left_out_and_counted(tmp_path: Path) -> None:
    loose, strict = faces(tmp_path, count=120), faces(tmp_path, count=120, pixel_size=2)
    whole = [data.uniform(image, 2) for image in loose.images]
    assert 0 < whole.count(False) < 20
    kept = loose.images[np.array(whole)]
    assert np.array_equal(strict.images[: len(kept)], kept)
    assert len(strict.images) == len(strict.labels) == 120
    assert all(data.uniform(image, 2) for image in strict.images)
    assert strict.datasheet.left_out == len(strict.left_out) >= whole.count(False)
    assert (strict.datasheet.pixel_size, loose.datasheet.left_out) == (2, 0)


def test_a_style_without_a_pixel_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="toon-head pictures at 32 px are made of squares of 4 x 4 pixels; use a smaller"):
        faces(tmp_path, "toon-head", count=50, pixel_size=4)
    with pytest.raises(ValueError, match="size a multiple of pixel_size"):
        faces(tmp_path, pixel_size=3)


def test_three_channels_show_the_faces_on_white(tmp_path: Path) -> None:
    rgba, rgb = faces(tmp_path), faces(tmp_path, channels=3)
    assert rgb.images.shape == (12, 3, 32, 32)
    assert rgb.datasheet.channels == 3
    assert rgb.images[0, :, 0, 0].tolist() == [255, 255, 255]
    opaque = np.broadcast_to(rgba.images[:, 3:] == 255, rgb.images.shape)
    assert np.array_equal(rgb.images[opaque], rgba.images[:, :3][opaque])


@given(arrays(np.uint8, (2, 4, 4), elements=st.integers(0, 1)), st.sampled_from([1, 2, 4]))
def test_uniform_means_that_every_square_has_one_colour(image: np.ndarray, pixel_size: int) -> None:
    squares = [
        image[:, y : y + pixel_size, x : x + pixel_size].reshape(2, -1)
        for y in range(0, 4, pixel_size)
        for x in range(0, 4, pixel_size)
    ]
    assert data.uniform(image, pixel_size) == all((square == square[:, :1]).all() for square in squares)


def test_labels_and_datasheet_say_what_the_pictures_show(tmp_path: Path) -> None:
    dataset = faces(tmp_path, count=40)
    sheet = dataset.datasheet
    assert (dataset.name, dataset.licence, sheet.style) == ("DiceBear pixel-art", "CC0-1.0", "pixel-art")
    for label in dataset.labels:
        assert {"skinColor", "eyesVariant", "mouthVariant", "clothesVariant"} <= label.keys()
        assert "backgroundColor" not in label
    glasses = sum("glassesVariant" in label for label in dataset.labels)
    assert sheet.attributes["glassesVariant"]["none"] == pytest.approx(1 - glasses / 40)
    for table in sheet.attributes.values():
        assert sum(table.values()) == pytest.approx(1, abs=0.001)
    assert sheet.versions == dicebear_faces.versions()
    assert Datasheet.from_json(json.loads(json.dumps(sheet.to_json()))) == sheet
    assert "DiceBear pixel-art" in in_words(sheet)


def test_the_skin_in_the_label_is_the_skin_in_the_picture(tmp_path: Path) -> None:
    dataset = faces(tmp_path, count=20)
    seen = 0
    for image, label in zip(dataset.images, dataset.labels, strict=True):
        skin = np.frombuffer(bytes.fromhex(label["skinColor"].removeprefix("#")), np.uint8)
        seen += (image[:3].reshape(3, -1) == skin[:, None]).all(axis=0).sum() >= 16
    assert seen >= 18  # of 20; some faces are under a shadow as a whole


@pytest.mark.parametrize("style", sorted(dicebear_faces.STYLES))
def test_the_installed_styles_have_the_terms_of_the_table(style: str) -> None:
    dicebear_faces.check_licence(style, dicebear_faces.definition_of(style)["meta"])


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("license", "name", "All rights reserved"),
        ("license", "url", "https://x"),
        ("creator", "name", "X"),
        ("source", "url", ""),
    ],
)
def test_changed_terms_are_an_error(section: str, key: str, value: str) -> None:
    meta = copy.deepcopy(dicebear_faces.definition_of("toon-head")["meta"])
    meta[section][key] = value
    with pytest.raises(ValueError, match=r'gives style "toon-head" as .* read the new terms'):
        dicebear_faces.check_licence("toon-head", meta)
    with pytest.raises(ValueError, match="its terms were checked as"):
        dicebear_faces.check_licence("toon-head", {})


def test_terms_decide_what_may_be_passed_on() -> None:
    styles = dicebear_faces.STYLES
    assert styles["pixel-art"].redistributable
    assert styles["pixel-art"].attribution == ""
    assert (styles["toon-head"].redistributable, styles["toon-head"].spdx) == (True, "CC-BY-4.0")
    assert all(word in styles["toon-head"].attribution for word in ("ToonHead", "Johan Melin", "CC BY 4.0", "https://"))
    assert (styles["avataaars"].redistributable, styles["avataaars"].spdx) == (False, "LicenseRef-Avataaars")
    assert "Pablo Stanley" in styles["avataaars"].attribution


def test_an_unknown_style_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='"toon" is not built in; use one of'):
        faces(tmp_path, "toon")
    with pytest.raises(ValueError, match="count is 0"):
        faces(tmp_path, count=0)
    with pytest.raises(ValueError, match='channels is 5; it must be "auto", 3 or 4'):
        faces(tmp_path, channels=5)
