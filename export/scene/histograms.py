"""Slope and hypsometry: how much ground is how steep, and how much lies how high, beside the data's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bridge.scene_rules import cell_mean, cell_slope
from export.scene.classes import METRES_PER_CELL
from export.scene.tiles import Tiles

SLOPES = np.linspace(0.0, 2.0, 41)
HEIGHTS = np.linspace(-20.0, 45.0, 66)


def shares_of(tiles: Tiles) -> dict[str, np.ndarray]:
    """The share of the cells in each bin of slope (rise over run) and of height (metres); the last bins hold the rest too."""
    slope = np.clip(cell_slope(tiles.height, METRES_PER_CELL), SLOPES[0], SLOPES[-1])
    height = np.clip(cell_mean(tiles.height), HEIGHTS[0], HEIGHTS[-1])
    return {
        "slope": np.histogram(slope, SLOPES)[0] / slope.size,
        "height": np.histogram(height, HEIGHTS)[0] / height.size,
    }


def compare(first: Tiles, second: Tiles) -> dict[str, Any]:
    """How far the histograms of two sets are apart: half the sum of differences, 0 if equal, 1 if disjoint."""
    ours, theirs = shares_of(first), shares_of(second)
    return {name: float(np.abs(ours[name] - theirs[name]).sum() / 2.0) for name in ours}


def draw(sets: dict[str, Tiles], path: Path) -> None:
    """Draws both histograms of each set into one PNG."""
    from matplotlib.figure import Figure  # takes a second to import

    figure = Figure(figsize=(9.0, 3.2), dpi=110)
    axes = figure.subplots(1, 2)
    for label, tiles in sets.items():
        found = shares_of(tiles)
        for axis, name, edges in ((axes[0], "slope", SLOPES), (axes[1], "height", HEIGHTS)):
            axis.stairs(found[name], edges, label=label)
    for axis, text in ((axes[0], "slope, rise over run"), (axes[1], "height, metres")):
        axis.set_xlabel(text)
        axis.set_ylabel("share of cells")
        axis.legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
