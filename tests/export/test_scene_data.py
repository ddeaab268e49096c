"""Rules of the built-in worlds: deterministic, cached one by one, split without overlap, and what stands where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scene_examples import world as waves
from scipy.ndimage import distance_transform_edt

from bridge.scene_rules import cell_slope
from export.scene import data, forests, generated, objects, real_elevation, world_cache
from export.scene.classes import (
    BOULDER,
    FOREST,
    GRASS,
    HOUSE,
    METRES_PER_CELL,
    NOTHING,
    OBJECTS,
    ROAD,
    ROCK,
    TREE,
    WATER,
)
from export.scene.data import Sources
from export.scene.world import World

CELLS = 96


@pytest.fixture(autouse=True)
def small_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few forest plots and small worlds, which take a second to make."""
    monkeypatch.setattr(forests, "POOL", 2)
    monkeypatch.setattr(forests, "TREES", 40)
    monkeypatch.setattr(generated, "CELLS", CELLS)
    forests.pool.cache_clear()


def equal(first: World, second: World) -> bool:
    return all(np.array_equal(getattr(first, part), getattr(second, part)) for part in ("height", "ground", "objects"))


@pytest.mark.parametrize("kind", ["composite", "landscape"])
def test_the_address_of_a_world_decides_it(kind: generated.Kind) -> None:
    world = generated.generate(kind, "train", 1, 0, CELLS)
    assert world.cells == (CELLS, CELLS)
    assert equal(world, generated.generate(kind, "train", 1, 0, CELLS))
    assert not np.array_equal(world.height, generated.generate(kind, "train", 1, 1, CELLS).height)
    assert not np.array_equal(world.height, generated.generate(kind, "held-out", 1, 0, CELLS).height)


def test_worlds_are_read_again_and_made_again_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"sources": Sources(composites=0, landscapes=2, real=False), "cache": tmp_path}
    first = data.load(**options)
    files = sorted(tmp_path.rglob("landscape-*.npz"))
    assert len(files) == 2
    generate = generated.generate
    monkeypatch.setattr(generated, "generate", lambda *_: pytest.fail("made again"))
    assert all(map(equal, first.worlds, data.load(**options).worlds))
    monkeypatch.setattr(generated, "generate", generate)
    files[0].write_bytes(files[0].read_bytes()[:-100])
    assert all(map(equal, first.worlds, data.load(**options).worlds))


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    sets = [data.load(sources=Sources(composites=0, landscapes=n, real=False), cache=tmp_path).worlds for n in (1, 2)]
    assert equal(sets[0][0], sets[1][0])


def test_the_datasheet_counts_what_is_there(tmp_path: Path) -> None:
    dataset = data.load(sources=Sources(composites=0, landscapes=1, real=False), cache=tmp_path)
    sheet, (world,) = dataset.datasheet, dataset.worlds
    assert sheet.worlds == {"landscape": 1}
    assert sheet.tiles == 1
    assert sheet.licence == "MIT"
    assert sheet.ground["water"] == pytest.approx((world.ground == WATER).mean(), abs=1e-5)
    assert sum(sheet.objects.values()) == pytest.approx(1.0, abs=1e-4)
    assert sheet.from_json(sheet.to_json()) == sheet


def test_no_held_out_ground_of_a_survey_is_in_training() -> None:
    """The eastern columns are held out, and a gap lies between."""
    train, held_out = (real_elevation.generate("jacksboro", split, 1) for split in ("train", "held-out"))
    whole = real_elevation.reduced(real_elevation.SURVEYS["jacksboro"])
    columns = train.height.shape[1] + held_out.height.shape[1] + real_elevation.GAP
    assert columns == whole.shape[1]
    assert np.array_equal(whole[:, : train.height.shape[1]], train.height)
    assert np.array_equal(whole[:, -held_out.height.shape[1] :], held_out.height)


