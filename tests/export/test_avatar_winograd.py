"""Rules of the quick convolution: it computes what Conv2d computes."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from export.avatar.winograd import WinogradConv


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 13), st.integers(1, 13), st.integers(0, 2**31))
def test_it_equals_the_direct_convolution(count: int, inputs: int, outputs: int, height: int, width: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, inputs, height, width, generator=random)
    weight, bias = torch.randn(outputs, inputs, 3, 3, generator=random), torch.randn(outputs, generator=random)
    expected = conv2d(x.double(), weight.double(), bias.double(), padding=1)
    found = WinogradConv(weight, bias)(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5 * (1 + expected.abs().max())


def test_the_layout_of_the_input_does_not_matter() -> None:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    conv = WinogradConv(torch.ones(3, 4, 3, 3), torch.zeros(3))
    assert torch.equal(conv(x), conv(x.contiguous(memory_format=torch.channels_last)))
