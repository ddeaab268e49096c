"""Directions in W: by regression on predicted attributes, and closed-form ones that no label names.

Both are found in whitened W, where w has zero mean and unit covariance, so that a length counts standard deviations of
the styles that the mapping network makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from export.avatar.classifier import AttributePredictor
from export.avatar.model import Generator

LOGIT_LIMIT = 4.0
"""Logits are clipped to this before regression: beyond it an attribute is as present as it can be."""
RIDGE = 0.02
BATCH = 64


@dataclass(frozen=True)
class WhiteSpace:
    """The mean [L] of w and the square root [L, L] of its covariance: w = mean + root @ x with white x."""

    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, w: Tensor) -> WhiteSpace:
        """Fits to styles [N, L]; directions that hardly occur keep a thousandth of the mean variance."""
        centred = w.double() - w.double().mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(w))
        values = values.clamp(min=1e-3 * float(values.mean()))
        return cls(w.mean(0), (vectors * values.sqrt() @ vectors.T).float())

    def whiten(self, w: Tensor) -> Tensor:
        """Returns white x [N, L] of styles [N, L]."""
        return torch.linalg.solve(self.root, (w - self.mean).T).T


@torch.inference_mode()
def sample_styles(generator: Generator, count: int, rng: np.random.Generator, truncation: float = 1.0) -> Tensor:
    """Draws w [count, L] as the mapping network gives it, without mixing."""
    mapping = generator.mapping
    z = torch.from_numpy(rng.standard_normal((count, generator.config.latent_size), np.float32))
    return mapping.w_mean + truncation * (mapping.to_w(z) - mapping.w_mean)


@torch.inference_mode()
def draw(generator: Generator, w: Tensor, noise: Tensor) -> Tensor:
    """Draws styles [N, L] or [N, num_layers, L] with noise [N, noise_size] in small batches: [N, C, S, S] in [-1, 1]."""
    layers = generator.config.num_layers
    parts = []
    for start in range(0, len(w), BATCH):
        part = w[start : start + BATCH]
        styles = part if part.ndim == 3 else part[:, None].expand(-1, layers, -1)
        parts.append(generator.synthesis(styles, noise[start : start + BATCH]).clamp(-1.0, 1.0))
    return torch.cat(parts)


def draw_straight_through(generator: Generator, w: Tensor, noise: Tensor) -> Tensor:
    """Draws styles [N, num_layers, L] as they are shown, with the gradients of the palette's blend.

    One colour in a cell is an arg-max, which has no gradient (the estimator of Bengio et al. 2013, arXiv:1308.3432).
    """
    synthesis = generator.synthesis
    if synthesis.palette is None or not synthesis.palette.one:
        return synthesis(w, noise)
    scores = synthesis.scores(w, noise)
    blend = synthesis.palette(scores)
    image = blend + (synthesis.palette(scores.detach()) - blend).detach()
    return F.interpolate(image, scale_factor=float(generator.config.pixel_size), mode="nearest")


@torch.inference_mode()
def logits(predictor: AttributePredictor, images: Tensor) -> Tensor:
    """Returns the clipped logits [N, A] of pictures [N, C, S, S]."""
    parts = [predictor(part) for part in images.split(256)]
    return torch.cat(parts).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)


def regress(x: Tensor, targets: Tensor) -> Tensor:
    """Ridge regression of centred targets [N, A] on white x [N, L]: slopes [A, L]."""
    centred = (targets - targets.mean(0)).double()
    x = x.double()
    gram = x.T @ x / len(x)
    identity = torch.eye(x.shape[1], dtype=gram.dtype)
    return torch.linalg.solve(gram + RIDGE * identity, x.T @ centred / len(x)).T.float()


def held_apart(slopes: Tensor) -> Tensor:
    """Turns slopes [A, L] into unit moves [A, L]: each changes its own attribute and, to first order, no other.

    They are the rows of the pseudo-inverse: the shortest moves in standard deviations that change one attribute alone.
    Attributes that no style tells apart would get moves without bound; the ridge keeps these short instead.
    """
    scaled = slopes / slopes.norm(dim=1, keepdim=True).clamp(min=1e-8)
    gram = scaled @ scaled.T
    moves = torch.linalg.solve(gram + RIDGE * torch.eye(len(gram)), scaled)
    return moves / moves.norm(dim=1, keepdim=True).clamp(min=1e-8)


def style_weights(generator: Generator) -> Tensor:
    """The affine weights that turn w into the channel scales of every layer, stacked: [all channels, L]."""
    synthesis = generator.synthesis
    layers = [block.conv.style for block in [*synthesis.convs, *synthesis.to_image]]
    return torch.cat([layer.weight.detach() * layer.gain for layer in layers])


def factorised(generator: Generator, white: WhiteSpace, slopes: Tensor, count: int) -> Tensor:
    """Closed-form factorisation (SeFa, Shen and Zhou 2021, arXiv:2007.06600): unit moves [count, L] in white space.

    They are the leading eigenvectors of A^T A for the stacked style weights A, taken per standard deviation of w and
    among the moves that leave the attributes of slopes [A, L] alone to first order.
    """
    weights = style_weights(generator) @ white.root
    if len(slopes):
        basis = torch.linalg.qr(slopes.T).Q
        weights = weights - weights @ basis @ basis.T
    _, vectors = torch.linalg.eigh(weights.T @ weights)
    return vectors.flip(1).T[:count].contiguous()
