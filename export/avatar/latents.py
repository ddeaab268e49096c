"""The random inputs of one training step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from export.avatar.model import ModelConfig


@dataclass(frozen=True)
class Latents:
    """Inputs of the generator for a batch of N pictures, on the CPU."""

    z: Tensor
    """float32 [N, latent_size]."""
    z_mix: Tensor
    """float32 [N, latent_size]: gives the styles from mix_start on."""
    mix_start: Tensor
    """int64 [N]: first layer of the second style; num_layers mixes nothing."""
    noise: Tensor
    """float32 [N, noise_size]."""

    def part(self, chosen: Tensor, device: str) -> Latents:
        """The inputs of some pictures of the batch, on a device."""
        return Latents(*(getattr(self, name)[chosen].to(device) for name in ("z", "z_mix", "mix_start", "noise")))


def draw_latents(config: ModelConfig, count: int, mixing: float, rng: torch.Generator) -> Latents:
    """Draws inputs for `count` pictures, a share `mixing` of them with two styles that meet at a random layer."""
    layers = config.num_layers
    z, z_mix = (torch.randn(count, config.latent_size, generator=rng) for _ in range(2))
    crossover = torch.randint(1, layers, (count,), generator=rng)
    mixed = torch.rand(count, generator=rng) < mixing
    mix_start = torch.where(mixed, crossover, torch.full_like(crossover, layers))
    return Latents(z, z_mix, mix_start, torch.randn(count, config.noise_size, generator=rng))
