"""What a VQ-VAE learns to redraw: tiles of terrain or pictures. Both offer the same four things."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from export.scene import pictures, reconstruction, vqvae_loss
from export.scene.classes import METRES_PER_CELL
from export.scene.hillshade import coloured
from export.scene.tiles import Tiles, TileSource
from export.scene.vqvae import VQVAE

HELD_OUT = 1 << 32
"""Address of the held-out draws: their seeds are no training step's."""
SHOWN = 32


class Task(Protocol):
    """Batches as the model's inputs, their losses, held-out figures and a sheet of originals over reconstructions."""

    def draw(self, count: int, *address: int) -> tuple[Tensor, ...]: ...
    def losses(self, decoded: object, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]: ...
    def figures(self, model: VQVAE) -> dict[str, float]: ...
    def sheet(self, model: VQVAE) -> np.ndarray: ...


class TileTask:
    """Tiles of terrain; `count` held-out ones are measured."""

    def __init__(self, train: TileSource, held_out: TileSource, count: int = 256) -> None:
        self.train = train
        self.unseen = held_out.draw(count, HELD_OUT)

    def draw(self, count: int, *address: int) -> tuple[Tensor, ...]:
        """Height, ground and objects."""
        return tensors(self.train.draw(count, *address))

    def losses(self, decoded: object, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Huber losses and cross-entropies."""
        return vqvae_loss.tile_losses(decoded, *inputs, METRES_PER_CELL)

    def figures(self, model: VQVAE) -> dict[str, float]:
        """Errors in metres, accuracies and code usage."""
        return reconstruction.flat(reconstruction.measure(model, self.unseen))

    def sheet(self, model: VQVAE) -> np.ndarray:
        """Held-out tiles, and below each row its reconstructions."""
        shown = self.unseen[:SHOWN]
        return interleaved(rendered(shown), rendered(reconstruction.reconstruct(model, shown)))


class PictureTask:
    """Pictures; the held-out ones are measured by their squared error."""

    def __init__(
        self,
        train: pictures.PictureSource | pictures.RenderedSource,
        held_out: pictures.PictureSource | pictures.RenderedSource,
        count: int = 32,
    ) -> None:
        self.train = train
        self.unseen = held_out.draw(count, HELD_OUT)

    def draw(self, count: int, *address: int) -> tuple[Tensor, ...]:
        """Pictures from -1 to 1."""
        return (pictures.to_signed(self.train.draw(count, *address)),)

    def losses(self, decoded: object, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """The squared error."""
        return vqvae_loss.picture_losses(decoded, *inputs)

    def figures(self, model: VQVAE) -> dict[str, float]:
        """Peak signal-to-noise ratio in decibels and code usage."""
        return reconstruction.measure_pictures(model, self.unseen)

    @torch.no_grad()
    def sheet(self, model: VQVAE) -> np.ndarray:
        """Held-out pictures, and below each row its reconstructions."""
        shown = self.unseen[:SHOWN]
        return interleaved(shown, pictures.to_bytes(model.decode(model.encode(pictures.to_signed(shown)))))


def tensors(tiles: Tiles) -> tuple[Tensor, ...]:
    """Height float32, ground and objects int64 as the model takes them."""
    return torch.from_numpy(tiles.height), torch.from_numpy(tiles.ground).long(), torch.from_numpy(tiles.objects).long()


def rendered(tiles: Tiles) -> np.ndarray:
    """Tiles as pictures uint8 [N, 3, 64, 64]."""
    return coloured(tiles.height, tiles.ground, tiles.objects, METRES_PER_CELL).transpose(0, 3, 1, 2)


def interleaved(above: np.ndarray, below: np.ndarray, columns: int = 8) -> np.ndarray:
    """Rows of `columns` pictures [N, C, H, W], each above the row of its counterparts."""
    usable = len(above) - len(above) % columns or len(above)
    starts = range(0, usable, columns)
    return np.concatenate([part[start : start + columns] for start in starts for part in (above, below)])
