"""Codes that hang on rounding: where two of them are as near, PyTorch and ONNX Runtime may choose either."""

from __future__ import annotations

from torch import Tensor

from export.scene.quantiser import FiniteScalarQuantiser
from export.scene.vqvae import VQVAE

TIE = 1e-4
"""Distances closer than this share of the largest one are a tie: either code is right."""


def ties(vqvae: VQVAE, *inputs: Tensor) -> Tensor:
    """For every code [N, G, G] of what `VQVAE.encode` takes, whether another one was as near within rounding."""
    vectors, quantiser = vqvae.vectors(*inputs), vqvae.quantiser
    if isinstance(quantiser, FiniteScalarQuantiser):
        past_middle = quantiser.bounded(vectors).remainder(1.0) - 0.5
        return (past_middle.abs() < TIE).any(dim=1)
    scores = quantiser.codebook.square().sum(dim=1) - 2.0 * vectors.permute(0, 2, 3, 1) @ quantiser.codebook.t()
    best = scores.topk(2, dim=-1, largest=False).values
    return (best[..., 1] - best[..., 0]) <= TIE * scores.abs().amax(dim=-1)
