"""What a VQ-VAE is trained on: each channel's error, in units in which 1 is a lot."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from export.scene.vqvae import Decoded

HEIGHT_UNIT = 1.0
"""Metres at which Huber's loss turns from a square to a line."""
SLOPE_UNIT = 0.25
"""Rise over run at which it does for slopes."""


def tile_losses(decoded: Decoded, height: Tensor, ground: Tensor, objects: Tensor, metres_per_cell: float) -> dict[str, Tensor]:
    """Huber loss of heights and of slopes between neighbouring vertices, cross-entropies of ground and objects."""
    return {
        "height": F.huber_loss(decoded.height / HEIGHT_UNIT, height / HEIGHT_UNIT),
        "slope": slope_loss(decoded.height, height, metres_per_cell),
        "ground": F.cross_entropy(decoded.ground, ground),
        "objects": F.cross_entropy(decoded.objects, objects),
    }


def slope_loss(found: Tensor, height: Tensor, metres_per_cell: float) -> Tensor:
    """Huber loss of the slopes between vertices beside and below each other, both [N, H, W] in metres."""
    error = (found - height) / (metres_per_cell * SLOPE_UNIT)
    parts = torch.diff(error, dim=2), torch.diff(error, dim=1)
    return sum(F.huber_loss(part, torch.zeros_like(part)) for part in parts) / len(parts)


def picture_losses(found: Tensor, pictures: Tensor) -> dict[str, Tensor]:
    """The squared error of pictures in -1 to 1, over the variance of natural pictures, about 0.25."""
    return {"picture": F.mse_loss(found, pictures) / 0.25}
