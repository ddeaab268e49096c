"""A sample of what tiles of the data are like, from which worlds take what is not asked for (`bridge.scene_climate`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bridge.scene_card import TileKind
from bridge.scene_climate import Conditions as Asked
from bridge.scene_climate import completed
from export.scene.classes import BIOMES
from export.scene.code_windows import CodeWindows
from export.scene.prior import Conditions

KINDS = 128
ALIKE = ("water", "wetland", "plains", "forest", "hills", "mountains")
"""Biomes in an order in which those beside each other lie beside each other in landscapes too."""


def sampled(windows: CodeWindows, count: int = KINDS) -> list[list[float]]:
    """What `count` of the tiles are like, or all, as rows of a card: biome, ruggedness and water share.

    They stand in the order of ALIKE, in water the wettest first, else the flattest, and are picked at equal steps of it.
    """
    ranks = np.array([ALIKE.index(name) for name in BIOMES])[windows.biome]
    within = np.where(ranks == ALIKE.index("water"), -windows.water, windows.ruggedness)
    order = np.lexsort((within, ranks))
    count = min(count, len(order))
    picked = order[(np.arange(count) * 2 + 1) * len(order) // (2 * count)]
    return [[int(windows.biome[i]), *(round(float(of[i]), 4) for of in (windows.ruggedness, windows.water))] for i in picked]


def complete(
    kinds: Sequence[TileKind], asked: Conditions, seeds: Sequence[int], places: Sequence[tuple[int, int]] | None = None
) -> Conditions:
    """The conditions of tiles of worlds: what is not asked for comes from the climate at their places, (0, 0) if not given.

    A tile on which something is painted is left as it is, as the sidecar leaves it.
    """
    found = []
    for number, at in enumerate([(0, 0)] * len(seeds) if places is None else places):
        one = Asked(int(asked.biome[number]), float(asked.ruggedness[number]), float(asked.water_share[number]))
        free = not (asked.painted[number] >= 0).any()
        found.append(completed(kinds, one, seeds[number], at) if free else one)
    return Conditions(
        asked.painted,
        torch.tensor([one.biome for one in found]),
        torch.tensor([one.ruggedness for one in found], dtype=torch.float32),
        torch.tensor([one.water_share for one in found], dtype=torch.float32),
    )
