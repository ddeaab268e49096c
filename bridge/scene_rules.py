"""The rule that gives ground classes to heights that come without, for the sidecar and the exporters alike.

Each cell is judged by its own four vertices alone, so that neighbours agree whether they are judged tile by tile or at once.
Heights are metres above the water level; slopes are rise over run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

BEACH, BEACH_SLOPE = 0.8, 0.35
"""Ground up to this height that is not steeper is sand."""
MARSH, MARSH_SLOPE = 2.5, 0.06
"""Ground up to this height that is not steeper is wetland."""
SNOW_LINE, SNOW_SLOPE = 22.0, 0.9
"""Ground from this height on that is not steeper is snow."""
ROCK_SLOPE = 0.65
TREE_LINE, FOREST_SLOPE = 18.0, 0.2
"""Ground below the tree line that is steeper than this, and not yet rock, is left to the forest."""
Floats = npt.NDArray[np.floating[Any]]


def ground_classes(height: Floats, metres_per_cell: float, classes: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return ground classes uint8 [..., T, T], indices into `classes`, of heights [..., T + 1, T + 1] above the water level.

    The first that holds and that `classes` has: below the water level water; low and gentle sand; low and level wetland; high
    and not too steep snow; steep rock; below the tree line and not gentle forest; else grass, or the first class without it.
    """
    above, slope = cell_mean(height), cell_slope(height, metres_per_cell)
    places = {name: index for index, name in enumerate(classes)}
    ground = np.full(above.shape, places.get("grass", 0), np.uint8)
    for name, holds in (
        ("forest", (slope > FOREST_SLOPE) & (above < TREE_LINE)),
        ("rock", slope > ROCK_SLOPE),
        ("snow", (above > SNOW_LINE) & (slope < SNOW_SLOPE)),
        ("wetland", (above < MARSH) & (slope < MARSH_SLOPE)),
        ("sand", (above < BEACH) & (slope < BEACH_SLOPE)),
        ("water", above < 0.0),
    ):
        if name in places:
            ground[holds] = places[name]
    return ground


def cell_mean(vertices: Floats) -> Floats:
    """Return the mean of each cell's four vertices: [..., T + 1, T + 1] to [..., T, T]."""
    mean: Floats = (vertices[..., :-1, :-1] + vertices[..., :-1, 1:] + vertices[..., 1:, :-1] + vertices[..., 1:, 1:]) * 0.25
    return mean


def cell_slope(height: Floats, metres_per_cell: float) -> Floats:
    """Return the rise over run of each cell by its four vertices: [..., T + 1, T + 1] to [..., T, T]."""
    east, south = np.diff(height, axis=-1), np.diff(height, axis=-2)
    run = 0.5 / metres_per_cell
    slope: Floats = np.hypot((east[..., :-1, :] + east[..., 1:, :]) * run, (south[..., :-1] + south[..., 1:]) * run)
    return slope
