"""Rules of the perceptual path length: a slope of pictures along W, whatever the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from export.avatar.features import vgg16
from export.avatar.model import Generator, ModelConfig
from export.avatar.path_length import path_length, perceptual_distance, smooth_picture
from export.avatar.pictures import over


def generator(**options: Any) -> Generator:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"latent_size": 8, "mapping_layers": 1, "channel_max": 8, "image_size": 32} | options
    network = Generator(ModelConfig(**shape)).eval().requires_grad_(False)
    if network.synthesis.palette is not None:
        network.synthesis.palette.colours.uniform_(-1.0, 1.0)
    return network


def styles(network: Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    z = torch.randn(count, network.config.latent_size, generator=random)
    return network.mapping.to_w(z), torch.randn(count, network.config.noise_size, generator=random)


def test_the_distance_is_that_of_its_formula() -> None:
    random = torch.Generator().manual_seed(0)
    first, second = (torch.rand(2, 3, 64, 64, generator=random) * 255 for _ in range(2))
    expected = np.zeros(2)
    with torch.inference_mode():
        for maps in zip(vgg16().activations(first), vgg16().activations(second), strict=True):
            a, b = (part.double().numpy() / np.linalg.norm(part.double().numpy(), axis=1, keepdims=True) for part in maps)
            expected += np.square(a - b).sum(axis=1).mean(axis=(1, 2))
    assert perceptual_distance(first, second).numpy() == pytest.approx(expected, rel=1e-4)
    assert perceptual_distance(second, first).numpy() == pytest.approx(expected, rel=1e-4)
    assert perceptual_distance(first, first).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("options", [{}, {"palette_size": 6, "pixel_size": 2}, {"image_channels": 3}])
def test_the_length_does_not_depend_on_the_step(options: dict[str, Any]) -> None:
    network = generator(**options)
    fine, coarse = (path_length(network, 12, epsilon=epsilon) for epsilon in (1e-4, 1e-3))
    assert fine > 0
    assert fine == pytest.approx(coarse, rel=0.1)
    assert path_length(network, 12, batch=5) == pytest.approx(fine, rel=0.02)


def test_a_generator_that_ignores_its_latent_has_no_length() -> None:
    network = generator()
    for layer in network.mapping.layers:
        for parameter in layer.parameters():
            parameter.zero_()
    assert path_length(network, 4) == 0.0


def test_smooth_pictures_are_the_pictures_before_rounding() -> None:
    network = generator(image_channels=4)
    w, noise = styles(network, 3)
    image = network.synthesis(w[:, None, :].expand(-1, network.config.num_layers, -1), noise)
    rounded = over(np.clip(image.numpy() * 127.5 + 128.0, 0.0, 255.0).astype(np.uint8))
    assert np.abs(smooth_picture(network, w, noise).numpy() - rounded).max() <= 2.0


def test_a_blending_palette_gives_its_blend() -> None:
    network = generator(palette_size=5, palette_mix="blend", image_channels=3, pixel_size=2)
    w, noise = styles(network, 3)
    image = network.synthesis(w[:, None, :].expand(-1, network.config.num_layers, -1), noise)
    assert torch.allclose(smooth_picture(network, w, noise), (image + 1) * 127.5, atol=1e-3)


@pytest.mark.parametrize(("pairs", "epsilon"), [(0, 1e-4), (4, 0.0), (4, float("nan"))])
def test_impossible_paths_are_refused(pairs: int, epsilon: float) -> None:
    with pytest.raises(ValueError, match="both must be above 0"):
        path_length(generator(), pairs, epsilon=epsilon)
