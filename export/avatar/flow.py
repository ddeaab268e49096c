"""A mapping network that is a flow: z moves along a learned velocity field until it is a style."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FREQUENCIES = 16


class VelocityBlock(nn.Module):
    """A residual block of two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(nn.functional.silu(self.first(self.norm(x))))


class StyleFlow(nn.Module):
    """Points [N, L] on the sphere of radius sqrt(L) to styles [N, L]: the flow of a velocity field from time 0 to 1.

    The field is learned by flow matching (Lipman et al. 2023, arXiv:2210.02747) along straight lines (Liu et al. 2023,
    arXiv:2209.03003), and followed by the midpoint rule in `steps` steps, each of which asks the field twice.
    """

    def __init__(self, size: int, width: int, blocks: int, steps: int) -> None:
        super().__init__()
        self.enter = nn.Linear(size + 2 * FREQUENCIES, width)
        self.blocks = nn.ModuleList(VelocityBlock(width) for _ in range(blocks))
        self.leave = nn.Linear(width, size)
        self.steps = steps
        self.register_buffer("frequencies", math.pi / 2 * torch.arange(1, FREQUENCIES + 1), persistent=False)
        self.frequencies: Tensor

    def velocity(self, x: Tensor, time: Tensor) -> Tensor:
        """The field [N, L] at points [N, L] and times [N] from 0 to 1."""
        angles = time[:, None] * self.frequencies
        y = self.enter(torch.cat([x, angles.sin(), angles.cos()], dim=1))
        for block in self.blocks:
            y = block(y)
        return self.leave(y)

    def forward(self, x: Tensor) -> Tensor:
        for step in range(self.steps):
            middle = x + self.velocity(x, torch.full_like(x[:, 0], step / self.steps)) * (0.5 / self.steps)
            x = x + self.velocity(middle, torch.full_like(x[:, 0], (step + 0.5) / self.steps)) / self.steps
        return x
