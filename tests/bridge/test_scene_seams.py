"""Seams: shared vertices have the very same bits, the difference fades away from them, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.scene_rules import ground_classes
from bridge.scene_seams import fitted, patch
from bridge.scene_tile import AROUND, Tile, shared

LOW, HIGH, SIZE = -10.0, 40.0, 9
OFFSETS = st.sets(st.sampled_from(AROUND))


def tile(height):
    nothing = np.zeros((2, 2), np.uint8)
    return Tile(nothing.astype(np.int64), height.astype(np.float32), nothing, nothing)


def world(seed, size=SIZE):
    """Return a height map of 3 x 3 tiles, so that all neighbours agree, as tiles by their offsets."""
    whole = np.random.default_rng(seed).uniform(LOW, HIGH, (3 * size - 2,) * 2)
    step = size - 1
    return {(x, y): tile(whole[(1 + y) * step :, (1 + x) * step :][:size, :size]) for x in (-1, 0, 1) for y in (-1, 0, 1)}


@given(OFFSETS, st.integers(0, 99))
def test_shared_vertices_have_the_bits_of_the_neighbours(offsets, seed):
    neighbours = {offset: one for offset, one in world(seed).items() if offset in offsets}
    own = np.random.default_rng(seed + 1).uniform(LOW - 9, HIGH + 9, (SIZE, SIZE)).astype(np.float32)
    height = fitted(own, neighbours, LOW, HIGH)
    for offset, one in neighbours.items():
        np.testing.assert_array_equal(height[shared(offset)], one.height[shared((-offset[0], -offset[1]))])
    assert height.dtype == np.float32
    assert height.min() >= LOW
    assert height.max() <= HIGH


def plane(x=0, y=0):
    """Return the heights of the tile at (x, y) on an inclined plane of whole metres."""
    place = np.arange(SIZE)
    return np.add.outer(2 * (place + (SIZE - 1) * y), place + (SIZE - 1) * x).astype(np.float32)


def test_without_neighbours_even_heights_are_only_clipped():
    np.testing.assert_array_equal(fitted(plane(), {}, 3.0, 20.0), np.clip(plane(), 3.0, 20.0))


@given(OFFSETS)
def test_a_tile_that_fits_already_stays_as_it_is(offsets):
    neighbours = {(x, y): tile(plane(x, y)) for x, y in offsets}
    np.testing.assert_array_equal(fitted(plane(), neighbours, -100.0, 100.0), plane())


def test_a_tile_goes_on_with_the_slope_of_its_neighbour():
    """The neighbour rises by 0.5 m a cell towards the tile, which is level: away from the corners it first rises on."""
    rising = np.repeat(np.linspace(-32.0, 0.0, 65)[:, None], 65, axis=1)
    height = fitted(np.zeros((65, 65), np.float32), {(0, -1): tile(rising)}, -50.0, 50.0)
    np.testing.assert_allclose(height[1, 16:-16], 0.5, atol=0.1)
    np.testing.assert_array_equal(height[0], 0.0)
    assert np.abs(height[17:]).max() < 1e-6


def test_the_shortest_waves_of_an_open_edge_go_and_those_beside_a_neighbour_stay():
    zigzag, long = (np.repeat(np.sin(np.pi * k * np.arange(65) / 64)[None], 65, axis=0).astype(np.float32) for k in (63, 2))
    height = fitted(zigzag + long, {(0, 1): tile(zigzag + long)}, -9.0, 9.0)
    np.testing.assert_allclose(height[0], long[0], atol=1e-5)
    np.testing.assert_allclose(height[3:, 3:-3], (zigzag + long)[3:, 3:-3], atol=1e-5)


def test_a_patch_fades_from_a_known_edge_to_an_unknown_one():
    known, difference = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE))
    known[:, 0], difference[:, 0] = True, 2.0
    surface = patch(difference, known)
    np.testing.assert_allclose(surface[:, 0], 2.0)
    np.testing.assert_allclose(surface[:, -1], 0.0)
    assert (np.diff(surface, axis=1) < 0).all()
    assert np.abs(np.diff(surface[:, :2], axis=1)).max() < 0.15


def test_two_opposite_edges_are_joined_by_lofting():
    known, difference = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE))
    known[:, 0] = known[:, -1] = True
    difference[:, 0], difference[:, -1] = np.arange(SIZE), 3.0
    np.testing.assert_allclose(patch(difference, known)[:, SIZE // 2], (np.arange(SIZE) + 3.0) / 2)


def test_an_uneven_edge_leaves_no_furrows():
    """Of a difference that changes its sign from vertex to vertex nothing is left after a few cells, of a hump a part."""
    known, zigzag, hump = np.zeros((65, 65), bool), np.zeros((65, 65)), np.zeros((65, 65))
    known[0] = True
    zigzag[0, 1:-1] = np.where(np.arange(63) % 2, 1.0, -1.0)
    hump[0] = np.sin(np.linspace(0.0, np.pi, 65))
    np.testing.assert_allclose(patch(zigzag, known)[0], zigzag[0], atol=1e-9)
    assert np.abs(patch(zigzag, known)[1]).max() > 0.5
    assert np.abs(patch(zigzag, known)[5:, 8:-8]).max() < 0.05
    assert patch(hump, known)[32, 32] == pytest.approx(0.5)


CLASSES = ["water", "sand", "grass", "wetland", "forest", "rock", "snow", "road"]


@pytest.mark.parametrize(
    ("height", "slope", "expected"),
    [
        (-0.1, 0.0, "water"),
        (0.3, 0.1, "sand"),
        (1.5, 0.0, "wetland"),
        (5.0, 0.1, "grass"),
        (5.0, 0.4, "forest"),
        (5.0, 0.8, "rock"),
        (25.0, 0.5, "snow"),
        (25.0, 1.2, "rock"),
        (20.0, 0.4, "grass"),
    ],
)
def test_ground_follows_from_height_and_slope(height, slope, expected):
    heights = np.array([[height - slope, height + slope]] * 2)
    assert CLASSES[ground_classes(heights, 2.0, CLASSES)[0, 0]] == expected


def test_a_rule_for_a_class_that_a_model_lacks_is_passed_over():
    heights = np.full((2, 2), 1.5)
    assert ground_classes(heights, 2.0, ["rock", "grass"])[0, 0] == 1
    assert ground_classes(heights, 2.0, ["rock", "water"])[0, 0] == 0


def test_ground_is_derived_alike_tile_by_tile_and_at_once():
    whole = np.random.default_rng(0).uniform(-5, 30, (9, 17))
    parts = np.stack([whole[:, :9], whole[:, 8:]])
    np.testing.assert_array_equal(np.hstack(ground_classes(parts, 2.0, CLASSES)), ground_classes(whole, 2.0, CLASSES))
