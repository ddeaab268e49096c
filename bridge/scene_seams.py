"""Seams: a tile takes over the heights of vertices that it shares with earlier tiles, and goes on with their slopes.

The difference along the four edges is spread over the tile like a Coons patch (Coons, "Surfaces for Computer-Aided Design of
Space Forms", 1967), but wave by wave: each sine wave of an edge fades within half its length, so that what is uneven at an
edge leaves no furrows in the tile. The patch has no slope at the edges; the difference of the slopes on both sides of an edge
is added as a cubic that is 0 on the edge, wave by wave too, so that no crease tells where tiles meet.

Edges behind which nobody stands yet are calmed before: their shortest waves are what a decoder makes up for want of the codes
behind the edge, and the tile that comes there has to take them over.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.scene_tile import AROUND, Floats, Neighbours, Offset, shared

Doubles = npt.NDArray[np.float64]
SHORTEST_FADE = 4.0
"""Cells within which the shortest waves of an edge fade."""
LONGEST_BEND = 16.0
"""Cells within which a tile's own slopes are back, at most."""
CALMED = (4.0, 8.0)
"""Lengths in cells of the waves of an open edge of which nothing and of which everything stays."""
CALMED_ROWS = 3
"""Rows of vertices, from an open edge inwards, that are calmed, each less than the one before."""
TAPER = 8.0
"""Vertices from a corner within which an edge's slopes are not taken over wholly: two edges ask for them there."""


def fitted(height: Floats, neighbours: Neighbours, low: float, high: float) -> Floats:
    """Return heights float32[V, V], clipped to low .. high, whose shared vertices have the very bits of the neighbours'.

    At the edges of neighbours at the sides the slopes are those on the other side of the edge; other edges are calmed.
    """
    own = np.clip(_calmed(height, neighbours), low, high).astype(np.float32)
    border = np.full(own.shape, np.nan, np.float32)
    for offset in reversed(AROUND):
        if offset in neighbours:
            border[shared(offset)] = neighbours[offset].height[shared((-offset[0], -offset[1]))]
    known = ~np.isnan(border)
    if not known.any():
        return own
    difference = np.where(known, border - own, 0.0).astype(np.float64)
    level = own + patch(difference, known)
    level[known] = border[known]
    result = np.clip(level + _bends(level, neighbours), low, high).astype(np.float32)
    result[known] = border[known]
    return result


def _calmed(height: Floats, neighbours: Neighbours) -> Doubles:
    """Return heights [V, V] without the shortest waves of the edges at which there is no neighbour."""
    calmed = height.astype(np.float64)
    last = len(height) - 1
    number, even = np.arange(1, last), np.linspace(0.0, 1.0, last + 1)
    shortest, longest = CALMED
    gone = 1.0 - smooth(np.clip((2.0 * last / number - shortest) / (longest - shortest), 0.0, 1.0))
    waves, _ = _waves(len(height))
    share = 1.0 - smooth(np.arange(CALMED_ROWS) / CALMED_ROWS)
    for side, view in zip(SIDES, _inwards(calmed), strict=True):
        if side not in neighbours:
            rows = view[:CALMED_ROWS]
            uneven = rows - (rows[:, :1] + (rows[:, -1:] - rows[:, :1]) * even)
            rows -= share[:, None] * ((uneven @ waves.T * (2.0 / last) * gone) @ waves)
    return calmed


def _bends(height: Doubles, neighbours: Neighbours) -> Doubles:
    """Return what is to be added to heights [V, V], 0 on the edges, for the slopes across them to be the neighbours'."""
    added = np.zeros_like(height)
    waves, rise = _bent_waves(len(height))
    taper = smooth(np.minimum(np.arange(len(height)), TAPER) / TAPER)
    taper = taper * taper[::-1]
    for offset, own, theirs, view in zip(SIDES, _inwards(height), _OUTWARDS, _inwards(added), strict=True):
        if offset in neighbours:
            beyond = theirs(neighbours[offset].height).astype(np.float64)
            slopes = (beyond[0] - beyond[1]) - (own[1] - own[0])
            view += (rise * (waves @ (slopes * taper))) @ waves * (2.0 / (len(height) - 1))
    return added


@lru_cache(maxsize=8)
def _bent_waves(vertices: int) -> tuple[Doubles, Doubles]:
    """Return the sine waves [K, V] of an edge's slopes, and the height [V, K] that each adds away from it: r (1 - r / L)^2."""
    last = vertices - 1
    number, place = np.arange(1, last)[:, None], np.arange(vertices)[None, :]
    reach = np.clip(last / number, min(SHORTEST_FADE, last / 2), min(LONGEST_BEND, last / 2))
    rise = place * np.maximum(1.0 - place / reach, 0.0) ** 2
    return np.sin(np.pi * number * place / last), rise.T


def _inwards(values: Doubles) -> tuple[Doubles, ...]:
    """Return views of a grid whose rows run inwards from the edges north, south, west and east."""
    return values, values[::-1], values.T, values.T[::-1]


SIDES: tuple[Offset, ...] = ((0, -1), (0, 1), (-1, 0), (1, 0))
"""The neighbours at the edges north, south, west and east."""
_OUTWARDS: tuple[Any, ...] = (
    lambda grid: grid[::-1],
    lambda grid: grid,
    lambda grid: grid.T[::-1],
    lambda grid: grid.T,
)
"""The neighbours' grids with rows that run away from the shared edge."""


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
    for edge, run, part, view in zip(edges, runs, _EDGES, _inwards(surface), strict=True):
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
