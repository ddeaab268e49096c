"""Rules of the demo's maps: the sun is in the north-west, north is up, tiles lie where they say, frames keep still."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import tiny_scene
from conftest import run_sidecar
from PIL import Image

from bridge import tensors
from bridge.client import Client, heights
from bridge.scene_card import Spec
from bridge.v1 import scene_service_pb2 as pb
from demo import marks, relief, sheets

SPEC = msgspec.convert(tiny_scene.SCENE_SPEC, Spec)
PLACES = [(x, y) for y in (-1, 0) for x in (4, 5, 6)]


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    tiny_scene.write_scene(models)
    with run_sidecar(models) as live, Client(live.address) as client:
        output = pb.SceneOutput(return_instances=True)
        yield list(client.generate_scene("island", [3], PLACES, output=output).tiles)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The tile of world 0 at (0, 0)."""
    models = tmp_path_factory.mktemp("models")
    tiny_scene.write_scene(models)
    with run_sidecar(models) as live, Client(live.address) as client:
        yield client.generate_scene("island", [0], output=pb.SceneOutput(return_instances=True)).tiles[0]


def slope(east: float, south: float) -> float:
    row, column = np.mgrid[:9, :9].astype(np.float32)
    return float(relief.lit(row * south + column * east, 1.0)[4, 4])


def test_slopes_towards_the_north_west_are_lit_and_those_away_from_it_are_dark():
    assert slope(0, 0) == pytest.approx(1.0)
    assert slope(0.2, 0.2) > slope(0.2, -0.2) > slope(-0.2, -0.2)
    assert slope(0.2, 0.2) > 1.0 > slope(-0.2, -0.2)


def test_tiles_lie_where_their_coordinates_say(tiles):
    land = relief.joined(tiles[::-1], SPEC)
    assert land.height.shape == (33, 49)
    for (x, y), tile in zip(PLACES, tiles, strict=True):
        row, column = (y + 1) * 16, (x - 4) * 16
        np.testing.assert_array_equal(land.height[row : row + 17, column : column + 17], heights(tile.heights))
        np.testing.assert_array_equal(land.ground[row : row + 16, column : column + 16], tensors.to_array(tile.ground, ""))


def test_marks_stand_on_the_cells_of_their_class(tiles):
    land = relief.joined(tiles, SPEC)
    assert len(land.marks) > 20
    names = [thing.name for thing in SPEC.object_classes]
    for mark in land.marks:
        column, row = int(mark.x // 2), int(mark.z // 2)
        tile = tiles[PLACES.index((4 + column // 16, row // 16 - 1))]
        assert names[tensors.to_array(tile.objects, "")[row % 16, column % 16]] == mark.name


def test_objects_of_arrays_are_placed_as_the_sidecar_places_them(first):
    land = relief.land_of(heights(first.heights), *(tensors.to_array(one, "") for one in (first.ground, first.objects)), SPEC)
    expected = relief.joined([first], SPEC).marks
    assert [mark.name for mark in land.marks] == [mark.name for mark in expected]
    numbers = [[(mark.x, mark.z, mark.yaw, mark.scale) for mark in part] for part in (land.marks, expected)]
    np.testing.assert_allclose(*numbers, rtol=1e-5)


def test_a_block_with_a_hole_is_refused(tiles):
    with pytest.raises(ValueError, match=r"5 tiles of a block of 2 x 3; ask for every one of it"):
        relief.joined(tiles[:-2] + tiles[-1:], SPEC)


def test_north_is_up_and_each_class_has_its_tint():
    ground = np.full((16, 16), 2, np.uint8)
    ground[:8] = 1
    picture = np.asarray(relief.draw(relief.Land(np.zeros((17, 17), np.float32), ground, []), SPEC, 4)).astype(int)
    assert picture.shape == (64, 64, 3)
    sand, grass = (np.array(SPEC.ground_classes[number].colour) for number in (1, 2))
    for half, own, other in ((picture[:24], sand, grass), (picture[-24:], grass, sand)):
        middle = half.mean(axis=(0, 1))
        assert np.abs(middle - own).sum() < np.abs(middle - other).sum()


def test_deep_water_is_darker_than_shallow_water():
    ground = np.zeros((16, 16), np.uint8)
    shallow, deep = (
        np.asarray(relief.draw(relief.Land(np.full((17, 17), depth, np.float32), ground, []), SPEC, 2)).mean()
        for depth in (-0.5, -8.0)
    )
    assert deep < 0.8 * shallow


@pytest.mark.parametrize("name", ["tree", "rock", "house", "windmill"])
def test_a_mark_is_seen_at_its_place_and_nowhere_else(name):
    blank = Image.new("RGB", (120, 80), (150, 180, 100))
    drawn = marks.draw_marks(blank, [marks.Mark(name, 40.0, 20.0, yaw=0.7)], 2.0)
    changed = np.argwhere((np.asarray(drawn) != np.asarray(blank)).any(axis=2))
    assert len(changed) > 12
    assert np.abs(changed - np.array([40, 80])).max() < 20


def test_the_ruler_is_outside_the_map(tiles):
    picture = relief.draw(relief.joined(tiles, SPEC), SPEC, 4)
    page = sheets.map_sheet(picture, SPEC, 4, "title", "subtitle")
    left, top = sheets.MARGIN, sheets.TITLE
    inside = page.crop((left, top, left + picture.width, top + picture.height))
    np.testing.assert_array_equal(np.asarray(inside), np.asarray(picture))
    above = np.asarray(page.convert("L"))[top - sheets.TICK // 2, left : left + picture.width + 1]
    assert list(np.flatnonzero(above < 128)) == [0, 64, 128, 192]


def test_a_film_keeps_still_what_does_not_change(tmp_path):
    gradient = np.mgrid[:40, :60].sum(axis=0)[..., None].repeat(3, axis=2).astype(np.uint8)
    frames = []
    for number in range(3):
        frame = gradient.copy()
        frame[10 : 10 + 5 * number, 10:20] = (200, 30, 30)
        frames.append(Image.fromarray(frame))
    sheets.save_film(frames, tmp_path / "film.gif", [100, 200, 300])
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3
        shown, lasted = [], []
        for number in range(3):
            film.seek(number)
            lasted.append(film.info["duration"])
            shown.append(np.asarray(film.convert("RGB")))
    assert lasted == [100, 200, 300]
    np.testing.assert_array_equal(shown[0][:, 25:], shown[2][:, 25:])
    assert tuple(shown[2][12, 12]) == (200, 30, 30)
