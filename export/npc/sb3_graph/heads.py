"""From a policy's numbers and noise to actions and the logarithm of their probability; zeros for noise: the likeliest action.

Actions come as float32[batch, size] in the space's range, or as int64[batch, branches]. Noise has a column for each number that
is drawn: standard normals for a Gaussian, Gumbel numbers for a choice (Gumbel 1954: arg-max of logits plus noise is a draw),
and before these one uniform number for an epsilon-greedy policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor, nn

HUGE_NEGATIVE = -1e8
"""What MaskablePPO puts in place of a forbidden action's logit."""
EPSILON = 1e-6
"""What Stable-Baselines3 adds to 1 - tanh² before its logarithm is taken."""
Result = tuple[Tensor, Tensor]


class Bounds(nn.Module):
    """Takes the actions of a Box policy to its space: scaled from [-1, 1] if they were squashed, else clipped."""

    def __init__(self, space: spaces.Box, squashed: bool) -> None:
        super().__init__()
        self.squashed = squashed
        self.is_clipped = bool(space.is_bounded("below") or space.is_bounded("above"))
        self.register_buffer("low", torch.from_numpy(space.low.astype("float32")).flatten())
        self.register_buffer("high", torch.from_numpy(space.high.astype("float32")).flatten())
        self.low: Tensor
        self.high: Tensor

    def forward(self, actions: Tensor) -> Tensor:
        if self.squashed:
            actions = self.low + 0.5 * (actions + 1.0) * (self.high - self.low)
        return torch.minimum(torch.maximum(actions, self.low), self.high)


def gaussian(mean: Tensor, deviation: Tensor, noise: Tensor, squashed: bool) -> Result:
    """Return `mean + deviation * noise`, through tanh if squashed, and the log-density as Stable-Baselines3 counts it."""
    actions = mean + deviation * noise
    log_density = (-0.5 * noise * noise - torch.log(deviation) - 0.5 * math.log(2.0 * math.pi)).sum(dim=1)
    if not squashed:
        return actions, log_density
    # 1 - tanh² without cancellation: 4 e^(-2|x|) / (1 + e^(-2|x|))²
    decay = torch.exp(-2.0 * actions.abs())
    slope = 4.0 * decay / (1.0 + decay) ** 2
    return torch.tanh(actions), log_density - torch.log(slope + EPSILON).sum(dim=1)


def categorical(logits: Tensor, branches: Sequence[int], noise: Tensor, mask: Tensor | None) -> Result:
    """Return one choice a branch, int64[batch, branches], and the sum of their log-probabilities.

    `logits`, `noise` and `mask` are [batch, sum of branches]; what the mask forbids is not chosen.
    """
    choices, log_probabilities = [], []
    masks = [None] * len(branches) if mask is None else torch.split(mask, list(branches), dim=1)
    parts = zip(torch.split(logits, list(branches), dim=1), torch.split(noise, list(branches), dim=1), masks, strict=True)
    for part, gumbel, allowed in parts:
        scores = part if allowed is None else torch.where(allowed, part, HUGE_NEGATIVE)
        choice = torch.argmax(scores + gumbel, dim=1, keepdim=True)
        choices.append(choice)
        log_probabilities.append(F.log_softmax(scores, dim=1).gather(1, choice))
    return torch.cat(choices, dim=1), torch.cat(log_probabilities, dim=1).sum(dim=1)


def epsilon_greedy(values: Tensor, rate: float, noise: Tensor) -> Result:
    """Return the action of the largest value, or with probability `rate` any, int64[batch, 1]; and its log-probability.

    `noise` is [batch, 1 + actions]: a uniform number that explores above 1 - rate, and Gumbel numbers for which one is tried.
    """
    count = values.shape[1]
    greedy = torch.argmax(values, dim=1, keepdim=True)
    if rate <= 0.0:
        return greedy, torch.zeros_like(values[:, 0])
    tried = torch.argmax(noise[:, 1:], dim=1, keepdim=True)
    choice = torch.where(noise[:, :1] > 1.0 - rate, tried, greedy)
    probability = torch.where(choice == greedy, 1.0 - rate + rate / count, rate / count)
    return choice, torch.log(probability)[:, 0]


def bernoulli_logits(logits: Tensor) -> Tensor:
    """Return logits [batch, 2 * bits] of choices between 0 and 1 with the odds of a Bernoulli's logits [batch, bits]."""
    return torch.stack([torch.zeros_like(logits), logits], dim=2).flatten(1)
