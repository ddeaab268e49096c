"""Whether a border between tiles can be told: the same figures across borders and inside tiles."""

from __future__ import annotations

import numpy as np

from export.scene.classes import CELLS
from export.scene.tiles import Tiles


def seam_figures(blocks: Tiles) -> dict[str, float]:
    """Figures of large tiles [N, k T + 1, k T + 1], made of k x k tiles, across their inner borders and elsewhere.

    step: mean difference (metres) of the heights one cell before and one cell behind a line of vertices; bend: mean change of
    slope there, times the cell (metres); mismatch: share of the cells on both sides of a line whose ground differs. Each
    ratio is border over inside; 1 means that the border cannot be told.
    """
    views = [(blocks.height, blocks.ground), (blocks.height.transpose(0, 2, 1), blocks.ground.transpose(0, 2, 1))]
    parts = [_across_columns(height, ground) for height, ground in views]
    figures: dict[str, float] = {}
    for name in ("step", "bend", "mismatch"):
        border, inside = (float(np.mean([part[f"{name}_{where}"] for part in parts])) for where in ("border", "inside"))
        figures |= {f"{name}_border": border, f"{name}_inside": inside, f"{name}_ratio": border / inside if inside else np.inf}
    return figures


def _across_columns(height: np.ndarray, ground: np.ndarray) -> dict[str, float]:
    lines = np.arange(1, height.shape[2] - 1)
    at_border = lines % CELLS == 0
    before, at, behind = height[:, :, :-2], height[:, :, 1:-1], height[:, :, 2:]
    step, bend = np.abs(behind - before).mean(axis=(0, 1)), np.abs(behind - 2.0 * at + before).mean(axis=(0, 1))
    mismatch = (ground[:, :, 1:] != ground[:, :, :-1]).mean(axis=(0, 1))
    found = {"step": step, "bend": bend, "mismatch": mismatch}
    return {
        f"{name}_{where}": float(values[chosen].mean())
        for name, values in found.items()
        for where, chosen in (("border", at_border), ("inside", ~at_border))
    }
