"""What conditions do: tiles that are asked for something, and how much of it they have by the rules that label the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from export.scene.classes import BIOMES, GROUND
from export.scene.labels import label
from export.scene.prior import Conditions
from export.scene.sample import free
from export.scene.tiles import Tiles

SHARES = (0.1, 0.25, 0.5, 0.75)
"""Water shares and ruggednesses that are asked for."""


def measure(draw: Callable[[Conditions], Tiles], count: int, grid: int) -> dict[str, Any]:
    """Draws `count` tiles of grid x grid codes with nothing asked for, and as many for each condition alone.

    Returns under nothing_asked and asked the means of water share and ruggedness, the share of the tiles that have each biome
    and the share of the cells that have each ground class; asked has them by what was asked for: a number, or the biome or
    the class painted everywhere.
    """

    def drawn(**asked: torch.Tensor) -> dict[str, Any]:
        return _found(draw(free(count, grid)._replace(**asked)))

    asked: dict[str, dict[str, float]] = {
        name: {f"{share:g}": drawn(**{name: torch.full((count,), share)})[name] for share in SHARES}
        for name in ("water_share", "ruggedness")
    }
    asked["biome"] = {name: drawn(biome=torch.full((count,), number))["biome"][name] for number, name in enumerate(BIOMES)}
    asked["painted"] = {
        name: drawn(painted=torch.full((count, grid, grid), number))["painted"][name] for number, name in enumerate(GROUND)
    }
    return {"tiles": count, "nothing_asked": drawn(), "asked": asked}


def rows(found: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What `measure` gave as lines: what was asked for, what was got, and what is there when nothing is asked for."""
    without, lines = found["nothing_asked"], []
    for kind, values in found["asked"].items():
        for name, got in values.items():
            there = without[kind][name] if isinstance(without[kind], dict) else without[kind]
            lines.append((f"{kind.replace('_', ' ')} {name}", got, there))
    return lines


def _found(tiles: Tiles) -> dict[str, Any]:
    labels = label(tiles)
    return {
        "water_share": float(labels.water.mean()),
        "ruggedness": float(labels.ruggedness.mean()),
        "biome": {name: float((labels.biome == number).mean()) for number, name in enumerate(BIOMES)},
        "painted": {name: float(np.mean(tiles.ground == number)) for number, name in enumerate(GROUND)},
    }
