"""Vectors to codes and back: the codebook of VQ-VAE and finite scalar quantisation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Quantised(NamedTuple):
    """What a quantiser gives: vectors for the decoder [N, D, H, W], codes int64 [N, H, W], the loss that ties them."""

    vectors: Tensor
    codes: Tensor
    loss: Tensor


class VectorQuantiser(nn.Module):
    """A codebook of K vectors (van den Oord et al. 2017, arXiv:1711.00937), learned by moving averages (appendix A.1).

    Gradients go straight through. Only `update` changes the codebook; nothing here draws random numbers by itself.
    """

    def __init__(self, codes: int, width: int, *, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.codebook: Tensor
        self.counts: Tensor
        self.sums: Tensor
        self.register_buffer("codebook", torch.zeros(codes, width))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, width))

    @property
    def codes(self) -> int:
        """Size K of the codebook."""
        return len(self.codebook)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Codes int64 [N, H, W] of the codebook's nearest vectors to [N, D, H, W]."""
        flat = vectors.permute(0, 2, 3, 1)
        # The vectors' own length is the same for all codes.
        return (self.codebook.square().sum(dim=1) - 2.0 * flat @ self.codebook.t()).argmin(dim=-1)

    def look_up(self, codes: Tensor) -> Tensor:
        """The codebook's vectors [N, D, H, W] of codes [N, H, W]."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    def forward(self, vectors: Tensor) -> Quantised:
        """Quantises [N, D, H, W]; the loss is the commitment loss |z - sg(e)|^2, not yet weighted."""
        codes = self.nearest(vectors.detach())
        chosen = self.look_up(codes)
        return Quantised(vectors + (chosen - vectors).detach(), codes, F.mse_loss(vectors, chosen.detach()))

    @torch.no_grad()
    def start(self, vectors: Tensor, rng: torch.Generator) -> None:
        """Begins with encoder outputs [N, D, H, W] drawn at random, each counted once: who wins nothing soon counts as dead."""
        flat = flattened(vectors)
        self.codebook.copy_(flat[torch.randint(len(flat), (self.codes,), generator=rng)])
        self.counts.fill_(1.0)
        self.sums.copy_(self.codebook)

    @torch.no_grad()
    def update(self, vectors: Tensor, codes: Tensor) -> None:
        """One step of the moving averages: N_k, m_k and e_k = m_k / N_k, of the paper's equations 6 to 8.

        Counts are smoothed by Laplace's rule, so that a code that nobody chose keeps a finite vector.
        """
        flat, index = flattened(vectors), codes.reshape(-1)
        counts = torch.bincount(index, minlength=self.codes).to(self.counts.dtype)
        sums = torch.zeros_like(self.sums).index_add_(0, index, flat)
        self.counts.mul_(self.decay).add_(counts, alpha=1.0 - self.decay)
        self.sums.mul_(self.decay).add_(sums, alpha=1.0 - self.decay)
        total, smoothing = self.counts.sum(), 1e-5
        smoothed = (self.counts + smoothing) * (total / (total + self.codes * smoothing))
        self.codebook.copy_(self.sums / smoothed[:, None])

    @torch.no_grad()
    def restart(self, vectors: Tensor, least: float, rng: torch.Generator) -> int:
        """Moves codes chosen less than `least` times a step to encoder outputs drawn at random; returns how many.

        Each is counted as chosen twice that often, which is its time to win some vectors.

        (Dhariwal et al. 2020, arXiv:2005.00341, section 3.1.)
        """
        dead = (self.counts < least).nonzero().flatten()
        if len(dead):
            flat = flattened(vectors)
            self.codebook[dead] = flat[torch.randint(len(flat), (len(dead),), generator=rng)]
            self.counts[dead] = 2.0 * least
            self.sums[dead] = self.codebook[dead] * self.counts[dead, None]
        return len(dead)


class FiniteScalarQuantiser(nn.Module):
    """Each of D numbers rounded to one of a few levels (Mentzer et al. 2023, arXiv:2309.15505); nothing is learned."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"fsq levels are {levels}; give one number of at least 2 for each dimension")
        self.levels = levels
        self.sizes: Tensor
        self.strides: Tensor
        strides = [math.prod(levels[:axis]) for axis in range(len(levels))]
        self.register_buffer("sizes", torch.tensor(levels, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("strides", torch.tensor(strides)[:, None, None], persistent=False)

    @property
    def codes(self) -> int:
        """How many codes the levels make."""
        return math.prod(self.levels)

    def bounded(self, vectors: Tensor) -> Tensor:
        """Squashes [N, D, H, W] so that rounding gives exactly the levels, counted from 0."""
        return (torch.tanh(vectors) + 1.0) * 0.5 * (self.sizes - 1.0)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Codes int64 [N, H, W] of vectors [N, D, H, W]."""
        return (self.bounded(vectors).round().long() * self.strides).sum(dim=1)

    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors [N, D, H, W] of codes [N, H, W], each number from -1 to 1."""
        sizes = self.sizes.long()
        digits = torch.div(codes[:, None], self.strides, rounding_mode="floor") % sizes
        return digits.float() / (self.sizes - 1.0) * 2.0 - 1.0

    def forward(self, vectors: Tensor) -> Quantised:
        """Quantises [N, D, H, W] with a straight-through gradient; there is no loss to add."""
        bounded = self.bounded(vectors)
        rounded = bounded + (bounded.round() - bounded).detach()
        codes = (bounded.detach().round().long() * self.strides).sum(dim=1)
        return Quantised(rounded / (self.sizes - 1.0) * 2.0 - 1.0, codes, vectors.new_zeros(()))


def flattened(vectors: Tensor) -> Tensor:
    """[N, D, H, W] as rows [N * H * W, D]."""
    return vectors.permute(0, 2, 3, 1).reshape(-1, vectors.shape[1])


def usage(counts: Tensor) -> tuple[float, float]:
    """The share of codes that were used at all, and the perplexity exp(H) of their distribution, from counts [K]."""
    shares = counts.double() / counts.sum().clamp(min=1)
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
    return float((counts > 0).double().mean()), float(entropy.exp())
