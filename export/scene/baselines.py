"""What a generator must beat: terrain from noise, and codes of real tiles in random order."""

from __future__ import annotations

import numpy as np
from pyworldgen.core.hash import signed_fbm2

from bridge.scene_rules import ground_classes
from export.scene.classes import CELLS, GROUND, METRES_PER_CELL
from export.scene.tiles import Tiles


def noise_terrain(like: Tiles, seed: int = 0) -> Tiles:
    """Fractal noise of five octaves, from 110 metres down, each tile with the mean and deviation of one of the tiles given."""
    rng = np.random.default_rng(seed)
    column, row = np.meshgrid(np.arange(CELLS + 1), np.arange(CELLS + 1))
    heights = []
    for height in like.height:
        x, y = (rng.uniform(0.0, 1e5) + axis * METRES_PER_CELL * 0.009 for axis in (column, row))
        noise = signed_fbm2(x, y, 5, int(rng.integers(1 << 30)))
        heights.append((noise - noise.mean()) / max(float(noise.std()), 1e-6) * height.std() + height.mean())
    stacked = np.stack(heights).astype(np.float32)
    ground = ground_classes(stacked, METRES_PER_CELL, GROUND)
    return Tiles(stacked, ground, np.zeros_like(ground))


def shuffled_codes(codes: np.ndarray, seed: int = 0) -> np.ndarray:
    """The codes [N, G, G] of each tile in random order: right in number, wrong in place."""
    rng = np.random.default_rng(seed)
    flat = codes.reshape(len(codes), -1)
    return rng.permuted(flat, axis=1).reshape(codes.shape)
