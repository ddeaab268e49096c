"""Spaces: there and back is the same, and what lies at a point lies there in every space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import spaces
from bridge.errors import InvalidArgument
from bridge.spaces import GLTF, UNITY, UNREAL

SPACES = st.sampled_from([GLTF, UNITY, UNREAL])
NUMBERS = st.integers(-(2**31) + 1, 2**31 - 1)


@given(SPACES, NUMBERS, NUMBERS)
def test_a_place_comes_back(space, x, y):
    assert spaces.tile_from_gltf(space, *spaces.tile_to_gltf(space, x, y)) == (x, y)
    assert spaces.tile_to_gltf(space, *spaces.tile_from_gltf(space, x, y)) == (x, y)


@given(SPACES, st.integers(1, 5), st.integers(1, 5))
def test_a_grid_comes_back(space, rows, columns):
    grid = np.arange(2 * rows * columns).reshape(2, rows, columns)
    np.testing.assert_array_equal(spaces.grid_to_gltf(space, spaces.grid_from_gltf(space, grid)), grid)


@given(SPACES, NUMBERS, NUMBERS, st.integers(-1, 1), st.integers(-1, 1))
def test_a_neighbour_lies_where_its_offset_says(space, x, y, dx, dy):
    if abs(x) + 1 < 2**31 and abs(y) + 1 < 2**31:
        at, beside = spaces.tile_to_gltf(space, x, y), spaces.tile_to_gltf(space, x + dx, y + dy)
        assert spaces.offset_to_gltf(space, dx, dy) == (beside[0] - at[0], beside[1] - at[1])


def in_world(space, tile, point, side):
    """Return where a tile's own point lies in the world of its space: first and second map axis, and up."""
    unit = spaces.UNITS[space]
    x, y, up = (point[0], point[1], point[2]) if space == UNREAL else (point[0], point[2], point[1])
    return np.array([tile[0] * side * unit + x, tile[1] * side * unit + y, up])


def to_space(space, x, up, z):
    """Return glTF's (x, up, z) in a space as the contract defines it: first and second map axis, and up."""
    if space == UNREAL:
        return np.array([z, -x, up]) * 100
    return np.array([-x if space == UNITY else x, z, up])


@given(SPACES, st.integers(-9, 9), st.integers(-9, 9), st.floats(0, 8), st.floats(0, 8), st.floats(-5, 5))
def test_a_point_lies_where_the_contract_says(space, x, y, along, across, up):
    side = 8.0
    tile = spaces.tile_from_gltf(space, x, y)
    point = spaces.points_from_gltf(space, np.array([[along, up, across]]), side)[0]
    expected = to_space(space, x * side + along, up, y * side + across)
    np.testing.assert_allclose(in_world(space, tile, point, side), expected, atol=1e-9)


@given(SPACES, st.integers(0, 4), st.integers(0, 4))
def test_a_grid_holds_at_a_point_what_lies_there(space, row, column):
    side = 4.0
    grid = np.arange(25).reshape(5, 5)
    point = spaces.points_from_gltf(space, np.array([[column, 0.0, row]]), side)[0] / spaces.UNITS[space]
    first, second = (point[0], point[1]) if space == UNREAL else (point[0], point[2])
    assert spaces.grid_from_gltf(space, grid)[int(second), int(first)] == grid[row, column]


@given(SPACES, st.floats(0, 6.28))
def test_a_yaw_turns_forward_to_the_same_direction(space, yaw):
    x, z = np.sin(yaw), np.cos(yaw)
    turned = float(spaces.yaws_from_gltf(space, np.array([yaw]))[0])
    assert 0 <= turned < 2 * np.pi
    ahead, right = np.cos(turned), np.sin(turned)
    expected = to_space(space, x, 0, z)[:2] / spaces.UNITS[space]
    np.testing.assert_allclose([ahead, right] if space == UNREAL else [right, ahead], expected, atol=1e-9)


def test_no_space_is_gltf_and_an_unknown_one_is_refused():
    assert spaces.check_space(0, "space") == GLTF
    with pytest.raises(InvalidArgument, match="is 9, expected one of"):
        spaces.check_space(9, "space")