def test_the_reduced_survey_keeps_its_slopes() -> None:
    """Plan and height are divided by the same number: the model is as steep as the ground between two samples."""
    survey = real_elevation.SURVEYS["jacksboro"]
    heights, (step, _) = real_elevation._grid(real_elevation.cbook.get_sample_data(survey.file))
    reduced = real_elevation.reduced(survey)
    assert np.ptp(reduced) == pytest.approx(np.ptp(heights) / survey.height_scale, rel=0.05)
    across = survey.plan_scale * METRES_PER_CELL / step
    real = np.abs(heights[-1] - heights[0]).mean() / (step * (len(heights) - 1))
    model = np.abs(reduced[-1] - reduced[0]).mean() / (METRES_PER_CELL * (len(reduced) - 1))
    assert len(reduced) == int((len(heights) - 1) / across) + 1
    assert model == pytest.approx(real, rel=0.05)


def test_what_stands_on_a_world_keeps_the_rules() -> None:
    worlds = [generated.generate("composite", "train", 1, number, 160) for number in range(2)]
    assert any((world.objects == HOUSE).any() for world in worlds)
    for world in worlds:
        assert not world.objects[np.isin(world.ground, (WATER, ROAD))].any()
        houses, road = world.objects == HOUSE, world.ground == ROAD
        if houses.any():
            assert cell_slope(world.height, METRES_PER_CELL)[houses].max() < objects.HOUSE_SLOPE
            near, far = objects.HOUSE_FROM_ROAD
            from_road = distance_transform_edt(~road)[houses]
            assert near <= from_road.min()
            assert from_road.max() <= far + 1.5 * objects.HOUSE_CELLS
        # A road never lies under water.
        corner = world.height[:-1, :-1]
        assert (corner[road] > 0.0).all()


def test_a_house_takes_a_square_and_clears_its_yard() -> None:
    placed = np.full((12, 12), TREE, np.uint8)
    ground = np.full((12, 12), GRASS, np.uint8)
    ground[5] = ROAD
    built = objects.build_houses(placed, ground, np.zeros((12, 12)), np.array([[12.0, 10.0]]), 2.0, np.random.default_rng(0))
    assert built == (placed == HOUSE).sum() / objects.HOUSE_CELLS**2 > 0
    row, column = np.argwhere(placed == HOUSE)[0]
    assert not (placed[max(0, row - 1), max(0, column - 1) : column + 3] == TREE).any()


def test_trees_follow_the_density_and_crowns_cover_their_cells() -> None:
    placed = np.full((20, 20), NOTHING, np.uint8)
    density = np.zeros((20, 20), np.float32)
    density[:, 10:] = 1.0
    sites = np.array([[10.0, 20.0, 4.0], [30.0, 20.0, 4.0]])
    objects.plant(placed, sites, density, 2.0, np.random.default_rng(0))
    rows, columns = np.nonzero(placed == TREE)
    assert columns.min() >= 12
    assert placed[10, 15] == TREE
    assert 5 <= len(rows) <= 12


def test_boulders_lie_on_bare_ground_only() -> None:
    ground = np.full((60, 60), FOREST, np.uint8)
    ground[:, 30:] = ROCK
    placed = np.full((60, 60), NOTHING, np.uint8)
    objects.scatter_boulders(placed, ground, np.random.default_rng(0))
    share = (placed[:, 32:] == BOULDER).mean()
    assert 0.05 < share < 0.35
    assert not placed[:, :28].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": np.zeros((200, 200), np.float32)}, "one vertex more than cells"),
        ({"height": np.full((201, 201), np.nan, np.float32)}, "40401 heights that are not finite"),
        ({"objects": np.full((200, 200), len(OBJECTS), np.uint8)}, "object class 4; the last one is 3"),
    ],
)
def test_a_world_that_contradicts_itself_is_refused(change: dict[str, np.ndarray], words: str) -> None:
    parts = {name: getattr(waves(), name) for name in ("name", "height", "ground", "objects")}
    with pytest.raises(ValueError, match=words):
        World(**parts | change)


def test_a_world_smaller_than_a_tile_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has 60 x 200 cells; a tile needs 64 x 64"):
        waves(rows=60)


def test_an_unreadable_cache_file_says_which(tmp_path: Path) -> None:
    path = tmp_path / "world.npz"
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r'world.npz" is not a readable world'):
        world_cache.read(path)


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='source is "moon"; it must be "built-in" or "folder"'):
        data.load("moon", cache=tmp_path)
    with pytest.raises(ValueError, match="no worlds were asked for"):
        data.load(sources=Sources(composites=0, landscapes=0, real=False), cache=tmp_path)
