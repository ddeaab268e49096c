"""Borders of classes: a tile goes on with what stands beside it on the neighbours' ground.

A decoder that sees the neighbours' codes says what it would put on their nearest cells. Where something else stands there,
because the neighbour was decoded when nothing was known of this tile, the difference of the probabilities is added to the
tile's own and fades wave by wave, as heights do. What was decoded alike on both sides stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.scene_seams import SIDES, Doubles, smooth
from bridge.scene_tile import Bytes, Offset

SHORTEST, LONGEST = 2.0, 8.0
"""Cells within which the shortest and the longest waves of a border fade."""


def classes(logits: npt.NDArray[np.float32], around: Mapping[Offset, Bytes], ring: int) -> Bytes:
    """Return the likeliest class uint8[T, T] of each cell, next to the classes uint8[T, T] of neighbours at the sides.

    logits float32[C, T + 2 r, T + 2 r] have a ring of `ring` cells, 0 or 1; without it nothing is known of the neighbours'
    cells, and theirs are not looked at.
    """
    likeliest: Bytes = likelihoods(logits, around, ring).argmax(axis=0).astype(np.uint8)
    return likeliest


def likelihoods(logits: npt.NDArray[np.float32], around: Mapping[Offset, Bytes], ring: int) -> Doubles:
    """Return how likely each class is in each cell [C, T, T], next to the neighbours' classes; see `classes`.

    They are probabilities with differences added, so that some may be below 0 or above 1.
    """
    likely = _softmax(logits)
    inside = slice(ring, likely.shape[1] - ring)
    own = likely[:, inside, inside].copy()
    if ring:
        for side, beyond, view in zip(SIDES, _beyond(likely), _inwards(own), strict=True):
            if side in around:
                view += _fading(missing(beyond, _nearest(around[side], side)), view.shape[1])
    return own


def missing(likely: Doubles, there: Bytes) -> Doubles:
    """Return what likelihoods [C, ...] lack for the classes uint8[...] that are there; 0 where those are likeliest anyway."""
    certain = there[None] == np.arange(len(likely)).reshape(-1, *[1] * there.ndim)
    return np.where(likely.argmax(axis=0) == there, 0.0, certain - likely)


def _fading(differences: Doubles, cells: int) -> Doubles:
    """Return what is left of a border's differences [C, T] in the rows [C, T, T] behind it."""
    waves, left = _waves(cells)
    faded: Doubles = (left[None] * (differences @ waves.T)[:, None, :]) @ waves
    return faded


@lru_cache(maxsize=8)
def _waves(cells: int) -> tuple[Doubles, Doubles]:
    """Return the orthonormal cosine waves [K, T] of a border (DCT-II), and how much of each is left [T, K] behind it."""
    number, place = np.arange(cells)[:, None], np.arange(cells)[None, :]
    waves = np.cos(np.pi * number * (place + 0.5) / cells) * np.sqrt(np.where(number, 2.0, 1.0) / cells)
    reach = np.clip(cells / np.maximum(number, 1), SHORTEST, LONGEST)
    return waves, (1.0 - smooth(np.minimum((place + 1.0) / (reach + 1.0), 1.0))).T


def _softmax(logits: npt.NDArray[np.float32]) -> Doubles:
    raised = np.exp((logits - logits.max(axis=0)).astype(np.float64))
    shares: Doubles = raised / raised.sum(axis=0)
    return shares


def _inwards(grid: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """Return views of [C, T, T] whose rows run inwards from the edges of `SIDES`."""
    turned = grid.transpose(0, 2, 1)
    return grid, grid[:, ::-1], turned, turned[:, ::-1]


def _beyond(grid: Doubles) -> tuple[Doubles, ...]:
    """Return the cells [C, T] of the ring beside each edge, without its corners."""
    return tuple(view[:, 0, 1:-1] for view in _inwards(grid))


def _nearest(there: Bytes, side: Offset) -> Bytes:
    """Return the cells [T] of the neighbour at a side that touch the tile."""
    x, y = side
    cells: Bytes = there[-1 if y < 0 else 0] if y else there[:, -1 if x < 0 else 0]
    return cells
