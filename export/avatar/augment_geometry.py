"""The geometric augmentations: whole-pixel moves by an index, general ones by one affine resampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def blit_maps(flip: Tensor, turns: Tensor, shift: Tensor, size: int) -> Tensor:
    """Returns int64 [N, size * size]: for each pixel of the result the pixel of the source that it shows.

    A picture is mirrored, then turned counter-clockwise, then moved; what comes in at a side is the picture's reflection.
    """
    grid = torch.arange(size)
    rows, columns = (line[:, None] for line in (grid, grid))
    y = _reflect(rows - shift[:, 1], size)[:, :, None].expand(size, len(shift), size).transpose(0, 1)
    x = _reflect(columns - shift[:, 0], size).t()[:, None, :].expand(len(shift), size, size)
    last = size - 1
    quarter = turns[:, None, None]
    turned_y = torch.where(quarter == 1, x, torch.where(quarter == 2, last - y, torch.where(quarter == 3, last - x, y)))
    turned_x = torch.where(quarter == 1, last - y, torch.where(quarter == 2, last - x, torch.where(quarter == 3, y, x)))
    source_x = torch.where(flip[:, None, None], last - turned_x, turned_x)
    return (turned_y * size + source_x).flatten(1)


def blit(images: Tensor, maps: Tensor) -> Tensor:
    """Rearranges the pixels of [N, C, S, S] by maps int64 [N, S * S]; no value changes."""
    index = maps[:, None, :].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).reshape(images.shape)


def affine_matrices(*, scale: Tensor, rotate_first: Tensor, stretch: Tensor, rotate_last: Tensor, shift: Tensor) -> Tensor:
    """Returns float64 [N, 3, 3] that take a place in the result to the place in the source that it shows.

    Places are in half pictures from the middle, x right and y down. The picture is scaled, rotated, stretched in x by
    `stretch` and in y by its inverse, rotated again and moved by `shift` [N, 2] in pictures; all others are [N].
    """
    zero, one = torch.zeros_like(scale), torch.ones_like(scale)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack([*entries, zero, zero, one], dim=1).reshape(-1, 3, 3)

    def rotation(angle: Tensor) -> Tensor:
        return matrix(angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero)

    inverse = matrix(1.0 / scale, zero, zero, zero, 1.0 / scale, zero) @ rotation(-rotate_first)
    inverse = inverse @ matrix(1.0 / stretch, zero, zero, zero, stretch, zero) @ rotation(-rotate_last)
    return inverse @ matrix(one, zero, -2.0 * shift[:, 0], zero, one, -2.0 * shift[:, 1])


def warp(images: Tensor, affine: Tensor) -> Tensor:
    """Resamples [N, C, S, S] by affine [N, 3, 3]: the mean of 2 x 2 bilinear samples a pixel, reflecting at the sides."""
    count, channels, height, width = images.shape
    grid = F.affine_grid(affine[:, :2], [count, channels, 2 * height, 2 * width], align_corners=False)
    fine = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return F.avg_pool2d(fine, 2)


def _reflect(place: Tensor, size: int) -> Tensor:
    """Folds places outside 0 ... size - 1 back at the outer edges of the first and the last pixel."""
    folded = place % (2 * size)
    return torch.where(folded < size, folded, 2 * size - 1 - folded)
