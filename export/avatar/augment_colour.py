"""The colour augmentations: one affine map of RGB for each picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def colour_matrices(*, brightness: Tensor, contrast: Tensor, luma_flip: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """Returns float64 [N, 4, 4] on homogeneous RGB in [-1, 1], every argument being [N].

    In this order: adds `brightness`, scales by `contrast` about mid grey, mirrors the luma axis, rotates by `hue` radians
    about it, and scales the distance from it by `saturation`.
    """
    axis = torch.full((3,), 1.0 / math.sqrt(3.0), dtype=torch.float64)
    along, eye = axis[:, None] * axis[None, :], torch.eye(3, dtype=torch.float64)
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64) / math.sqrt(3.0)

    def each(value: Tensor) -> Tensor:
        return value.double()[:, None, None]

    flip = eye - 2.0 * along * each(luma_flip)
    # Rodrigues' rotation formula about the luma axis.
    rotate = along + each(hue.cos()) * (eye - along) + each(hue.sin()) * across
    saturate = along + each(saturation) * (eye - along)
    linear = saturate @ rotate @ flip * each(contrast)
    matrices = torch.eye(4, dtype=torch.float64).repeat(len(brightness), 1, 1)
    matrices[:, :3, :3] = linear
    matrices[:, :3, 3] = linear.sum(dim=2) * brightness[:, None]
    return matrices


def recolour(images: Tensor, matrices: Tensor) -> Tensor:
    """Maps the colours of [N, 3 or 4, H, W] by [N, 4, 4]; alpha stays, and colours stay multiplied by it."""
    opaque = images.shape[1] == 3
    alpha = torch.ones_like(images[:, :1]) if opaque else (images[:, 3:] + 1.0) / 2.0
    # A colour c in [-1, 1] times alpha: the stored 2 * (alpha * (c + 1) / 2) - 1, plus 1 - alpha.
    weighted = images[:, :3] + (1.0 - alpha)
    mixed = torch.einsum("nij,njhw->nihw", matrices[:, :3, :3], weighted) + matrices[:, :3, 3, None, None] * alpha
    result = mixed - (1.0 - alpha)
    return result if opaque else torch.cat([result, images[:, 3:]], dim=1)
