"""Flow matching: the mapping network learns to give the styles that an encoder finds in pictures."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from export.avatar.model import Mapping

WARM_UP_STEPS = 300


@dataclass(frozen=True)
class FlowConfig:
    """How the mapping network learns the styles of pictures."""

    steps: int = 14_000
    """Steps of the optimiser."""
    batch: int = 256
    """Styles in a step."""
    learning_rate: float = 0.002
    """Learning rate of AdamW at its highest; it falls along a quarter of a cosine to a hundredth."""
    noise: float = 0.1
    """Deviation of the noise on the styles, whose own deviation is 1, so that no single picture is learned by heart."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"flow {name} is {getattr(self, name)}; it must be above 0")
        if not self.noise >= 0:
            raise ValueError(f"flow noise is {self.noise}; it must not be below 0")


class FlowMatching:
    """The mapping network's flow while it learns, and its averaged weights.

    styles [N, L] are the encoder's. The field at a point between z and a style is regressed onto their difference; z and style
    of a pair are drawn apart, so that what is learned is the mean over all pairs whose lines pass there.
    """

    def __init__(self, config: FlowConfig, mapping: Mapping, styles: Tensor, seed: int) -> None:
        if mapping.flow is None:
            raise ValueError("the mapping network is not a flow; give --model.mapping flow")
        self.config, self.mapping, self.flow, self.styles = config, mapping, mapping.flow.requires_grad_(True), styles
        self.rng = torch.Generator().manual_seed(seed)
        self.average = copy.deepcopy(mapping).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.flow.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True
        )
        self.count = 0

    def step(self) -> float:
        """One step; returns the loss, the mean squared error of the field."""
        config, size = self.config, self.styles.shape[1]
        falling = max(0.01, math.cos(self.count / config.steps * math.pi / 2))
        self.optimiser.param_groups[0]["lr"] = config.learning_rate * min(1.0, (self.count + 1) / WARM_UP_STEPS) * falling
        chosen = torch.randint(len(self.styles), (config.batch,), generator=self.rng)
        end = self.styles[chosen] + config.noise * torch.randn(config.batch, size, generator=self.rng)
        start = Mapping.on_sphere(torch.randn(config.batch, size, generator=self.rng))
        time = torch.rand(config.batch, generator=self.rng)
        between = torch.lerp(start, end, time[:, None])
        loss = (self.flow.velocity(between, time) - (end - start)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        with torch.no_grad():
            for ours, theirs in zip(self.average.parameters(), self.mapping.parameters(), strict=True):
                ours.lerp_(theirs, 0.002)
        self.count += 1
        return float(loss.detach())

    def is_finite(self) -> bool:
        """Whether all weights are finite numbers."""
        return all(bool(torch.isfinite(weight).all()) for weight in self.mapping.parameters())

    @torch.no_grad()
    def averaged(self, count: int = 20_000) -> Mapping:
        """The averaged mapping network, with the mean of its styles."""
        z = torch.randn(count, self.styles.shape[1], generator=self.rng)
        self.average.w_mean.copy_(self.average.to_w(z).mean(dim=0))
        return self.average
