"""Pictures from seeds, equal to what the sidecar gives for the same seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bridge import seeds as draws
from export.avatar.model import Generator
from export.avatar.pictures import to_uint8

MAX_TRUNCATION = 2.0


def generate(
    generator: Generator,
    seeds: Sequence[int],
    truncation: float | None = None,
    batch: int = 16,
    *,
    offset: Tensor | None = None,
) -> np.ndarray:
    """Draws one picture for each seed: uint8 [N, image_channels, H, W], RGBA premultiplied."""
    return to_uint8(draw(generator, seeds, truncation, batch, offset=offset))


@torch.no_grad()
def draw(
    generator: Generator,
    seeds: Sequence[int],
    truncation: float | None = None,
    batch: int = 16,
    *,
    offset: Tensor | None = None,
) -> np.ndarray:
    """Draws one picture for each seed: float32 [N, image_channels, H, W], about -1 to 1. The draws are those of `bridge.seeds`.

    truncation None is the model's own. offset [num_layers, L] is added to the styles, as `Controls.offset` gives it for the
    values of sliders.
    Raises ValueError for a seed or a truncation out of range.
    """
    truncation = generator.config.default_truncation if truncation is None else truncation
    for seed in seeds:
        if not 0 <= seed <= draws.MAX_SEED:
            raise ValueError(f"seed is {seed}; it must be from 0 to {draws.MAX_SEED}")
    if not 0.0 <= truncation <= MAX_TRUNCATION:
        raise ValueError(f"truncation is {truncation}; it must be from 0 to {MAX_TRUNCATION:g}")
    config = generator.config
    device = generator.mapping.w_mean.device
    pictures = []
    for start in range(0, len(seeds), batch):
        part = list(seeds[start : start + batch])
        z = torch.from_numpy(draws.latents(part, config.latent_size)).to(device)
        noise = torch.from_numpy(draws.avatar_noise(part, config.noise_size)).to(device)
        level = torch.full((len(part),), truncation, device=device)
        unmixed = torch.zeros(len(part), dtype=torch.int64, device=device)
        w = generator.mapping(z, z, level, unmixed, unmixed)
        pictures.append(generator.synthesis(w if offset is None else w + offset.to(w), noise).cpu().numpy())
    return np.concatenate(pictures)
