"""Seams: a tile takes over the heights of vertices that it shares with earlier tiles; the difference fades into it.

The difference along the four edges is spread over the tile by a Coons patch (Coons, "Surfaces for Computer-Aided Design of
Space Forms", 1967) whose blending functions have no slope at the edges, so that the tile keeps its own slopes there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.scene_tile import AROUND, Floats, Neighbours, shared

Doubles = npt.NDArray[np.float64]


def fitted(height: Floats, neighbours: Neighbours, low: float, high: float) -> Floats:
    """Return heights float32[V, V], clipped to low .. high, whose shared vertices have the very bits of the neighbours'."""
    own = np.clip(height, low, high)
    border = np.full(own.shape, np.nan, np.float32)
    for offset in reversed(AROUND):
        if offset in neighbours:
            border[shared(offset)] = neighbours[offset].height[shared((-offset[0], -offset[1]))]
    known = ~np.isnan(border)
    if not known.any():
        return own
    difference = np.where(known, border - own, 0.0).astype(np.float64)
    result = np.clip(own + patch(difference, known), low, high).astype(np.float32)
    result[known] = border[known]
    return result


def patch(difference: Doubles, known: npt.NDArray[np.bool_]) -> Doubles:
    """Return a smooth surface float64[V, V] that has the known differences at the edges.

    An edge that is not known as a whole runs between its corners; a corner that is not known is 0.
    """
    rise = smooth(np.linspace(0.0, 1.0, len(difference)))
    edges = [_edge(difference[part], known[part], rise) for part in _EDGES]
    north, south, west, east = edges
    v, u = rise[:, None], rise[None, :]
    rows = (1 - v) * north[None, :] + v * south[None, :]
    columns = (1 - u) * west[:, None] + u * east[:, None]
    corners = (1 - v) * ((1 - u) * north[0] + u * north[-1]) + v * ((1 - u) * south[0] + u * south[-1])
    surface: Doubles = rows + columns - corners
    return surface


def smooth(t: Doubles) -> Doubles:
    """Return 3 t^2 - 2 t^3: from 0 to 1 with no slope at either end."""
    return t * t * (3.0 - 2.0 * t)


_EDGES: tuple[Any, ...] = (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1])


def _edge(values: Doubles, known: npt.NDArray[np.bool_], rise: Doubles) -> Doubles:
    return values if known.all() else (1 - rise) * values[0] + rise * values[-1]
