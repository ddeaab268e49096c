"""Masked decoding: the loop around the prior's refinement step, as MaskGIT draws codes (Chang et al., CVPR 2022).

All cells of a tile that are to be drawn start as masks. In each step the prior gives logits for all cells, a code is drawn for
every mask, and the least certain draws become masks again, fewer from step to step along a cosine. Nothing is run here, so
that the sidecar awaits its batcher and the exporters call PyTorch:

    drawing = MaskedDrawing(tokens, margin, codes, seeds=..., places=..., steps=8, choice_temperature=4.5)
    while not drawing.finished:
        drawing.advance(prior(drawing.tokens, ...))
    drawing.codes
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import seeds as draws

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
MOST_UNIFORM = 1.0 - 2.0**-24
WORD = 0xFFFFFFFF


def place(x: int, y: int) -> int:
    """Return the address of a tile's draws in its world: both coordinates, modulo 2^32, in 64 bits."""
    return (x & WORD) | (y & WORD) << 32


class MaskedDrawing:
    """Tiles that are being drawn: `tokens` int64[N, G + 2p, G + 2p] go into the prior, `advance` takes its logits.

    A row's draws depend on its seed, its place and its own logits alone, so a row is drawn alike alone and among others. Cells
    of `tokens` that are no masks (given codes, the margin) stay as they are.
    """

    def __init__(
        self,
        tokens: Ints,
        margin: int,
        codebook_size: int,
        *,
        seeds: Sequence[int],
        places: Sequence[int],
        steps: int,
        choice_temperature: float,
    ) -> None:
        self.tokens = tokens.copy()
        self._inside = slice(margin, tokens.shape[1] - margin)
        self._mask = codebook_size
        self._seeds, self._places = seeds, places
        self._steps, self._temperature = steps, choice_temperature
        self._step = 0
        self._wanted = self._masks().sum(axis=1)

    @property
    def codes(self) -> Ints:
        """The tiles' own codes int64[N, G, G]; masks where they are not drawn yet."""
        return self.tokens[:, self._inside, self._inside]

    @property
    def begun(self) -> bool:
        """Whether a step has been done."""
        return self._step > 0

    @property
    def finished(self) -> bool:
        """Whether no mask is left."""
        return not self._masks().any()

    def advance(self, logits: Floats) -> None:
        """Do one step with the prior's logits float32[N, G, G, K] for the present tokens."""
        self._step += 1
        masks = self._masks()
        rows, cells = np.nonzero(masks)
        uniform = draws.scene_uniforms(self._seeds, self._places, self._step, 2 * masks.shape[1])
        flat = logits.reshape(*masks.shape, -1)[rows, cells]
        drawn, log_likelihood = draw(flat, uniform[rows, cells])
        noise = -np.log(-np.log(uniform[rows, masks.shape[1] + cells]))
        heat = self._temperature * (1.0 - self._step / self._steps)
        certainty = np.full(masks.shape, np.inf)
        certainty[rows, cells] = log_likelihood + heat * noise
        filled = self.codes.reshape(masks.shape).copy()
        filled[rows, cells] = drawn
        order = np.argsort(np.argsort(certainty, axis=1, kind="stable"), axis=1, kind="stable")
        filled[order < self._left(masks)[:, None]] = self._mask
        self.tokens[:, self._inside, self._inside] = filled.reshape(self.codes.shape)

    def _masks(self) -> npt.NDArray[np.bool_]:
        masks: npt.NDArray[np.bool_] = (self.codes == self._mask).reshape(len(self.tokens), -1)
        return masks

    def _left(self, masks: npt.NDArray[np.bool_]) -> Ints:
        """Return how many masks each row keeps after this step: a cosine, and one fewer than before at the least."""
        share = math.cos(math.pi / 2 * min(self._step / self._steps, 1.0))
        planned = np.floor(self._wanted * share + 1e-9).astype(np.int64)
        left: Ints = np.clip(planned, 0, np.maximum(masks.sum(axis=1) - 1, 0))
        return left


def draw(logits: Floats, uniform: Floats) -> tuple[Ints, Floats]:
    """Return a code int64[M] for each row of logits [M, K] by inverse transform, and its log-likelihood [M]."""
    shifted = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
    upto = np.cumsum(np.exp(shifted), axis=1, dtype=np.float64)
    target = np.minimum(uniform, MOST_UNIFORM) * upto[:, -1]
    codes = (upto <= target[:, None]).sum(axis=1)
    picked = np.take_along_axis(shifted, codes[:, None], axis=1)[:, 0]
    return codes, picked - np.log(upto[:, -1])
