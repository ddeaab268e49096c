"""The climate of a world: what its tiles are like where nothing is asked for.

A prior that is told nothing draws what is commonest, and worlds become plains. So the card carries a sample of what real tiles
are like, in an order in which those that follow each other are alike, and every place of a world takes one of them. Which one
is a smooth random field over places: value noise, a lattice noise like Perlin's ("An image synthesizer", SIGGRAPH 1985), scaled
so that at each place it is uniform over seeds. Over many worlds tiles are as often of a kind as in the data; within a world the
kind changes slowly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge import seeds as draws
from bridge.scene_card import FREE, TileKind
from bridge.scene_decoding import place

TILES_APART = 6
"""Tiles between two places whose kinds do not depend on each other."""
FEWEST, SHARE = 4, 16
"""Where a number is asked for, as many of the kinds that are nearest to it remain: one in SHARE, FEWEST at the least."""


@dataclass(frozen=True)
class Conditions:
    """What a world is to be like, as the prior takes it: -1 is free; `steps` 0 is the model's default.

    With `climate` the card's climate says what is free before the prior is asked.
    """

    biome: int = FREE
    ruggedness: float = FREE
    water_share: float = FREE
    steps: int = 0
    climate: bool = True


def completed(kinds: Sequence[TileKind], asked: Conditions, seed: int, at: tuple[int, int]) -> Conditions:
    """Return the conditions with what they leave free taken from a kind that has what they ask for, by seed and place.

    They stay as they are without the climate, and where no kind has the biome.
    """
    likely = _likely(kinds, asked) if asked.climate else []
    if not likely:
        return asked
    kind = likely[min(int(level(seed, at) * len(likely)), len(likely) - 1)]
    return replace(
        asked,
        biome=kind.biome if asked.biome == FREE else asked.biome,
        ruggedness=kind.ruggedness if asked.ruggedness == FREE else asked.ruggedness,
        water_share=kind.water_share if asked.water_share == FREE else asked.water_share,
    )


def level(seed: int, at: tuple[int, int]) -> float:
    """Return the field of a world at a place: uniform in (0, 1) over seeds, and much the same at the next place."""
    (column, east), (row, south) = (divmod(one, TILES_APART) for one in at)
    corners = [place(column + x, row + y) for y in (0, 1) for x in (0, 1)]
    heights = draws.climate_normals(seed, corners)
    along, down = (_eased(one / TILES_APART) for one in (east, south))
    weights = [b * a for b in (1.0 - down, down) for a in (1.0 - along, along)]
    normal = sum(w * float(h) for w, h in zip(weights, heights, strict=True)) / math.hypot(*weights)
    return 0.5 * math.erfc(-normal / math.sqrt(2.0))


def _eased(share: float) -> float:
    return share * share * (3.0 - 2.0 * share)


def _likely(kinds: Sequence[TileKind], asked: Conditions) -> list[TileKind]:
    """Return, in their order, the kinds of the asked biome, and of those the nearest to the asked numbers."""
    likely = [kind for kind in kinds if asked.biome in (FREE, kind.biome)]
    numbers = [name for name in ("ruggedness", "water_share") if getattr(asked, name) != FREE]
    if not numbers or not likely:
        return likely

    def distance(number: int) -> float:
        return sum(abs(float(getattr(likely[number], name) - getattr(asked, name))) for name in numbers)

    nearest = sorted(range(len(likely)), key=distance)[: max(FEWEST, len(kinds) // SHARE)]
    return [likely[number] for number in sorted(nearest)]
