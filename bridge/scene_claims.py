"""Claims: the heights and classes that a request gives beside a tile's codes, held against what these decode to.

A tile that was made to fit others has taken over their edges, has spread the difference over its inside, and was decoded with
their codes in sight; none of them need be at hand. So its heights are held against its codes' in three ways. On average they
lie near them. Nearly everywhere they do so when the difference at the edges is spread as a tile that fits spreads it. In the
middle, where only long waves of that are left, they have the same relief: heights of another tile have not. The limits give
way to a lively relief, since what neighbours make of an edge is as far from its own as their ground is from the tile's.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bridge.errors import InvalidArgument
from bridge.scene_card import Range
from bridge.scene_seams import Doubles, patch
from bridge.scene_tile import Bytes, Floats

AWAY = (0.15, 0.5)
"""Mean distance from the codes' heights at most, as shares of the model's range and of the difference of those heights."""
UNSPREAD = (0.08, 0.5)
"""The same for the distance that 5 % of the vertices keep when the difference at the edges is spread over the tile."""
UNLIKE = (0.001, 0.75)
"""Difference of the reliefs at most, as shares of the model's range and of both reliefs, all of them root mean squares."""
NEAR = (0.01, 0.05)
"""Mean distance within which heights need not have the relief of their codes, as the shares of AWAY."""
OTHER_CELLS = 0.6
"""Share of the cells with another class than the codes' at most."""
LONG_WAVES = 3
"""Degree of the polynomials along both axes that are no relief."""


def check_height_claim(height: Floats, decoded: Floats, bounds: Range, field: str) -> None:
    """Raise `InvalidArgument` when heights [V, V] cannot be those of a tile whose codes alone decode to `decoded`."""
    extent, rise = bounds.high - bounds.low, float(np.ptp(decoded))
    edges = np.ones(height.shape, bool)
    edges[1:-1, 1:-1] = False
    difference = height.astype(np.float64) - decoded
    spread = np.clip(decoded + patch(np.where(edges, difference, 0.0), edges), bounds.low, bounds.high)
    away, unspread = float(np.abs(difference).mean()), float(np.quantile(np.abs(height - spread), 0.95))
    for distance, (of_extent, of_rise), what in (
        (away, AWAY, "lie {:.3g} m from their codes' on average"),
        (unspread, UNSPREAD, "lie {:.3g} m or more from their codes' between these edges on 5 % of the vertices"),
    ):
        most = of_extent * extent + of_rise * rise
        if distance > most:
            message = f"{what.format(distance)}, expected at most {most:.3g}; encode them again"
            raise InvalidArgument(message, field=field)
    unlike, most = _unlike(height, decoded, bounds)
    if unlike > most and away > NEAR[0] * extent + NEAR[1] * rise:
        message = f"rise and fall otherwise than their codes' in the middle, by {unlike:.3g} m, expected at most {most:.3g}"
        raise InvalidArgument(f"{message}; encode them again", field=field)


def check_class_claim(classes: Bytes, decoded: Bytes, field: str) -> None:
    """Raise `InvalidArgument` when classes [T, T] cannot be those of a tile whose codes decode to `decoded`."""
    share = float((classes != decoded).mean())
    if share > OTHER_CELLS:
        message = f"has other classes than its codes in {share:.0%} of the cells, expected at most {OTHER_CELLS:.0%}"
        raise InvalidArgument(f"{message}; encode it again", field=field)


def _unlike(height: Floats, decoded: Floats, bounds: Range) -> tuple[float, float]:
    """Return how far two reliefs differ in the middle half of a tile, where heights are not clipped, and how far they may."""
    quarter = len(height) // 4
    middle = slice(quarter, len(height) - quarter)
    mine, theirs = (one[middle, middle].astype(np.float64).ravel() for one in (height, decoded))
    free = (mine > bounds.low) & (mine < bounds.high)
    if not free.any():
        return 0.0, 0.0
    reliefs = np.stack([mine, theirs, mine - theirs], axis=1)[free]
    waves = _long_waves(len(height) - 2 * quarter)[free]
    reliefs -= waves @ np.linalg.lstsq(waves, reliefs, rcond=None)[0]
    own, other, unlike = np.sqrt((reliefs**2).mean(axis=0))
    of_extent, of_both = UNLIKE
    return float(unlike), float(of_extent * (bounds.high - bounds.low) + of_both * np.hypot(own, other))


@lru_cache(maxsize=8)
def _long_waves(vertices: int) -> Doubles:
    """Return an orthonormal basis [vertices^2, K] of what bends slowly along both axes."""
    along, _ = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, vertices), LONG_WAVES))
    return np.kron(along, along)
