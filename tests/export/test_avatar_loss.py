"""Rules of the losses: the penalties are what finite differences say they are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from export.avatar import loss
from export.avatar.model import Discriminator, Generator, ModelConfig

TINY = ModelConfig(image_channels=3, latent_size=4, mapping_layers=1, channels=(3, 3, 3, 3))


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


def sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


LOGITS = st.lists(st.floats(-8, 8), min_size=1, max_size=6)


@given(real=LOGITS, fake=LOGITS)
def test_objectives_are_the_written_out_games(real: list[float], fake: list[float]) -> None:
    """D maximises E[log D(x)] + E[log(1 - D(G(z)))]; what each side minimises is spelled out with means and logarithms."""
    x, g = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    seen = statistics.fmean(math.log(sigmoid(v)) for v in real)
    caught = statistics.fmean(math.log(1.0 - sigmoid(v)) for v in fake)
    fooled = statistics.fmean(math.log(sigmoid(v)) for v in fake)
    margin = statistics.fmean(max(0.0, 1.0 - v) for v in real) + statistics.fmean(max(0.0, 1.0 + v) for v in fake)
    expected: dict[loss.Objective, tuple[float, float]] = {
        "logistic": (-seen - caught, -fooled),
        "minimax": (-seen - caught, caught),
        "hinge": (margin, -statistics.fmean(fake)),
    }
    for objective, (discriminator, generator) in expected.items():
        assert loss.discriminator_loss(x, g, objective).item() == pytest.approx(discriminator, abs=1e-9)
        assert loss.generator_loss(g, objective).item() == pytest.approx(generator, abs=1e-9)


@pytest.mark.parametrize("objective", get_args(loss.Objective))
@pytest.mark.parametrize("logit", [-0.9, 0.0, 0.9])
def test_descending_raises_real_logits_and_pushes_generated_ones_apart(objective: loss.Objective, logit: float) -> None:
    real, fake = (torch.full((2,), logit, requires_grad=True) for _ in range(2))
    up, down = torch.autograd.grad(loss.discriminator_loss(real, fake, objective), (real, fake))
    (generated,) = torch.autograd.grad(loss.generator_loss(fake, objective), fake)
    assert (up < 0).all()
    assert (down > 0).all()
    assert (generated < 0).all()


def test_the_original_game_loses_its_gradient_where_the_other_does_not() -> None:
    caught = torch.full((1,), -10.0, requires_grad=True)
    slopes = [torch.autograd.grad(loss.generator_loss(caught, name), caught)[0].item() for name in ("minimax", "logistic")]
    assert slopes == pytest.approx([-sigmoid(-10.0), sigmoid(-10.0) - 1.0], rel=1e-4)


def test_logits_far_out_stay_finite() -> None:
    far = torch.tensor([-1e4, 1e4])
    for objective in get_args(loss.Objective):
        assert loss.discriminator_loss(far, far, objective).isfinite()
        assert loss.generator_loss(far, objective).isfinite()
