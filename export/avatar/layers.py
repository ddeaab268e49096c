"""The layers of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), written so that ONNX Runtime takes a dynamic batch."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Resample = Literal["nearest", "linear"]
"""How pictures change size: `nearest` keeps a pixel grid crisp, `linear` is the paper's [1, 3, 3, 1] filter."""

FIR: dict[str, tuple[float, ...]] = {"nearest": (0.5, 0.5), "linear": (0.125, 0.375, 0.375, 0.125)}
"""One-dimensional down-sampling filters, each with sum 1."""


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2 that keeps the variance of a unit normal."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2.0)


def blur(x: Tensor, resample: Resample, *, gain: float, padding: int) -> Tensor:
    """Filters every channel with the kernel of a resampling, times gain."""
    taps = x.new_tensor(FIR[resample])
    channels = x.shape[1]
    kernel = (gain * taps[:, None] * taps[None, :]).expand(channels, 1, -1, -1)
    return F.conv2d(x, kernel, padding=padding, groups=channels)


def convolve_up(x: Tensor, weight: Tensor, resample: Resample) -> Tensor:
    """Convolves with a [out, in, 3, 3] kernel and doubles height and width."""
    # A stride-2 transposed convolution puts zeros between pixels: gain 4 makes up for them.
    y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return blur(y, resample, gain=4.0, padding=1 if resample == "linear" else 0)


def convolve_down(x: Tensor, weight: Tensor, bias: Tensor | None, resample: Resample) -> Tensor:
    """Convolves with a [out, in, 3, 3] kernel and halves height and width."""
    y = blur(x, resample, gain=1.0, padding=2 if resample == "linear" else 1)
    return F.conv2d(y, weight, bias, stride=2)


def upsample(x: Tensor, resample: Resample) -> Tensor:
    """Doubles height and width; borders see zeros with the `linear` filter."""
    if resample == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    taps = x.new_tensor(FIR[resample])
    channels = x.shape[1]
    kernel = (4.0 * taps[:, None] * taps[None, :]).expand(channels, 1, -1, -1)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)


def downsample(x: Tensor, resample: Resample) -> Tensor:
    """Halves height and width."""
    if resample == "nearest":
        return F.avg_pool2d(x, 2)
    taps = x.new_tensor(FIR[resample])
    channels = x.shape[1]
    kernel = (taps[:, None] * taps[None, :]).expand(channels, 1, -1, -1)
    return F.conv2d(x, kernel, stride=2, padding=1, groups=channels)


class EqualLinear(nn.Module):
    """A fully connected layer whose learning rate is equalised by scaling at run time."""

    def __init__(self, in_features: int, out_features: int, *, lr_multiplier: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias / lr_multiplier))
        self.gain = lr_multiplier / math.sqrt(in_features)
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias * self.lr_multiplier)


class EqualConv(nn.Module):
    """A 1x1 or 3x3 convolution with equalised learning rate that can halve the picture in the same step."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int, *, down: Resample | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, size, size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.gain = 1.0 / math.sqrt(in_channels * size * size)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.gain
        if self.down is None:
            return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)
        return convolve_down(x, weight, self.bias, self.down)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style: `demodulation * conv(x * style, weight)`.

    This equals the paper's per-sample weights w'' (equations 1 to 3) and keeps the weights constant, which the
    grouped form does not: that one cannot be exported with a dynamic batch.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        latent_size: int,
        *,
        demodulate: bool = True,
        up: Resample | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, size, size))
        self.style = EqualLinear(latent_size, in_channels, bias=1.0)
        self.gain = 1.0 / math.sqrt(in_channels * size * size)
        self.demodulate = demodulate
        self.up = up

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Takes x [N, in, H, W] and w [N, latent]; returns [N, out, H, W], or twice the size with `up`."""
        weight = self.weight * self.gain
        style = self.style(w)
        y = self._convolve(x * style[:, :, None, None], weight)
        if self.demodulate:
            y = y * self.demodulation(style, weight)[:, :, None, None]
        return y

    @staticmethod
    def demodulation(style: Tensor, weight: Tensor) -> Tensor:
        """Returns [N, out]: one over the L2 norm of each output channel's modulated weights."""
        energy = weight.square().sum(dim=(2, 3))
        return torch.rsqrt(F.linear(style.square(), energy) + 1e-8)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.up is None:
            return F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        return convolve_up(x, weight, self.up)
