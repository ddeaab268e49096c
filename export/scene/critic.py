"""The patch discriminator that teaches a decoder the fine relief which codes cannot hold.

As in VQGAN (Esser et al. 2021, arXiv:2012.09841), whose weight of its opinion this takes, with the R1 penalty beside it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.scene.classes import GROUND, METRES_PER_CELL
from export.scene.vqvae import one_hot
from export.scene.vqvae_loss import SLOPE_UNIT

R1_INTERVAL = 8
BETAS = (0.5, 0.9)


class PatchDiscriminator(nn.Module):
    """Slopes and ground classes [N, 2 + G, 64, 64] to verdicts on patches of 20 x 20 cells, high for real: [N, 1, 16, 16]."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        inputs = 2 + len(GROUND)
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 3 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(3 * width, 1, 3, padding=1),
        )

    def forward(self, height: Tensor, ground: Tensor) -> Tensor:
        """Takes heights in metres [N, 65, 65] and ground classes int64 [N, 64, 64]."""
        east = torch.diff(height, dim=2)
        south = torch.diff(height, dim=1)
        slopes = torch.stack([east[:, :-1] + east[:, 1:], south[:, :, :-1] + south[:, :, 1:]], dim=1)
        slopes = slopes * (0.5 / (METRES_PER_CELL * SLOPE_UNIT))
        return self.layers(torch.cat([slopes, one_hot(ground, len(GROUND)).to(slopes.dtype)], dim=1))


class Critic:
    """A patch discriminator with its optimiser: it learns to tell heights from redrawn ones on the same ground."""

    def __init__(self, learning_rate: float, r1_gamma: float, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = PatchDiscriminator().to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=learning_rate, betas=BETAS)
        self.r1_gamma = r1_gamma

    def opinion(self, height: Tensor, ground: Tensor, last: Tensor, error: Tensor) -> Tensor:
        """What a decoder adds to its loss so that redrawn heights pass for real.

        Weighted so that its gradient at the decoder's last weights is as long as that of `error`, the loss of the heights.
        """
        self.network.requires_grad_(False)
        loss = -self.network(height, ground).mean()
        self.network.requires_grad_(True)
        ours, theirs = (torch.autograd.grad(part, last, retain_graph=True)[0].norm() for part in (error, loss))
        return loss * (ours / (theirs + 1e-4)).clamp(0.0, 1e4).detach()

    def train_step(self, real: Tensor, redrawn: Tensor, ground: Tensor, step: int) -> dict[str, Tensor]:
        """One step of the hinge game, now and then with the R1 penalty on real heights; returns both verdicts."""
        penalised = bool(self.r1_gamma) and step % R1_INTERVAL == 0
        real = real.detach().requires_grad_(penalised)
        for_real, for_redrawn = self.network(real, ground), self.network(redrawn.detach(), ground)
        loss = F.relu(1.0 - for_real).mean() + F.relu(1.0 + for_redrawn).mean()
        if penalised:
            slope = torch.autograd.grad(for_real.mean(dim=(1, 2, 3)).sum(), real, create_graph=True)[0]
            loss = loss + self.r1_gamma * R1_INTERVAL * slope.square().sum(dim=(1, 2)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return {"critic/real": for_real.detach().mean(), "critic/redrawn": for_redrawn.detach().mean()}

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's state."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
