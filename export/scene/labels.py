"""What a tile is asked by: its biome, its ruggedness and its share of water, all by rule from heights and ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.scene_rules import cell_slope
from export.scene.classes import BIOMES, FOREST, GROUND, METRES_PER_CELL, ROCK, SNOW, WATER, WETLAND
from export.scene.tiles import Tiles

RUGGED = 1.0
"""Mean slope (rise over run) that counts as ruggedness 1; steeper tiles do too."""
MOSTLY_WATER, HIGH_GROUND, WOODED, MARSHY, HILLY = 0.6, 0.2, 0.35, 0.25, 0.22


@dataclass(frozen=True)
class Labels:
    """Of N tiles: biome int64 [N] (a place in BIOMES), ruggedness and water share float32 [N] from 0 to 1."""

    biome: np.ndarray
    ruggedness: np.ndarray
    water: np.ndarray


def label(tiles: Tiles, metres_per_cell: float = METRES_PER_CELL) -> Labels:
    """Labels tiles by rule.

    Ruggedness is the mean slope of the cells over RUGGED. The biome is the first that holds: water where more than
    MOSTLY_WATER of the cells are water; mountains, rock and snow above HIGH_GROUND; forest above WOODED; wetland above
    MARSHY; hills, ruggedness above HILLY; else plains.
    """
    slope = cell_slope(tiles.height, metres_per_cell)
    ruggedness = np.minimum(slope.mean(axis=(1, 2)) / RUGGED, 1.0).astype(np.float32)
    share = np.stack([(tiles.ground == number).mean(axis=(1, 2)) for number in range(len(GROUND))])
    rules = (
        ("water", share[WATER] > MOSTLY_WATER),
        ("mountains", share[ROCK] + share[SNOW] > HIGH_GROUND),
        ("forest", share[FOREST] > WOODED),
        ("wetland", share[WETLAND] > MARSHY),
        ("hills", ruggedness > HILLY),
    )
    biome = np.full(len(tiles), BIOMES.index("plains"), np.int64)
    for name, holds in reversed(rules):
        biome[holds] = BIOMES.index(name)
    return Labels(biome, ruggedness, share[WATER].astype(np.float32))


def painted(ground: np.ndarray, downsampling: int) -> np.ndarray:
    """The commonest ground class of each code's cells: uint8 [N, S, S] to int64 [N, S / d, S / d]; ties go to the first."""
    count, side = len(ground), ground.shape[1] // downsampling
    blocks = ground.reshape(count, side, downsampling, side, downsampling)
    votes = np.stack([(blocks == number).sum(axis=(2, 4)) for number in range(len(GROUND))])
    return votes.argmax(axis=0)
