"""Tiles cropped from worlds: any place, any of the eight symmetries of the square, as a function of a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.scene.classes import CELLS
from export.scene.world import World

WINDOW = 3 * CELLS
"""Cells along the side of a tile with its eight neighbours."""


@dataclass(frozen=True)
class Tiles:
    """Squares of terrain: heights in metres float32 [N, S + 1, S + 1], ground and objects uint8 [N, S, S]."""

    height: np.ndarray
    ground: np.ndarray
    objects: np.ndarray

    def __len__(self) -> int:
        return len(self.height)

    def __getitem__(self, part: slice | np.ndarray) -> Tiles:
        return Tiles(self.height[part], self.ground[part], self.objects[part])


def stack(parts: Sequence[World]) -> Tiles:
    """Worlds of equal size as one batch."""
    height, ground, objects = ([getattr(part, name) for part in parts] for name in ("height", "ground", "objects"))
    return Tiles(np.stack(height).astype(np.float32), np.stack(ground), np.stack(objects))


class TileSource:
    """Draws squares of `cells` x `cells` from worlds, from each as often as its area says, at any place in it.

    Worlds that are smaller are left out. Raises ValueError when none is large enough.
    """

    def __init__(self, worlds: Sequence[World], cells: int = CELLS) -> None:
        self.cells = cells
        self.worlds = [world for world in worlds if min(world.cells) >= cells]
        if not self.worlds:
            sizes = sorted({world.cells for world in worlds})
            raise ValueError(f"no world has {cells} x {cells} cells; they have {sizes}; give larger ones")
        areas = np.array([world.ground.size for world in self.worlds], np.float64)
        self.shares = areas / areas.sum()

    def draw(self, count: int, *address: int) -> Tiles:
        """`count` squares of the address, such as (seed, step): equal addresses give equal squares."""
        rng = np.random.default_rng(address)
        return stack([self._one(int(index), rng) for index in rng.choice(len(self.worlds), count, p=self.shares)])

    def _one(self, index: int, rng: np.random.Generator) -> World:
        world = self.worlds[index]
        row, column = (int(rng.integers(size - self.cells + 1)) for size in world.cells)
        return turned(world.crop(row, column, self.cells), int(rng.integers(8)))


def turned(world: World, symmetry: int) -> World:
    """A square world turned by a quarter for each of symmetry's two low bits and transposed for the third."""

    def turn(values: np.ndarray) -> np.ndarray:
        turned = np.rot90(values, symmetry & 3)
        return np.ascontiguousarray(turned.T if symmetry & 4 else turned)

    return World(world.name, turn(world.height), turn(world.ground), turn(world.objects))


def side_by_side(worlds: Sequence[World]) -> Tiles:
    """The tiles that lie beside each other in the worlds, row by row from each world's upper left corner."""
    return stack(
        [
            world.crop(row, column, CELLS)
            for world in worlds
            for row in range(0, world.cells[0] - CELLS + 1, CELLS)
            for column in range(0, world.cells[1] - CELLS + 1, CELLS)
        ]
    )


def neighbourhood(windows: Tiles) -> Tiles:
    """Cuts windows of 3 x 3 tiles into their nine tiles, row by row: N windows become 9 N tiles."""

    def cut(values: np.ndarray, side: int) -> np.ndarray:
        parts = [
            values[:, row : row + side, column : column + side]
            for row in range(0, WINDOW, CELLS)
            for column in range(0, WINDOW, CELLS)
        ]
        return np.stack(parts, axis=1).reshape(-1, side, side)

    return Tiles(cut(windows.height, CELLS + 1), cut(windows.ground, CELLS), cut(windows.objects, CELLS))
