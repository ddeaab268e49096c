"""A world: a rectangle of ground that tiles are cropped from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.scene.classes import CELLS, GROUND, OBJECTS


@dataclass(frozen=True)
class World:
    """Ground of H x W cells: heights in metres float32 [H + 1, W + 1] on the vertices, classes uint8 [H, W] on the cells.

    Heights are those of the ground, under water those of its bed. Raises ValueError where shapes, heights or classes
    are not such.
    """

    name: str
    height: np.ndarray
    ground: np.ndarray
    objects: np.ndarray

    def __post_init__(self) -> None:
        rows, columns = self.ground.shape
        if self.height.shape != (rows + 1, columns + 1) or self.objects.shape != (rows, columns):
            raise ValueError(
                f'world "{self.name}" has heights {self.height.shape}, ground {self.ground.shape} and objects '
                f"{self.objects.shape}; expected one vertex more than cells along each side"
            )
        if min(rows, columns) < CELLS:
            raise ValueError(f'world "{self.name}" has {rows} x {columns} cells; a tile needs {CELLS} x {CELLS}')
        if not np.isfinite(self.height).all():
            bad = np.count_nonzero(~np.isfinite(self.height))
            raise ValueError(f'world "{self.name}" has {bad} heights that are not finite')
        for name, classes, known in (("ground", self.ground, GROUND), ("object", self.objects, OBJECTS)):
            if classes.max() >= len(known):
                raise ValueError(f'world "{self.name}" has {name} class {classes.max()}; the last one is {len(known) - 1}')

    @property
    def cells(self) -> tuple[int, int]:
        """Cells from top to bottom and from left to right."""
        return self.ground.shape

    def crop(self, row: int, column: int, cells: int) -> World:
        """The square of `cells` x `cells` whose first cell is (row, column)."""
        return World(
            self.name,
            self.height[row : row + cells + 1, column : column + cells + 1],
            self.ground[row : row + cells, column : column + cells],
            self.objects[row : row + cells, column : column + cells],
        )
