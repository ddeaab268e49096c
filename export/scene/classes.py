"""The classes of a cell and the colours that pictures draw them in."""

from __future__ import annotations

import numpy as np

CELLS = 64
"""Cells along a tile's side; its heights stand on CELLS + 1 vertices, and neighbours share those of their edge."""
METRES_PER_CELL = 2.0

GROUND = ("water", "sand", "grass", "wetland", "forest", "rock", "snow", "road")
OBJECTS = ("none", "tree", "rock", "house")
"""What covers a cell: a tree's crown, a boulder, a building's footprint."""
BIOMES = ("plains", "forest", "wetland", "hills", "mountains", "water")

WATER, SAND, GRASS, WETLAND, FOREST, ROCK, SNOW, ROAD = range(len(GROUND))
NOTHING, TREE, BOULDER, HOUSE = range(len(OBJECTS))

GROUND_COLOURS = np.array(
    [
        (70, 120, 180),
        (222, 205, 150),
        (150, 185, 95),
        (110, 150, 120),
        (72, 120, 64),
        (140, 132, 124),
        (242, 244, 248),
        (96, 84, 76),
    ],
    np.uint8,
)
OBJECT_COLOURS = np.array([(0, 0, 0), (34, 82, 40), (88, 84, 82), (186, 64, 48)], np.uint8)
