"""The augmentations of StyleGAN2-ADA (Karras et al. 2020, arXiv:2006.06676, appendix B), differentiable and batched.

What is drawn at random (`draw`) and what is done with it (`apply`) are apart, so that a step can be repeated exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from export.avatar.augment_colour import colour_matrices, recolour
from export.avatar.augment_geometry import affine_matrices, blit, blit_maps, warp

Pipeline = Literal["none", "blit", "bg", "bgc"]
"""`blit` moves whole pixels, `bg` adds general geometry, `bgc` adds colour: the paper's best for small data sets."""

SHIFT = 0.125
"""Range of whole-pixel moves and deviation of fractional ones, as a share of the picture."""


@dataclass(frozen=True)
class Draw:
    """Which transformations each picture of a batch gets; every array has the batch first, on the CPU."""

    flip: Tensor
    """bool [N]: mirrored left to right."""
    turns: Tensor
    """int64 [N]: quarter turns, 0 to 3, counter-clockwise."""
    shift: Tensor
    """int64 [N, 2]: cells to the right and down."""
    affine: Tensor
    """float64 [N, 3, 3]: from places in the result to places in the source, in half pictures from the middle."""
    colour: Tensor
    """float64 [N, 4, 4]: on homogeneous RGB with 0 as mid grey and -1, 1 as the ends."""

    def part(self, chosen: Tensor) -> Draw:
        """The draws of some pictures of the batch."""
        return Draw(*(getattr(self, name)[chosen] for name in ("flip", "turns", "shift", "affine", "colour")))


def draw(pipeline: Pipeline, p: float, count: int, cells: int, rng: torch.Generator) -> Draw:
    """Draws transformations for `count` pictures of cells x cells pixels; each happens to a picture with probability p."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=rng, dtype=torch.float64)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=rng, dtype=torch.float64)

    def when(share: float, value: Tensor, otherwise: float) -> Tensor:
        happens = uniform() < share
        return torch.where(happens.reshape(-1, *[1] * (value.dim() - 1)), value, torch.full_like(value, otherwise))

    limit = math.floor(SHIFT * cells)
    blits = {
        "flip": when(p, (uniform() * 2).floor(), 0.0).bool(),
        "turns": when(p, (uniform() * 4).floor(), 0.0).long(),
        "shift": when(p, ((uniform(2) * 2 - 1) * (limit + 0.5)).round().clamp(-limit, limit), 0.0).long(),
    }
    affine = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    colour = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    if pipeline in ("bg", "bgc"):
        # Two rotations, before and after the uneven scaling, that together happen with probability p.
        rotation = 1.0 - math.sqrt(1.0 - p)
        affine = affine_matrices(
            scale=when(p, (normal() * 0.2).exp2(), 1.0),
            rotate_first=when(rotation, (uniform() * 2 - 1) * math.pi, 0.0),
            stretch=when(p, (normal() * 0.2).exp2(), 1.0),
            rotate_last=when(rotation, (uniform() * 2 - 1) * math.pi, 0.0),
            shift=when(p, normal(2) * SHIFT, 0.0),
        )
    if pipeline == "bgc":
        colour = colour_matrices(
            brightness=when(p, normal() * 0.2, 0.0),
            contrast=when(p, (normal() * 0.5).exp2(), 1.0),
            luma_flip=when(p, (uniform() * 2).floor(), 0.0).bool(),
            hue=when(p, (uniform() * 2 - 1) * math.pi, 0.0),
            saturation=when(p, normal().exp2(), 1.0),
        )
    return Draw(**blits, affine=affine, colour=colour)


def apply(images: Tensor, draws: Draw, pixel_size: int = 1) -> Tensor:
    """Transforms pictures [N, 3 or 4, S, S] in [-1, 1], four channels being premultiplied RGBA.

    Pictures for which nothing was drawn come out bit for bit. Whole-pixel moves go by cells of pixel_size pixels, so
    that pixel art stays on its grid. Colours may leave [-1, 1], as in the paper.
    """
    size = images.shape[2]
    moved = draws.flip | (draws.turns > 0) | (draws.shift != 0).any(dim=1)
    warped = (draws.affine != torch.eye(3, dtype=torch.float64)).flatten(1).any(dim=1)
    recoloured = (draws.colour != torch.eye(4, dtype=torch.float64)).flatten(1).any(dim=1)
    for mask, kind in ((moved, "blit"), (warped, "warp"), (recoloured, "colour")):
        chosen = mask.nonzero()[:, 0]
        if not len(chosen):
            continue
        some, place = draws.part(chosen), chosen.to(images.device)
        part = images.index_select(0, place)
        if kind == "blit":
            part = blit(part, blit_maps(some.flip, some.turns, some.shift * pixel_size, size).to(images.device))
        elif kind == "warp":
            part = warp(part, some.affine.to(images))
        else:
            part = recolour(part, some.colour.to(images))
        images = images.index_copy(0, place, part.to(images.dtype))
    return images
