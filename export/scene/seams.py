"""Whether a border between tiles can be told: the same figures across borders and inside tiles."""

from __future__ import annotations

import numpy as np

from export.scene.classes import CELLS
from export.scene.tiles import Tiles

KINDS = ("step", "bend", "ground_mismatch", "object_mismatch")


def seam_figures(blocks: Tiles) -> dict[str, float]:
    """Figures of large tiles [N, k T + 1, k T + 1], made of k x k tiles, across their inner borders and elsewhere.

    step: mean difference (metres) of the heights one cell before and one cell behind a line of vertices; bend: mean change of
    slope there, times the cell (metres); ground_mismatch and object_mismatch: share of the cells whose class differs from that
    of the cell on the other side of a line. Each ratio is border over inside; 1 means that the border cannot be told.
    """
    parts = [_across_columns(blocks), _across_columns(_turned(blocks))]
    figures: dict[str, float] = {}
    for name in KINDS:
        border, inside = (float(np.mean([part[f"{name}_{where}"] for part in parts])) for where in ("border", "inside"))
        figures |= {f"{name}_border": border, f"{name}_inside": inside, f"{name}_ratio": border / inside if inside else np.inf}
    return figures


def _across_columns(blocks: Tiles) -> dict[str, float]:
    height = blocks.height
    lines = np.arange(1, height.shape[2] - 1)
    at_border = lines % CELLS == 0
    before, at, behind = height[:, :, :-2], height[:, :, 1:-1], height[:, :, 2:]
    step, bend = np.abs(behind - before).mean(axis=(0, 1)), np.abs(behind - 2.0 * at + before).mean(axis=(0, 1))
    found = (step, bend, _mismatch(blocks.ground), _mismatch(blocks.objects))
    return {
        f"{name}_{where}": float(values[chosen].mean())
        for name, values in zip(KINDS, found, strict=True)
        for where, chosen in (("border", at_border), ("inside", ~at_border))
    }


def _mismatch(classes: np.ndarray) -> np.ndarray:
    """Of each line between columns the share of the cells whose class changes there."""
    return (classes[:, :, 1:] != classes[:, :, :-1]).mean(axis=(0, 1))


def _turned(blocks: Tiles) -> Tiles:
    return Tiles(*(values.transpose(0, 2, 1) for values in (blocks.height, blocks.ground, blocks.objects)))
