"""Where trees, boulders and buildings stand: documented rules, drawn from a seed."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_filter

from export.scene.classes import BOULDER, FOREST, GRASS, HOUSE, NOTHING, ROAD, ROCK, SAND, SNOW, TREE, WETLAND

TREE_SHARE = {FOREST: 0.95, GRASS: 0.08, WETLAND: 0.15}
"""How many of a forest's trees are kept on each ground, where the world has no tree density of its own."""
CROWN = 0.8
"""A crown covers the cells within this share of its radius."""
BOULDER_SHARE = {ROCK: 0.05, SNOW: 0.012, GRASS: 0.0015}
HOUSE_CELLS = 4
"""Cells along a building's side."""
HOUSE_GAP = 3
"""Cells between two buildings."""
HOUSE_FROM_ROAD = (1.5, 4.5)
"""Cells from the road to a building's nearest cell."""
HOUSE_SLOPE = 0.3
VILLAGE_METRES = 45.0
"""Within this distance of a crossing every place along the road is tried; elsewhere one in OUTLYING."""
OUTLYING = 25


def tree_density(ground: np.ndarray) -> np.ndarray:
    """The share of trees kept on each cell by its ground: float32 [H, W]."""
    return np.array([TREE_SHARE.get(number, 0.0) for number in range(ROAD + 1)], np.float32)[ground]


def plant(
    objects: np.ndarray, sites: np.ndarray, density: np.ndarray, metres_per_cell: float, rng: np.random.Generator
) -> None:
    """Marks the crowns of trees [N, 3] (x, y, crown radius in metres) on `objects`, each kept with the density at its foot."""
    rows, columns = objects.shape
    chosen = rng.random(len(sites))
    for (x, y, radius), chance in zip(sites / metres_per_cell, chosen, strict=True):
        row, column = int(y), int(x)
        if row < rows and column < columns and chance < density[row, column]:
            _disc(objects, y, x, radius * CROWN, TREE)


def scatter_boulders(objects: np.ndarray, ground: np.ndarray, rng: np.random.Generator) -> None:
    """Puts boulders of one to twelve cells on bare ground, by the shares above."""
    shares = np.array([BOULDER_SHARE.get(number, 0.0) for number in range(ROAD + 1)])
    for row, column in np.argwhere(rng.random(ground.shape) < shares[ground]):
        _disc(objects, row + 0.5, column + 0.5, rng.uniform(0.6, 1.6), BOULDER)


def build_houses(
    objects: np.ndarray,
    ground: np.ndarray,
    slope: np.ndarray,
    crossings: np.ndarray,
    metres_per_cell: float,
    rng: np.random.Generator,
) -> int:
    """Puts square buildings along roads and clears the trees around them; returns how many.

    A place is free when all its cells are gentle grass, forest or sand, its nearest cell lies within HOUSE_FROM_ROAD of a
    road, and no other building is nearer than HOUSE_GAP. Places are tried in random order: all within VILLAGE_METRES of
    a crossing (float [N, 2], x and y in metres), one in OUTLYING elsewhere.
    """
    road = ground == ROAD
    if not road.any():
        return 0
    from_road = distance_transform_edt(~road)
    buildable = np.isin(ground, (GRASS, FOREST, SAND)) & (slope < HOUSE_SLOPE)
    near, far = HOUSE_FROM_ROAD
    places = np.argwhere((from_road >= near) & (from_road <= far) & buildable)
    built = 0
    for row, column in rng.permutation(places):
        to_crossing = np.min(np.hypot(*(crossings / metres_per_cell - (column, row)).T), initial=np.inf)
        in_village = to_crossing * metres_per_cell < VILLAGE_METRES
        if not in_village and rng.integers(OUTLYING):
            continue
        first = (row - HOUSE_CELLS // 2, column - HOUSE_CELLS // 2)
        if _free(first, objects, buildable, from_road):
            _build(first, objects)
            built += 1
    return built


def settle(objects: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Removes what stands on roads and in water: only cells whose ground can carry an object keep one."""
    carries = np.isin(ground, (SAND, GRASS, WETLAND, FOREST, ROCK, SNOW))
    return np.where(carries, objects, NOTHING).astype(np.uint8)


def clear_beside_roads(objects: np.ndarray, ground: np.ndarray) -> None:
    """Removes the trees and boulders that touch a road."""
    beside = maximum_filter(ground == ROAD, size=3)
    objects[beside & (objects != HOUSE)] = NOTHING


def _free(first: tuple[int, int], objects: np.ndarray, buildable: np.ndarray, from_road: np.ndarray) -> bool:
    (row, column), side = first, HOUSE_CELLS
    if min(first) < 0 or row + side > objects.shape[0] or column + side > objects.shape[1]:
        return False
    plot = (slice(row, row + side), slice(column, column + side))
    around = (
        slice(max(0, row - HOUSE_GAP), row + side + HOUSE_GAP),
        slice(max(0, column - HOUSE_GAP), column + side + HOUSE_GAP),
    )
    return bool(buildable[plot].all() and from_road[plot].min() >= HOUSE_FROM_ROAD[0] and not (objects[around] == HOUSE).any())


def _build(first: tuple[int, int], objects: np.ndarray) -> None:
    (row, column), side = first, HOUSE_CELLS
    yard = objects[max(0, row - 1) : row + side + 1, max(0, column - 1) : column + side + 1]
    yard[yard != HOUSE] = NOTHING
    objects[row : row + side, column : column + side] = HOUSE


def _disc(objects: np.ndarray, y: float, x: float, radius: float, kind: int) -> None:
    """Marks the cells whose middle lies within a disc (in cells), and the cell of its middle."""
    rows, columns = objects.shape
    top, left = max(0, int(y - radius)), max(0, int(x - radius))
    part = objects[top : int(y + radius) + 1, left : int(x + radius) + 1]
    row, column = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    part[(row + 0.5 - y) ** 2 + (column + 0.5 - x) ** 2 <= radius * radius] = kind
    objects[min(rows - 1, int(y)), min(columns - 1, int(x))] = kind
