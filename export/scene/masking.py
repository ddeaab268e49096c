"""What is hidden from a prior while it learns: codes of the tile, neighbours, conditions. All from one generator."""

from __future__ import annotations

import numpy as np
import torch

from export.scene.code_windows import CodeWindows
from export.scene.prior import FREE, Conditions
from export.scene.prior_config import PriorTrainConfig

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, Conditions]
"""Tokens [N, S, S], the true codes [N, G, G], which of them are hidden bool [N, G, G], and the conditions."""


def batch(windows: CodeWindows, chosen: np.ndarray, codes: int, config: PriorTrainConfig, rng: np.random.Generator) -> Batch:
    """The windows `chosen`, with codes, neighbours and conditions hidden at random."""
    margin = config.model.margin
    tokens = windows.codes[chosen].astype(np.int64)
    grid = tokens.shape[1] - 2 * margin
    inside = slice(margin, margin + grid)
    true = tokens[:, inside, inside].copy()
    hidden = np.stack([_hidden(grid, config, rng) for _ in chosen])
    tokens[:, inside, inside] = np.where(hidden, codes, true)
    for window in tokens:
        hide_neighbours(window, present(config.no_neighbours, rng), margin, codes + 1)
    conditions = _conditions(windows, chosen, config, rng)
    return torch.from_numpy(tokens), torch.from_numpy(true), torch.from_numpy(hidden), conditions


def cosine_count(progress: float, cells: int) -> int:
    """How many of a tile's codes are masks at a progress from 0 to 1: a cosine (MaskGIT, section 3.2), at least 1."""
    return max(1, int(np.ceil(np.cos(np.pi / 2 * progress) * cells - 1e-9)))


def present(none: float, rng: np.random.Generator) -> np.ndarray:
    """Which of the 3 x 3 tiles are there: bool [3, 3]; none of the neighbours with the probability `none`."""
    share = 0.0 if rng.random() < none else rng.random()
    there = rng.random((3, 3)) < share
    there[1, 1] = True
    return there


def hide_neighbours(window: np.ndarray, there: np.ndarray, margin: int, outside: int) -> None:
    """Writes `outside` into the margin of tokens [S, S] where a neighbour is not there."""
    size = window.shape[0]
    parts = (slice(0, margin), slice(margin, size - margin), slice(size - margin, size))
    for row, column in np.argwhere(~there):
        window[parts[row], parts[column]] = outside


def _hidden(grid: int, config: PriorTrainConfig, rng: np.random.Generator) -> np.ndarray:
    """A random part of a tile, as decoding leaves it, or a rectangle of it, as editing does."""
    hidden = np.zeros((grid, grid), bool)
    where = hidden
    if rng.random() < config.inpainting:
        height, width = rng.integers(2, grid + 1, 2)
        row, column = rng.integers(grid - height + 1), rng.integers(grid - width + 1)
        where = hidden[row : row + height, column : column + width]
    count = cosine_count(rng.random(), where.size)
    where[np.unravel_index(rng.permutation(where.size)[:count], where.shape)] = True
    return hidden


def _conditions(windows: CodeWindows, chosen: np.ndarray, config: PriorTrainConfig, rng: np.random.Generator) -> Conditions:
    count = len(chosen)
    free = rng.random((3, count)) < config.drop_condition
    brush = np.stack([_brush(windows.painted.shape[1], config.drop_painting, rng) for _ in chosen])
    values = (
        np.where(brush, windows.painted[chosen].astype(np.int64), FREE),
        np.where(free[0], FREE, windows.biome[chosen]),
        np.where(free[1], np.float32(FREE), windows.ruggedness[chosen]),
        np.where(free[2], np.float32(FREE), windows.water[chosen]),
    )
    return Conditions(*(torch.from_numpy(value) for value in values))


def _brush(grid: int, none: float, rng: np.random.Generator) -> np.ndarray:
    """Where classes are painted: nowhere, everywhere or in a rectangle."""
    brush = np.zeros((grid, grid), bool)
    if rng.random() < none:
        return brush
    if rng.random() < 0.5:
        return ~brush
    height, width = rng.integers(1, grid + 1, 2)
    row, column = rng.integers(grid - height + 1), rng.integers(grid - width + 1)
    brush[row : row + height, column : column + width] = True
    return brush
