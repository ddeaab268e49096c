"""Pictures for the image mode: a folder of them, or the rendered built-in worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.avatar import picture_folder
from export.avatar.pictures import over
from export.scene.classes import CELLS, METRES_PER_CELL
from export.scene.hillshade import draw
from export.scene.tiles import Tiles, TileSource
from export.scene.world import World


class PictureSource:
    """Draws pictures uint8 [N, 3, S, S] from a set, mirrored half of the time, as a function of an address."""

    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures = pictures

    def draw(self, count: int, *address: int) -> np.ndarray:
        """`count` pictures of the address: equal addresses give equal pictures."""
        rng = np.random.default_rng(address)
        chosen = self.pictures[rng.integers(len(self.pictures), size=count)]
        mirrored = rng.integers(2, size=count).astype(bool)
        chosen[mirrored] = chosen[mirrored][..., ::-1]
        return chosen


class RenderedSource:
    """Draws squares of worlds and renders them: RGB pictures of hillshade, ground colours and objects."""

    def __init__(self, worlds: list[World], size: int) -> None:
        # A world of 224 cells is enlarged for pictures of 256 pixels.
        self.enlarge = -(-size // min(min(world.cells) for world in worlds))
        self.size = size
        self.tiles = TileSource(worlds, max(CELLS, -(-size // self.enlarge)))

    def draw(self, count: int, *address: int) -> np.ndarray:
        """`count` pictures uint8 [N, 3, S, S] of the address."""
        tiles: Tiles = self.tiles.draw(count, *address)
        parts = zip(tiles.height, tiles.ground, tiles.objects, strict=True)
        drawn = np.stack([draw(World("", *part), METRES_PER_CELL) for part in parts]).transpose(0, 3, 1, 2)
        large = drawn.repeat(self.enlarge, axis=2).repeat(self.enlarge, axis=3)
        return np.ascontiguousarray(large[:, :, : self.size, : self.size])


def read_folder(path: Path, size: int, minimum: int = 16) -> np.ndarray:
    """Every picture below a folder, its middle square resized, on white: uint8 [N, 3, S, S]. Raises ValueError, see there."""
    files, refused = picture_folder.find(path)
    prepared = picture_folder.read_all(path, files, refused, size, 1)
    picture_folder.check_minimum(path, len(prepared.images), prepared.left_out, minimum)
    return over(prepared.images, (255, 255, 255))


def to_signed(pictures: np.ndarray) -> Tensor:
    """uint8 to float32 from -1 to 1."""
    return torch.from_numpy(pictures).float() / 127.5 - 1.0


def to_bytes(signed: Tensor) -> np.ndarray:
    """Float from -1 to 1 to uint8; what lies outside is cut."""
    return ((signed.detach().clamp(-1.0, 1.0) + 1.0) * 127.5).round().byte().numpy()
