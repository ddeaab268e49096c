"""A game over styles alone: the mapping network learns to give the styles that an encoder finds in pictures."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.avatar.loss import discriminator_loss, generator_loss
from export.avatar.model import Mapping

GROUP = 8
"""Styles whose spread the judge sees together."""


@dataclass(frozen=True)
class StyleGameConfig:
    """The game in which the mapping network learns the styles of pictures."""

    steps: int = 12_000
    """Steps of both players."""
    batch: int = 256
    """Styles in a step, a multiple of 8."""
    learning_rate: float = 0.05
    """Learning rate of the mapping network, whose layers scale it by 0.01."""
    judge_rate: float = 0.001
    """Learning rate of the network that judges styles."""
    r1_gamma: float = 0.2
    """Weight of the R1 penalty, applied every eighth step."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < GROUP or self.batch % GROUP:
            raise ValueError(f"steps {self.steps}, batch {self.batch}: steps must be above 0, batch a multiple of {GROUP}")


class StyleJudge(nn.Module):
    """Styles [N, L] to logits [N], high for those of pictures; N is a multiple of GROUP."""

    def __init__(self, size: int, width: int = 256) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(size, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2))
        self.last = nn.Sequential(nn.Linear(width + 1, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, styles: Tensor) -> Tensor:
        x = self.first(styles)
        spread = x.reshape(-1, GROUP, x.shape[1]).std(dim=1).mean(dim=1).repeat_interleave(GROUP)
        return self.last(torch.cat([x, spread[:, None]], dim=1))[:, 0]


class StyleGame:
    """Both players and their averaged mapping network.

    styles [N, L] are the encoder's; noise is the deviation of what is added to the styles of both sides before the judge
    sees them, so that it learns no finer differences than the synthesis network was taught to overlook.
    """

    def __init__(self, config: StyleGameConfig, mapping: Mapping, styles: Tensor, noise: float, seed: int) -> None:
        self.config, self.mapping, self.styles, self.noise = config, mapping.requires_grad_(True), styles, noise
        self.rng = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.judge = StyleJudge(styles.shape[1])
        self.average = copy.deepcopy(mapping).requires_grad_(False)
        self.count = 0
        self.optimisers = [
            torch.optim.Adam(network.parameters(), lr=rate, betas=(0.0, 0.99), fused=True)
            for network, rate in ((self.judge, config.judge_rate), (self.mapping, config.learning_rate))
        ]
        self.rates = [config.judge_rate, config.learning_rate]

    def step(self) -> dict[str, float]:
        """One step of both players; returns their losses."""
        config, pace = self.config, max(0.02, math.cos(self.count / self.config.steps * math.pi / 2))
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * pace
        real = self._blurred(self.styles[torch.randint(len(self.styles), (config.batch,), generator=self.rng)])
        fake = self._blurred(self.mapping.to_w(torch.randn(config.batch, self.styles.shape[1], generator=self.rng)))
        loss = discriminator_loss(self.judge(real), self.judge(fake.detach()))
        total = loss if self.count % 8 else loss + 8 * 0.5 * config.r1_gamma * self._gradient(real)
        self.optimisers[0].zero_grad()
        total.backward()
        self.optimisers[0].step()
        self.judge.requires_grad_(False)
        answer = generator_loss(self.judge(fake))
        self.optimisers[1].zero_grad()
        answer.backward()
        self.optimisers[1].step()
        self.judge.requires_grad_(True)
        with torch.no_grad():
            for ours, theirs in zip(self.average.parameters(), self.mapping.parameters(), strict=True):
                ours.lerp_(theirs, 0.002)
        self.count += 1
        return {"styles/judge": float(loss.detach()), "styles/mapping": float(answer.detach())}

    @torch.no_grad()
    def averaged(self, count: int = 20_000) -> Mapping:
        """The averaged mapping network, with the mean of its styles."""
        z = torch.randn(count, self.styles.shape[1], generator=self.rng)
        self.average.w_mean.copy_(self.average.to_w(z).mean(dim=0))
        return self.average

    def _blurred(self, styles: Tensor) -> Tensor:
        return styles + self.noise * torch.randn(styles.shape, generator=self.rng)

    def _gradient(self, real: Tensor) -> Tensor:
        """The mean squared norm of the judge's gradient at the pictures' styles."""
        styles = real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.judge(styles).sum(), styles, create_graph=True)
        return gradient.square().sum(dim=1).mean()
