"""glTF's axes and those of the engines: grids, places, points and turns, there and back.

A map has two axes on the ground. In glTF x is +X (east) and y is +Z (south); in Unity x is glTF's -X and y its +Z; in Unreal x
is glTF's +Z and y its -X. Grids [..., row, column] have rows along y and columns along x. A tile's own points count from the
corner where both axes begin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.errors import InvalidArgument
from bridge.v1 import asset_pb2

GLTF, UNITY, UNREAL = asset_pb2.COORDINATE_SPACE_GLTF, asset_pb2.COORDINATE_SPACE_UNITY, asset_pb2.COORDINATE_SPACE_UNREAL
UNITS: dict[int, float] = {GLTF: 1.0, UNITY: 1.0, UNREAL: 100.0}
"""Units of length in a metre."""
Array = npt.NDArray[Any]


def check_space(space: int, field: str) -> int:
    """Return the space that a request names, glTF for none; `InvalidArgument` for an unknown number."""
    if space == asset_pb2.COORDINATE_SPACE_UNSPECIFIED:
        return GLTF
    if space not in UNITS:
        raise InvalidArgument(f"is {space}, expected one of {asset_pb2.CoordinateSpace.keys()}", field=field)
    return space


def tile_to_gltf(space: int, x: int, y: int) -> tuple[int, int]:
    """Return the place in glTF of the tile at (x, y) of a space."""
    if space == UNITY:
        return -1 - x, y
    return (-1 - y, x) if space == UNREAL else (x, y)


def tile_from_gltf(space: int, x: int, y: int) -> tuple[int, int]:
    """Return the place in a space of the tile at (x, y) of glTF."""
    if space == UNITY:
        return -1 - x, y
    return (y, -1 - x) if space == UNREAL else (x, y)


def offset_to_gltf(space: int, x: int, y: int) -> tuple[int, int]:
    """Return the way in glTF between two tiles that lie (x, y) apart in a space."""
    if space == UNITY:
        return -x, y
    return (-y, x) if space == UNREAL else (x, y)


def grid_from_gltf(space: int, grid: Array) -> Array:
    """Return a grid [..., row, column] of glTF as a space has it, contiguous."""
    if space == UNITY:
        grid = grid[..., ::-1]
    if space == UNREAL:
        grid = np.swapaxes(grid, -1, -2)[..., ::-1, :]
    return np.ascontiguousarray(grid)


def grid_to_gltf(space: int, grid: Array) -> Array:
    """Return a grid [..., row, column] of a space as glTF has it, contiguous."""
    if space == UNITY:
        grid = grid[..., ::-1]
    if space == UNREAL:
        grid = np.swapaxes(grid[..., ::-1, :], -1, -2)
    return np.ascontiguousarray(grid)


def points_from_gltf(space: int, points: Array, side: float) -> Array:
    """Return a tile's own points [M, 3] of glTF (metres, from its origin; `side` is its length) as a space has them."""
    x, y, z = points.T
    axes = (x, y, z) if space == GLTF else (side - x, y, z) if space == UNITY else (z, side - x, y)
    turned: Array = np.stack(axes, axis=1) * UNITS[space]
    return turned


def yaws_from_gltf(space: int, yaws: Array) -> Array:
    """Return turns about the up axis of glTF (from +Z towards +X) as a space has them, from 0 to 2 pi."""
    return yaws if space == GLTF else (2 * np.pi - yaws) % (2 * np.pi)
