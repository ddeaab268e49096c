"""Rules of the losses: the penalties are what finite differences say they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from export.avatar import loss
from export.avatar.model import Discriminator, Generator, ModelConfig

TINY = ModelConfig(latent_size=4, mapping_layers=1, channels=(3, 3, 3, 3))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(kind: Callable[[ModelConfig], torch.nn.Module]) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(TINY).double()


def slope(value: Callable[[], Tensor], parameter: Tensor, direction: Tensor, step: float = 1e-6) -> float:
    """The central difference of a value when a parameter moves."""
    start = parameter.data.clone()
    parameter.data = start + step * direction
    above = value().item()
    parameter.data = start - step * direction
    below = value().item()
    parameter.data = start
    return (above - below) / (2 * step)


def test_r1_is_the_squared_slope_of_the_logit() -> None:
    discriminator = network(Discriminator)
    images = normal(1, 2, 3, 32, 32).requires_grad_()
    penalty = loss.r1_penalty(images, discriminator(images))
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images)
    assert penalty.item() == pytest.approx(gradient.square().sum().item() / 2, rel=1e-12)
    for seed in range(3):
        direction = normal(10 + seed, *images.shape)
        numeric = slope(lambda: discriminator(images).sum().detach(), images, direction)
        assert numeric == pytest.approx((gradient * direction).sum().item(), rel=1e-4)


@pytest.mark.parametrize("name", ["from_image.weight", "blocks.0.conv1.weight", "dense.weight", "logit.weight"])
def test_the_gradient_of_r1_agrees_with_finite_differences(name: str) -> None:
    discriminator = network(Discriminator)
    images = normal(1, 4, 3, 32, 32).requires_grad_()
    parameter = dict(discriminator.named_parameters())[name]

    def penalty() -> Tensor:
        return loss.r1_penalty(images, discriminator(images))

    direction = normal(2, *parameter.shape)
    (gradient,) = torch.autograd.grad(penalty(), parameter)
    assert slope(penalty, parameter, direction) == pytest.approx((gradient * direction).sum().item(), rel=1e-3)


def test_path_length_of_a_linear_map_is_known() -> None:
    matrix, direction = normal(1, 3 * 16, 5), normal(2, 2, 3, 4, 4)
    w = normal(3, 2, 1, 5).requires_grad_()
    images = (w[:, 0] @ matrix.T).reshape(2, 3, 4, 4)
    expected = (direction.flatten(1) / 4.0 @ matrix).norm(dim=1)
    torch.testing.assert_close(loss.path_lengths(images, w, direction), expected)


def test_path_length_averages_over_the_layers() -> None:
    direction = normal(2, 1, 3, 4, 4)
    w = normal(3, 1, 2, 48).requires_grad_()
    images = (w[:, 0] + 3.0 * w[:, 1]).reshape(1, 3, 4, 4)
    expected = (direction / 4.0).norm() * math.sqrt((1 + 9) / 2)
    torch.testing.assert_close(loss.path_lengths(images, w, direction)[0], expected)


@pytest.mark.parametrize("name", ["constant", "convs.1.conv.weight", "convs.2.conv.style.weight", "to_image.3.conv.weight"])
def test_the_gradient_of_path_length_agrees_with_finite_differences(name: str) -> None:
    synthesis = network(Generator).synthesis
    parameter = dict(synthesis.named_parameters())[name]
    w = normal(1, 2, TINY.num_layers, 4).requires_grad_()
    noise, target = normal(2, 2, TINY.noise_size), normal(3, 2, 3, 32, 32)

    def penalty() -> Tensor:
        return (loss.path_lengths(synthesis(w, noise), w, target) - 0.1).square().mean()

    direction = normal(4, *parameter.shape)
    (gradient,) = torch.autograd.grad(penalty(), parameter)
    assert slope(penalty, parameter, direction) == pytest.approx((gradient * direction).sum().item(), rel=1e-3)


def test_losses_of_an_undecided_discriminator_are_log_two() -> None:
    zero = torch.zeros(4)
    assert loss.generator_loss(zero).item() == pytest.approx(math.log(2))
    assert loss.discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))


def test_each_player_gains_by_its_own_side() -> None:
    low, high = torch.full((4,), -3.0), torch.full((4,), 3.0)
    assert loss.discriminator_loss(high, low) < loss.discriminator_loss(low, high)
    assert loss.generator_loss(high) < loss.generator_loss(low)
