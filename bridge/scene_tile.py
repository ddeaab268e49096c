"""A tile as the sidecar keeps it, in glTF's axes, and where tiles lie around each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.scene_card import Spec

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Offset = tuple[int, int]
AROUND: tuple[Offset, ...] = ((0, -1), (-1, 0), (1, 0), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1))
"""The eight neighbours as (x, y): the sides before the corners."""
Grounds = Mapping[Offset, Bytes]
"""Ground classes uint8[T, T] of tiles around a place, by their offsets from it."""
UNKNOWN: Grounds = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Tile:
    """Codes int64[G, G], heights float32[V, V] in metres, ground and object classes uint8[T, T]; none of them is written to.

    `around` has the ground classes of those neighbours that it was made to fit, with which its splat weights go on.
    """

    codes: Ints
    height: Floats
    ground: Bytes
    objects: Bytes
    around: Grounds = field(default_factory=dict)


Neighbours = Mapping[Offset, Tile]
NOBODY: Neighbours = MappingProxyType({})
Owned = tuple[Tile, Neighbours]
"""A tile with those neighbours whose edges its mesh takes over, if a mesh is asked for, the first owner first."""


def grounds(neighbours: Neighbours) -> Grounds:
    """Return the ground classes of tiles alone."""
    return {offset: tile.ground for offset, tile in neighbours.items()}


def surrounded(spec: Spec, codes: Ints, neighbours: Neighbours, margin: int) -> Ints:
    """Return codes int64[G + 2m, G + 2m] with a margin of the neighbours' codes; the outside token where none is."""
    grid = spec.grid
    tokens = np.full((3 * grid, 3 * grid), spec.outside_token, np.int64)
    tokens[grid : 2 * grid, grid : 2 * grid] = codes
    for (x, y), tile in neighbours.items():
        tokens[(1 + y) * grid : (2 + y) * grid, (1 + x) * grid : (2 + x) * grid] = tile.codes
    part = slice(grid - margin, 2 * grid + margin)
    return np.ascontiguousarray(tokens[part, part])


def shared(offset: Offset) -> tuple[Any, Any]:
    """Return the (rows, columns) of a tile's vertices that it shares with the neighbour at an offset, or of its cells there."""
    part = {-1: slice(0, 1), 0: slice(None), 1: slice(-1, None)}
    return part[offset[1]], part[offset[0]]
