"""Rules of tiles: deterministic draws, symmetries, neighbours that share edges, and labels."""

from __future__ import annotations

import numpy as np
import pytest
from scene_examples import world

from export.scene.classes import BIOMES, FOREST, GRASS, ROCK, SNOW, WATER, WETLAND
from export.scene.labels import label, painted
from export.scene.tiles import Tiles, TileSource, neighbourhood, side_by_side, turned


def test_the_address_decides_the_draw() -> None:
    source = TileSource([world(0), world(1)])
    first, again, other = source.draw(4, 1, 7), source.draw(4, 1, 7), source.draw(4, 1, 8)
    assert np.array_equal(first.height, again.height)
    assert np.array_equal(first.objects, again.objects)
    assert not np.array_equal(first.height, other.height)


def test_tiles_are_squares_of_their_world_in_one_of_eight_symmetries() -> None:
    base = world()
    windows = np.lib.stride_tricks.sliding_window_view(base.height, (65, 65)).reshape(-1, 65, 65)
    sums = np.sort(windows.sum(axis=(1, 2), dtype=np.float64))
    for height in TileSource([base]).draw(8, 1).height:
        assert np.isclose(sums, height.sum(dtype=np.float64), atol=1e-2).any()


@pytest.mark.parametrize("symmetry", range(8))
def test_a_symmetry_moves_cells_with_their_vertices(symmetry: int) -> None:
    square = world().crop(3, 5, 64)
    moved = turned(square, symmetry)
    corners = lambda part: part.height[:-1, :-1] + part.height[1:, :-1] + part.height[:-1, 1:] + part.height[1:, 1:]  # noqa: E731
    for number in np.unique(square.ground):
        here, there = np.sort(corners(square)[square.ground == number]), np.sort(corners(moved)[moved.ground == number])
        assert np.allclose(here, there, atol=1e-4)


def test_the_eight_symmetries_differ() -> None:
    square = world().crop(0, 0, 64)
    assert len({turned(square, symmetry).height.tobytes() for symmetry in range(8)}) == 8


def test_neighbours_share_their_edge_vertices() -> None:
    nine = neighbourhood(TileSource([world()], 192).draw(2, 1)).height.reshape(2, 3, 3, 65, 65)
    assert np.array_equal(nine[:, :, :-1, :, -1], nine[:, :, 1:, :, 0])
    assert np.array_equal(nine[:, :-1, :, -1], nine[:, 1:, :, 0])


def test_tiles_side_by_side_cover_a_world() -> None:
    base = world(rows=200, columns=130)
    tiles = side_by_side([base])
    assert len(tiles) == 3 * 2
    assert np.array_equal(tiles.ground[1], base.ground[:64, 64:128])


def test_worlds_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no world has 192 x 192 cells; they have \[\(100, 200\)\]"):
        TileSource([world(rows=100)], 192)


def tile(ground: int, share: float = 1.0, slope: float = 0.0, rest: int = GRASS) -> Tiles:
    """A tilted tile of one ground class in its upper part, and `rest` below."""
    classes = np.full((1, 64, 64), rest, np.uint8)
    classes[:, : round(64 * share)] = ground
    height = (np.arange(65, dtype=np.float32) * slope * 2.0)[None, :, None] + np.zeros((1, 65, 65), np.float32)
    return Tiles(height, classes, np.zeros_like(classes))


@pytest.mark.parametrize(
    ("example", "biome"),
    [
        (tile(GRASS), "plains"),
        (tile(WATER, 0.7), "water"),
        (tile(WATER, 0.5), "plains"),
        (tile(ROCK, 0.3), "mountains"),
        (tile(SNOW, 0.3, rest=FOREST), "mountains"),
        (tile(FOREST, 0.5), "forest"),
        (tile(WETLAND, 0.5), "wetland"),
        (tile(GRASS, slope=0.3), "hills"),
    ],
)
def test_a_tile_has_the_biome_of_the_first_rule_that_holds(example: Tiles, biome: str) -> None:
    assert BIOMES[label(example).biome[0]] == biome


def test_ruggedness_is_the_mean_slope_and_water_its_share() -> None:
    found = label(tile(WATER, 0.25, slope=0.3))
    assert found.ruggedness[0] == pytest.approx(0.3, abs=1e-4)
    assert found.water[0] == 0.25
    assert label(tile(GRASS, slope=7.0)).ruggedness[0] == 1.0


def test_a_code_is_painted_with_its_commonest_class() -> None:
    ground = np.zeros((1, 64, 64), np.uint8)
    ground[0, :4, :4] = [[1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2], [2, 2, 2, 2]]
    ground[0, 4:, :] = 5
    found = painted(ground, 4)
    assert found.shape == (1, 16, 16)
    assert found[0, 0, 0] == 1
    assert found[0, 0, 1] == 0
    assert (found[0, 1:] == 5).all()
