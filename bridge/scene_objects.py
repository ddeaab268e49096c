"""Objects: from the class of each cell to instances that stand on the ground, dry, and apart from each other.

Candidates are the dry cells that have a class. One after another in a seeded order, the middles of an object's cells first,
each is kept unless it is too near to one that is kept: Poisson-disc sampling by dart throwing, restricted to where objects are.
All darts whose turn has come are thrown at once, which gives the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge import seeds
from bridge.scene_card import Spec
from bridge.scene_tile import Bytes, Tile

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Instances:
    """Objects of a tile in glTF: classes uint8[M], feet float64[M, 3] in metres from its origin, yaws and scales float64[M]."""

    classes: Bytes
    positions: Doubles
    yaws: Doubles
    scales: Doubles


def instances(tile: Tile, spec: Spec, seed: int, place: int) -> Instances:
    """Return the objects of a tile; equal tiles, seeds and places give equal objects.

    Each stays half its spacing away from the tile's edge, so that neighbours' objects are apart too.
    """
    cells = spec.tile_cells
    uniform = seeds.object_uniforms(seed, place, 5 * cells * cells).reshape(5, cells, cells)
    rows, columns = np.mgrid[:cells, :cells]
    x, z = (columns + uniform[0]) * spec.metres_per_cell, (rows + uniform[1]) * spec.metres_per_cell
    spacing = np.array([thing.spacing_metres for thing in spec.object_classes])[tile.objects]
    inside = np.minimum(np.minimum(x, z), spec.metres - np.maximum(x, z)) >= spacing / 2
    water = np.array([ground.water for ground in spec.ground_classes])[tile.ground]
    height = _on_ground(tile.height, x / spec.metres_per_cell, z / spec.metres_per_cell)
    candidates = (tile.objects > 0) & inside & ~water & (height >= 0.0)
    kept = _darts(candidates, x, z, spacing, _order(tile.objects, uniform[2]), spec)
    classes = tile.objects[kept]
    return Instances(
        classes,
        np.stack([x[kept], height[kept], z[kept]], axis=1),
        _yaws(spec, classes, uniform[3][kept]),
        _scales(spec, classes, uniform[4][kept]),
    )


def _order(objects: Bytes, uniform: Doubles) -> Doubles:
    """Return each cell's turn: cells in the middle of others of their class come first, chance decides between equals."""
    padded = np.pad(objects, 1)
    cells = len(objects)
    shifted = [padded[row : row + cells, column : column + cells] for row in range(3) for column in range(3)]
    order: Doubles = uniform - np.sum(np.stack(shifted) == objects, axis=0)
    return order


def _darts(candidates: Mask, x: Doubles, z: Doubles, spacing: Doubles, order: Doubles, spec: Spec) -> Mask:
    """Return which candidates are kept: the lexicographically first set, in `order`, of which no two are too near."""
    nearby = [offset for offset in _offsets(spec) if offset > (0, 0)]
    everywhere = {offset: _conflict(offset, candidates, x, z, spacing) for offset in nearby}
    conflicts = {offset: conflict for offset, conflict in everywhere.items() if conflict.any()}
    open_, kept = candidates.copy(), np.zeros_like(candidates)
    while open_.any():
        turn = open_.copy()
        for offset, conflict in conflicts.items():
            one, other = _pair(offset, len(open_))
            rivals = conflict & open_[one] & open_[other]
            first = order[one] < order[other]
            turn[one] &= ~(rivals & ~first)
            turn[other] &= ~(rivals & first)
        kept |= turn
        open_ &= ~turn
        for offset, conflict in conflicts.items():
            one, other = _pair(offset, len(open_))
            open_[one] &= ~(conflict & turn[other])
            open_[other] &= ~(conflict & turn[one])
    return kept


def _offsets(spec: Spec) -> list[tuple[int, int]]:
    """Return the (row, column) offsets of all cells whose points can be too near to each other."""
    widest = max((thing.spacing_metres for thing in spec.object_classes[1:]), default=0.0)
    reach = int(np.ceil(widest / spec.metres_per_cell))
    return [(row, column) for row in range(-reach, reach + 1) for column in range(-reach, reach + 1)]


def _pair(offset: tuple[int, int], cells: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the parts of a grid that lie upon each other when it is moved by an offset."""
    one = tuple(slice(max(0, -step), cells - max(0, step)) for step in offset)
    other = tuple(slice(max(0, step), cells - max(0, -step)) for step in offset)
    return (one[0], one[1]), (other[0], other[1])


def _conflict(offset: tuple[int, int], candidates: Mask, x: Doubles, z: Doubles, spacing: Doubles) -> Mask:
    one, other = _pair(offset, len(x))
    apart = (spacing[one] + spacing[other]) / 2
    near: Mask = (x[one] - x[other]) ** 2 + (z[one] - z[other]) ** 2 < apart**2
    return near & candidates[one] & candidates[other]


def _on_ground(height: npt.NDArray[np.float32], columns: Doubles, rows: Doubles) -> Doubles:
    """Return the height at places counted in cells, bilinear between the vertices of each cell."""
    row, column = np.minimum(rows.astype(np.intp), len(height) - 2), np.minimum(columns.astype(np.intp), len(height) - 2)
    v, u = rows - row, columns - column
    north = height[row, column] * (1 - u) + height[row, column + 1] * u
    south = height[row + 1, column] * (1 - u) + height[row + 1, column + 1] * u
    ground: Doubles = north * (1 - v) + south * v
    return ground


def _yaws(spec: Spec, classes: Bytes, uniform: Doubles) -> Doubles:
    steps = np.array([thing.yaw_steps for thing in spec.object_classes])[classes]
    stepped = np.floor(uniform * steps) / np.maximum(steps, 1)
    yaws: Doubles = np.where(steps > 0, stepped, uniform) * 2 * np.pi
    return yaws


def _scales(spec: Spec, classes: Bytes, uniform: Doubles) -> Doubles:
    low, high = (np.array([getattr(thing.scale, end) for thing in spec.object_classes])[classes] for end in ("low", "high"))
    scales: Doubles = low + (high - low) * uniform
    return scales
