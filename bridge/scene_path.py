"""A camera's path over a world: which tiles come into view, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.scene_request import MAX_COORDINATE, check_count
from bridge.v1 import scene_service_pb2 as pb

STEP = 0.25
"""Tile lengths between two looks from the path."""
LOOKS_PER_TILE = 64


def check_path(path: pb.CameraPath, tile_length: float, max_tiles: int) -> list[tuple[float, float]]:
    """Return the path's points in tile lengths; `tile_length` is in the unit of the request's space."""
    if not path.points:
        raise InvalidArgument("is empty, expected a point or more", field="path.points")
    points = []
    for index, point in enumerate(path.points):
        for name, value in (("x", point.x), ("y", point.y)):
            farthest = MAX_COORDINATE * tile_length
            if not abs(value) <= farthest:
                message = f"is {value:.15g}, expected {-farthest:.15g} to {farthest:.15g}; worlds end there"
                raise InvalidArgument(message, field=f"path.points[{index}].{name}")
        points.append((point.x / tile_length, point.y / tile_length))
    if not 0.0 <= path.view_distance < math.inf:
        raise InvalidArgument(f"is {path.view_distance:g}, expected a length, or 0", field="path.view_distance")
    if (path.view_distance / tile_length) ** 2 > max_tiles:
        message = f"{path.view_distance:g} shows more than {max_tiles} tiles at once; look less far"
        raise ResourceExhausted(message, field="path.view_distance")
    looks = sum(math.dist(one, other) for one, other in pairwise(points)) / STEP + len(points)
    if looks > LOOKS_PER_TILE * max_tiles:
        message = f"{looks * STEP:.0f} tile lengths in one call, expected at most {LOOKS_PER_TILE * max_tiles * STEP:.0f}"
        raise ResourceExhausted(f"{message}; ask in several calls", field="path.points")
    return points


def tiles_along(points: list[tuple[float, float]], view: float, max_tiles: int) -> list[tuple[int, int]]:
    """Return the places (x, y) of all tiles within `view` tile lengths of the path, in the order of coming into view."""
    found: dict[tuple[int, int], None] = {}
    for x, y in _looks(points):
        found.update(dict.fromkeys(_seen(x, y, view)))
        check_count(len(found), max_tiles, "path")
    return list(found)


def _looks(points: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    yield points[0]
    for start, end in pairwise(points):
        count = max(1, math.ceil(math.dist(start, end) / STEP))
        for number in range(1, count + 1):
            share = number / count
            yield start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _seen(x: float, y: float, view: float) -> list[tuple[int, int]]:
    """Return the tiles of which a part lies within `view`, the nearest first; beyond the ends of the world there is none."""
    columns, rows = (_between(math.floor(at - view), math.floor(at + view)) for at in (x, y))
    apart = np.hypot(_apart(columns, x)[None, :], _apart(rows, y)[:, None])
    row, column = np.nonzero(apart <= view)
    order = np.argsort(apart[row, column], kind="stable")
    return [(int(columns[column[i]]), int(rows[row[i]])) for i in order]


def _between(first: int, last: int) -> npt.NDArray[np.int64]:
    return np.arange(max(first, -MAX_COORDINATE), min(last, MAX_COORDINATE) + 1)


def _apart(first: npt.NDArray[np.int64], at: float) -> npt.NDArray[np.float64]:
    """Return how far a place lies outside tiles that begin at `first`."""
    apart: npt.NDArray[np.float64] = np.maximum(np.maximum(first - at, at - (first + 1)), 0.0)
    return apart
