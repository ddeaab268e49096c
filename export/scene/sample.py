"""Tiles from seeds, equal to what the sidecar gives for the same seeds and conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bridge import seeds as draws
from bridge.scene_decoding import MaskedDrawing
from export.scene.climate import complete
from export.scene.prior import FREE, Conditions, MaskedPrior, Prior
from export.scene.trained import Trained

STEPS = 8
CHOICE_TEMPERATURE = 4.5
BATCH = 32


def free(count: int, grid: int) -> Conditions:
    """Conditions that ask for nothing."""
    return Conditions(
        torch.full((count, grid, grid), FREE),
        torch.full((count,), FREE),
        torch.full((count,), float(FREE)),
        torch.full((count,), float(FREE)),
    )


def blank(count: int, grid: int, margin: int, codes: int) -> np.ndarray:
    """Tokens int64 [N, G + 2p, G + 2p] of tiles to be drawn, without neighbours."""
    tokens = np.full((count, grid + 2 * margin, grid + 2 * margin), codes + 1, np.int64)
    tokens[:, margin : margin + grid, margin : margin + grid] = codes
    return tokens


def of_worlds(trained: Trained, seeds: Sequence[int], asked: Conditions | None = None) -> Conditions:
    """The conditions of the tiles at (0, 0) of worlds, one a seed, as the sidecar completes what is asked for."""
    given = free(len(seeds), trained.prior.grid) if asked is None else asked
    return complete(trained.climate, given, seeds)


@torch.no_grad()
def draw_codes(
    prior: Prior,
    seeds: Sequence[int],
    *,
    tokens: np.ndarray | None = None,
    conditions: Conditions | None = None,
    places: Sequence[int] | None = None,
    steps: int = STEPS,
    choice_temperature: float = CHOICE_TEMPERATURE,
) -> np.ndarray:
    """Codes int64 [N, G, G], one tile a seed (0 .. 2^64 - 1): the draws are those of `bridge.scene_decoding`.

    tokens (see `blank`) may hold neighbours' codes and codes that are kept. The autoregressive prior looks at neighbours
    only. Raises ValueError for a seed out of range.
    """
    for seed in seeds:
        if not 0 <= seed <= draws.MAX_SEED:
            raise ValueError(f"seed is {seed}; it must be from 0 to {draws.MAX_SEED}")
    tokens = blank(len(seeds), prior.grid, prior.config.margin, prior.codes) if tokens is None else tokens
    conditions = free(len(seeds), prior.grid) if conditions is None else conditions
    places = [0] * len(seeds) if places is None else places
    parts = []
    for start in range(0, len(seeds), BATCH):
        part = slice(start, start + BATCH)
        asked = Conditions(*(value[part] for value in conditions))
        if isinstance(prior, MaskedPrior):
            loop = {"seeds": seeds[part], "places": places[part], "steps": steps, "choice_temperature": choice_temperature}
            drawing = MaskedDrawing(tokens[part], prior.config.margin, prior.codes, **loop)
            while not drawing.finished:
                drawing.advance(prior(torch.from_numpy(drawing.tokens), *asked).numpy())
            parts.append(drawing.codes)
        else:
            uniforms = draws.scene_uniforms(seeds[part], places[part], 0, prior.grid**2).astype(np.float32)
            parts.append(prior.sample(torch.from_numpy(tokens[part]), asked, torch.from_numpy(uniforms)).numpy())
    return np.concatenate(parts)
