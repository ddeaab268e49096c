"""How strong the augmentation is: the controller of StyleGAN2-ADA (Karras et al. 2020, arXiv:2006.06676, section 3)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from export.avatar.parallel import total

INTERVAL = 4
"""Steps between two corrections of p."""


class AdaptiveStrength:
    """The probability p of each transformation, moved so that r_t = E[sign(D(real))] stays at its target.

    r_t is 0 for a discriminator that cannot tell, and 1 for one that is sure of every real picture it is shown, which is
    how overfitting shows.
    """

    def __init__(self, *, p: float, target: float, kimg: float, limit: float) -> None:
        """kimg: thousands of pictures in which p could go from 0 to 1; 0 keeps p. limit: the largest p."""
        self.p, self.target, self.kimg, self.limit = p, target, kimg, limit
        self.overfitting = 0.0
        self._signs = torch.zeros(2, dtype=torch.float64)

    def observe(self, real_logits: Tensor) -> None:
        """Takes logits of real, augmented pictures into r_t."""
        self._signs += torch.stack([real_logits.detach().sign().sum().cpu().double(), torch.tensor(float(len(real_logits)))])

    def update(self, step: int, batch: int) -> None:
        """After every fourth step, moves p by the share of kimg that these steps were; all processes together."""
        if step % INTERVAL:
            return
        signs, count = total(self._signs).tolist()
        self._signs.zero_()
        self.overfitting = signs / count
        if self.kimg:
            change = math.copysign(batch * INTERVAL / (self.kimg * 1000.0), self.overfitting - self.target)
            self.p = min(max(self.p + change, 0.0), self.limit)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"p": self.p, "overfitting": self.overfitting, "signs": total(self._signs)}

    def restore(self, state: dict[str, Any], *, share: float = 1.0) -> None:
        """Takes over a checkpoint's state; share is this process's part of the counted signs."""
        self.p, self.overfitting = state["p"], state["overfitting"]
        self._signs = state["signs"] * share
