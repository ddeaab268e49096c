"""Rules of the StyleGAN2 layers: each fast form equals the paper's form, in outputs and in gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from export.avatar.layers import FIR, EqualConv, EqualLinear, ModulatedConv, Resample, downsample, upsample

SIZES = st.integers(1, 5)


def double_noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filter_plane(resample: Resample) -> Tensor:
    taps = torch.tensor(FIR[resample], dtype=torch.float64)
    return taps[:, None] * taps[None, :]


def papers_upsample(x: Tensor, resample: Resample) -> Tensor:
    """Puts zeros between the pixels, then filters with gain 4."""
    batch, channels, height, width = x.shape
    spread = x.new_zeros(batch, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = x
    kernel = 4.0 * filter_plane(resample)
    size = len(kernel)
    padded = functional.pad(spread, (size // 2, size // 2 - 1, size // 2, size // 2 - 1))
    return functional.conv2d(padded, kernel.expand(channels, 1, size, size), groups=channels)


def papers_downsample(x: Tensor, resample: Resample) -> Tensor:
    """Filters, then drops every other pixel."""
    kernel = filter_plane(resample)
    size, channels = len(kernel), x.shape[1]
    padded = functional.pad(x, (size // 2 - 1, size // 2, size // 2 - 1, size // 2))
    return functional.conv2d(padded, kernel.expand(channels, 1, size, size), groups=channels)[:, :, ::2, ::2]


def papers_modulated_conv(conv: ModulatedConv, x: Tensor, w: Tensor) -> Tensor:
    """Modulates and demodulates one set of weights a sample and runs them as a grouped convolution."""
    style = conv.style(w)
    weights = (conv.weight * conv.gain)[None] * style[:, None, :, None, None]
    if conv.demodulate:
        weights = weights * torch.rsqrt(weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
    batch, out_channels = weights.shape[:2]
    if conv.up:
        # A transposed convolution sees its kernel turned by half a circle.
        weights = weights.flip(3, 4)
        # The filter reaches over the border, and the convolution sees that: a margin keeps it until the cut.
        x = papers_upsample(functional.pad(x, (2, 2, 2, 2)), conv.up)
    grouped = x.reshape(1, -1, *x.shape[2:])
    y = functional.conv2d(grouped, weights.flatten(0, 1), padding=weights.shape[-1] // 2, groups=batch)
    y = y.reshape(batch, out_channels, *y.shape[2:])
    return y[:, :, 4:-4, 4:-4] if conv.up else y


def make_conv(seed: int, inner: int, outer: int, size: int, demodulate: bool, up: Resample | None) -> ModulatedConv:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ModulatedConv(inner, outer, size, 6, demodulate=demodulate, up=up).double()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    batch=SIZES,
    inner=SIZES,
    outer=SIZES,
    kind=st.sampled_from([(3, True, None), (3, True, "nearest"), (3, True, "linear"), (1, False, None)]),
)
def test_scaling_activations_equals_modulating_weights(
    seed: int, batch: int, inner: int, outer: int, kind: tuple[int, bool, Resample | None]
) -> None:
    size, demodulate, up = kind
    conv = make_conv(seed, inner, outer, size, demodulate, up)
    x = double_noise(seed + 1, batch, inner, 4, 4).requires_grad_()
    w = double_noise(seed + 2, batch, 6).requires_grad_()
    ours, papers = conv(x, w), papers_modulated_conv(conv, x, w)
    assert ours.shape == papers.shape
    torch.testing.assert_close(ours, papers)
    direction = double_noise(seed + 3, *ours.shape)
    leaves = (x, w, conv.weight, conv.style.weight, conv.style.bias)
    for mine, theirs in zip(
        torch.autograd.grad((ours * direction).sum(), leaves),
        torch.autograd.grad((papers * direction).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_demodulated_weights_have_unit_norm() -> None:
    conv = make_conv(0, 7, 5, 3, True, None)
    style = conv.style(double_noise(1, 4, 6))
    weight = conv.weight * conv.gain
    demodulation = conv.demodulation(style, weight)
    final = weight[None] * style[:, None, :, None, None] * demodulation[:, :, None, None, None]
    torch.testing.assert_close(final.square().sum(dim=(2, 3, 4)), torch.ones(4, 5, dtype=torch.float64))


def test_demodulation_keeps_the_variance_of_unit_activations() -> None:
    conv = make_conv(0, 32, 16, 3, True, None)
    y = conv(double_noise(1, 64, 32, 8, 8), double_noise(2, 64, 6))[:, :, 1:-1, 1:-1]
    assert y.var().item() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("resample", ["nearest", "linear"])
def test_resampling_equals_zero_insertion_and_filtering(resample: Resample) -> None:
    x = double_noise(0, 2, 3, 8, 8)
    torch.testing.assert_close(upsample(x, resample), papers_upsample(x, resample))
    torch.testing.assert_close(downsample(x, resample), papers_downsample(x, resample))


@pytest.mark.parametrize("resample", ["nearest", "linear"])
def test_resampling_keeps_flat_areas_flat(resample: Resample) -> None:
    x = torch.full((1, 1, 8, 8), 0.7)
    assert upsample(x, resample)[:, :, 3:-3, 3:-3].sub(0.7).abs().max() < 1e-6
    assert downsample(x, resample)[:, :, 1:-1, 1:-1].sub(0.7).abs().max() < 1e-6


@pytest.mark.parametrize("resample", ["nearest", "linear"])
def test_a_halving_convolution_equals_convolution_then_filter(resample: Resample) -> None:
    conv = EqualConv(3, 4, 3, down=resample).double()
    x = double_noise(0, 2, 3, 8, 8)
    # Filters that reach over the border see what the convolution would give there, so only the inside must agree.
    full = functional.conv2d(x, conv.weight * conv.gain, conv.bias, padding=1)
    inside = slice(1, -1)
    torch.testing.assert_close(conv(x)[:, :, inside, inside], papers_downsample(full, resample)[:, :, inside, inside])


@given(multiplier=st.sampled_from([1.0, 0.1, 0.01]))
@settings(max_examples=3, deadline=None)
def test_equalised_layers_start_with_unit_variance(multiplier: float) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = EqualLinear(256, 256, lr_multiplier=multiplier, bias=0.5)
    y = layer(double_noise(1, 512, 256).float())
    assert y.var().item() == pytest.approx(1.0, rel=0.1)
    assert y.mean().item() == pytest.approx(0.5, abs=0.05)
