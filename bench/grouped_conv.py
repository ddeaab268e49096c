"""The plain form of a modulated convolution, to compare with: one set of weights a picture, run as groups.

It computes the same as `export.avatar.layers.ModulatedConv` (the tests hold both to it), the way the paper writes it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.avatar.layers import FIR, ModulatedConv


class GroupedConv(ModulatedConv):
    """A modulated convolution that scales its weights instead of its activations (Karras et al. 2020, equations 1 to 3)."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Takes x [N, in, H, W] and w [N, latent]; returns [N, out, H, W], or twice the size with `up`."""
        weights = (self.weight * self.gain)[None] * self.style(w)[:, None, :, None, None]
        if self.demodulate:
            weights = weights * torch.rsqrt(weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
        batch, outputs, inputs, size = weights.shape[:4]
        grouped = x.reshape(1, batch * inputs, *x.shape[2:])
        if self.up is None:
            y = functional.conv2d(grouped, weights.flatten(0, 1), padding=size // 2, groups=batch)
        else:
            y = functional.conv_transpose2d(grouped, weights.transpose(1, 2).flatten(0, 1), stride=2, groups=batch)
            taps = x.new_tensor(FIR[self.up])
            kernel = (4.0 * taps[:, None] * taps[None, :]).expand(batch * outputs, 1, -1, -1)
            y = functional.conv2d(y, kernel, padding=len(taps) // 2 - 1, groups=batch * outputs)
        return y.reshape(batch, outputs, *y.shape[2:])


def use_grouped_convolutions(network: nn.Module) -> None:
    """Turns every modulated convolution of a network into the plain form, keeping its weights."""
    for module in network.modules():
        if type(module) is ModulatedConv:
            module.__class__ = GroupedConv
