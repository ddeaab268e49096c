"""Pictures of terrain: shaded relief, class colours and objects as RGB."""

from __future__ import annotations

import numpy as np

from export.scene.classes import GROUND_COLOURS, NOTHING, OBJECT_COLOURS
from export.scene.world import World

AZIMUTH, ALTITUDE = np.deg2rad(315.0), np.deg2rad(45.0)
"""The sun of maps: from the upper left, half-way up."""
AMBIENT = 0.25


def hillshade(height: np.ndarray, metres_per_cell: float, *, exaggerate: float = 1.0) -> np.ndarray:
    """Lambert shading of heights in metres [..., H + 1, W + 1]: float32 [..., H, W] from 0 (dark) to 1.

    Rows run from north to south; level ground has sin 45° = 0.71.
    """
    h = height * exaggerate
    east = (h[..., :-1, 1:] - h[..., :-1, :-1] + h[..., 1:, 1:] - h[..., 1:, :-1]) * (0.5 / metres_per_cell)
    south = (h[..., 1:, :-1] - h[..., :-1, :-1] + h[..., 1:, 1:] - h[..., :-1, 1:]) * (0.5 / metres_per_cell)
    sun = (np.cos(ALTITUDE) * np.sin(AZIMUTH), -np.cos(ALTITUDE) * np.cos(AZIMUTH), np.sin(ALTITUDE))
    lit = (sun[2] - east * sun[0] - south * sun[1]) / np.sqrt(1.0 + east**2 + south**2)
    return np.clip(lit, 0.0, 1.0).astype(np.float32)


def shaded_grey(height: np.ndarray, metres_per_cell: float) -> np.ndarray:
    """The hillshade of tiles [N, 65, 65] as grey pictures uint8 [N, 3, 64, 64]: what FD-VGG looks at."""
    grey = np.round(hillshade(height, metres_per_cell) * 255.0).astype(np.uint8)
    return np.repeat(grey[:, None], 3, axis=1)


def coloured(height: np.ndarray, ground: np.ndarray, objects: np.ndarray, metres_per_cell: float) -> np.ndarray:
    """Ground colours and objects under the hillshade: uint8 [..., H, W, 3]."""
    colour = GROUND_COLOURS[ground].astype(np.float32)
    colour = np.where((objects != NOTHING)[..., None], OBJECT_COLOURS[objects], colour)
    light = AMBIENT + (1.0 - AMBIENT) * hillshade(height, metres_per_cell, exaggerate=1.5) / np.sin(ALTITUDE)
    return np.clip(colour * light[..., None], 0.0, 255.0).astype(np.uint8)


def draw(world: World, metres_per_cell: float) -> np.ndarray:
    """A world as a picture uint8 [H, W, 3], one pixel a cell."""
    return coloured(world.height, world.ground, world.objects, metres_per_cell)
