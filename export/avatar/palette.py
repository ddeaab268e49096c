"""The palette of a data set: the colours that a generator with a palette mixes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from export.avatar.model import Generator

APART = {"one": 3, "blend": 12}
"""How many levels colours differ at least: pixel art wants its exact colours, a blend only what to mix from."""
SAMPLE = 2_000
DRAWN = 64
"""Pictures in which the use of a palette's colours is counted."""
UNUSED = 1e-4
"""What a colour that is never drawn weighs beside the one drawn most: it still takes a near one of those left over."""


def choose_palette(images: np.ndarray, count: int, *, apart: int = APART["one"]) -> np.ndarray:
    """Returns the most frequent colours of uint8 pictures [N, C, H, W] as float32 [count, C] in [-1, 1].

    Of colours that differ by less than `apart` levels in every channel, only the most frequent one is taken, so that the
    many shades along smooth edges do not crowd out whole colours. Looks at SAMPLE pictures spread over the set. Where the
    pictures hold fewer colours, the first one fills up the rest.
    """
    step = max(1, len(images) // SAMPLE)
    pixels = images[::step].transpose(0, 2, 3, 1).reshape(-1, images.shape[1])
    colours, frequency = np.unique(pixels, axis=0, return_counts=True)
    ranked = colours[np.argsort(-frequency, kind="stable")].astype(np.int16)
    chosen: list[np.ndarray] = []
    while len(ranked) and len(chosen) < count:
        chosen.append(ranked[0])
        ranked = ranked[np.abs(ranked - ranked[0]).max(axis=1) >= apart]
    chosen += [chosen[0]] * (count - len(chosen))
    return (np.stack(chosen) / 127.5 - 1.0).astype(np.float32)


def match_palette(palette: np.ndarray, colours: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Reorders new colours [K, C] so that they take the places of the colours of a palette [K, C] that they are nearest to.

    The assignment is the one with the least sum of squared differences, each weighted by how much the place is used [K],
    so that a generator that goes on with other colours draws what it drew as nearly as these allow. Taking the nearest pairs
    first instead leaves whatever is left over to some of the most used places.
    """
    weight = use / max(use.max(), 1e-12) + UNUSED
    distance = np.square(palette[:, None].astype(np.float64) - colours[None]).sum(axis=2) * weight[:, None]
    matched: np.ndarray = colours[linear_sum_assignment(distance)[1]]
    return matched


@torch.no_grad()
def palette_use(generator: Generator) -> np.ndarray:
    """The share of the cells in DRAWN random pictures that has each colour of a generator's palette: float64 [K]."""
    rng = torch.Generator().manual_seed(0)
    config, mapping = generator.config, generator.mapping
    z = torch.randn(DRAWN, config.latent_size, generator=rng)
    noise = torch.randn(DRAWN, config.noise_size, generator=rng)
    w = mapping.to_w(z.to(mapping.w_mean.device))[:, None].expand(-1, config.num_layers, -1)
    parts = zip(w.split(16), noise.to(w.device).split(16), strict=True)
    best = torch.cat([generator.synthesis.scores(*part).argmax(dim=1).flatten() for part in parts])
    return best.bincount(minlength=config.palette_size).double().div(len(best)).cpu().numpy()
