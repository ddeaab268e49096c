"""Seams: a tile takes over the heights of vertices that it shares with earlier tiles; the difference fades into it.

The difference along the four edges is spread over the tile like a Coons patch (Coons, "Surfaces for Computer-Aided Design of
Space Forms", 1967), but wave by wave: each sine wave of an edge fades within half its length, so that what is uneven at an
edge leaves no furrows in the tile. Nothing has a slope at the edges, so that the tile keeps its own slopes there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.scene_tile import AROUND, Floats, Neighbours, shared

Doubles = npt.NDArray[np.float64]
SHORTEST_FADE = 4.0
"""Cells within which the shortest waves of an edge fade."""


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
    even = np.linspace(0.0, 1.0, len(difference))
    rise = smooth(even)
    edges = [difference[part] for part in _EDGES]
    runs = [_between(edge, even if known[part].all() else rise) for edge, part in zip(edges, _EDGES, strict=True)]
    surface = _coons(runs, rise)
    waves, fading = _waves(len(difference))
    for edge, run, part, view in zip(edges, runs, _EDGES, (surface, surface[::-1], surface.T, surface.T[::-1]), strict=True):
        if known[part].all():
            view += (fading * (waves @ (edge - run))) @ waves * (2.0 / (len(edge) - 1))
    return surface


def _coons(edges: list[Doubles], rise: Doubles) -> Doubles:
    """Return the patch [V, V] between the edges north, south, west and east."""
    north, south, west, east = edges
    v, u = rise[:, None], rise[None, :]
    rows = (1 - v) * north[None, :] + v * south[None, :]
    columns = (1 - u) * west[:, None] + u * east[:, None]
    corners = (1 - v) * ((1 - u) * north[0] + u * north[-1]) + v * ((1 - u) * south[0] + u * south[-1])
    surface: Doubles = rows + columns - corners
    return surface


@lru_cache(maxsize=8)
def _waves(vertices: int) -> tuple[Doubles, Doubles]:
    """Return the sine waves [K, V] of an edge that is 0 at its corners, and how much of each is left [V, K] away from it."""
    last = vertices - 1
    number, place = np.arange(1, last)[:, None], np.arange(vertices)[None, :]
    reach = np.maximum(last / number, SHORTEST_FADE)
    return np.sin(np.pi * number * place / last), (1.0 - smooth(np.minimum(place / reach, 1.0))).T


def smooth(t: Doubles) -> Doubles:
    """Return 3 t^2 - 2 t^3: from 0 to 1 with no slope at either end."""
    return t * t * (3.0 - 2.0 * t)


_EDGES: tuple[Any, ...] = (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1])


def _between(edge: Doubles, rise: Doubles) -> Doubles:
    """Return the run from an edge's first corner to its last."""
    run: Doubles = (1 - rise) * edge[0] + rise * edge[-1]
    return run
