"""The objectives of both players, and the penalties of StyleGAN2: R1 and path length."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Objective = Literal["logistic", "minimax", "hinge"]
"""The game: `logistic` is the non-saturating form of the paper, `minimax` the original one, `hinge` a margin loss."""


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, objective: Objective = "logistic") -> Tensor:
    """What the discriminator D minimises, with D(x) = sigmoid(logit).

    logistic and minimax (Goodfellow et al. 2014, arXiv:1406.2661) share it: -E[log D(x)] - E[log(1 - D(G(z)))].
    hinge (Lim and Ye 2017, arXiv:1705.02894): E[max(0, 1 - logit(x))] + E[max(0, 1 + logit(G(z)))].
    """
    if objective == "hinge":
        return F.relu(1.0 - real_logits).mean() + F.relu(1.0 + fake_logits).mean()
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor, objective: Objective = "logistic") -> Tensor:
    """What the generator minimises.

    logistic: -E[log D(G(z))]; minimax: E[log(1 - D(G(z)))], whose gradient fades where D is sure; hinge: -E[logit(G(z))].
    """
    if objective == "hinge":
        return -fake_logits.mean()
    if objective == "minimax":
        return -F.softplus(fake_logits).mean()
    return F.softplus(-fake_logits).mean()


def r1_penalty(real_images: Tensor, real_logits: Tensor) -> Tensor:
    """The mean squared norm of the gradient at real pictures (Mescheder et al. 2018); images must require grad."""
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(images: Tensor, w: Tensor, direction: Tensor) -> Tensor:
    """How far a random picture direction [N, C, H, W] of unit normals moves w [N, layers, L]: lengths [N]."""
    scaled = direction / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * scaled).sum(), w, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
