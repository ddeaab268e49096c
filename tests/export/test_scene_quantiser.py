"""Rules of the two quantisers: what a code is, where gradients go, how a codebook learns."""

from __future__ import annotations

import pytest
import torch

from export.scene.quantiser import FiniteScalarQuantiser, VectorQuantiser, usage


def vectors(*values: tuple[float, float]) -> torch.Tensor:
    """Vectors of two numbers as a map [1, 2, 1, N]."""
    return torch.tensor(values).t().reshape(1, 2, 1, -1)


def codebook(*values: tuple[float, float], decay: float = 0.5) -> VectorQuantiser:
    quantiser = VectorQuantiser(len(values), 2, decay=decay)
    quantiser.codebook.copy_(torch.tensor(values))
    quantiser.counts.fill_(1.0)
    quantiser.sums.copy_(quantiser.codebook)
    return quantiser


def test_a_code_is_the_nearest_vector() -> None:
    quantiser = codebook((0.0, 0.0), (1.0, 1.0), (5.0, 0.0))
    found = quantiser(vectors((0.2, 0.1), (0.9, 1.2), (9.0, 0.0)))
    assert found.codes.flatten().tolist() == [0, 1, 2]
    assert torch.equal(quantiser.look_up(found.codes), found.vectors)


def test_gradients_go_straight_through_to_the_encoder() -> None:
    quantiser, z = codebook((0.0, 0.0), (1.0, 1.0)), vectors((0.2, 0.1), (0.9, 1.2)).requires_grad_(True)
    weights = torch.tensor([3.0, -2.0]).reshape(1, 2, 1, 1)
    (quantiser(z).vectors * weights).sum().backward()
    assert torch.equal(z.grad, weights.expand_as(z))


def test_the_commitment_loss_pulls_the_encoder_and_not_the_codebook() -> None:
    quantiser, z = codebook((0.0, 0.0)), vectors((0.6, 0.8)).requires_grad_(True)
    loss = quantiser(z).loss
    loss.backward()
    assert loss.item() == pytest.approx((0.36 + 0.64) / 2)
    assert torch.allclose(z.grad, z.detach())
    assert not any(True for _ in quantiser.parameters())


def test_the_codebook_follows_its_moving_averages() -> None:
    """By hand, with decay 0.5: N = 0.5 x 1 + 0.5 x 2, m = 0.5 x e + 0.5 x sum; e = m / N. Nobody chose the other one."""
    quantiser = codebook((0.0, 0.0), (4.0, 4.0))
    z = vectors((1.0, 0.0), (0.0, 2.0))
    quantiser.update(z, quantiser.nearest(z))
    assert quantiser.counts.tolist() == [1.5, 0.5]
    assert torch.allclose(quantiser.codebook, torch.tensor([[0.5 / 1.5, 1.0 / 1.5], [4.0, 4.0]]), atol=1e-3)


def test_dead_codes_restart_at_encoder_outputs_and_the_others_stay() -> None:
    quantiser = codebook((0.0, 0.0), (4.0, 4.0), (8.0, 8.0))
    quantiser.counts.copy_(torch.tensor([0.1, 3.0, 0.2]))
    z = vectors((1.0, 2.0), (3.0, 5.0), (7.0, 6.0))
    assert quantiser.restart(z, 0.5, torch.Generator().manual_seed(1)) == 2
    outputs = {(1.0, 2.0), (3.0, 5.0), (7.0, 6.0)}
    assert tuple(quantiser.codebook[0].tolist()) in outputs
    assert tuple(quantiser.codebook[2].tolist()) in outputs
    assert quantiser.codebook[1].tolist() == [4.0, 4.0]
    assert (quantiser.counts >= 0.5).all()
    assert quantiser.restart(z, 0.5, torch.Generator()) == 0


def test_a_start_takes_encoder_outputs_and_is_a_function_of_the_generator() -> None:
    z = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    books = []
    for _ in range(2):
        quantiser = VectorQuantiser(5, 2)
        quantiser.start(z, torch.Generator().manual_seed(7))
        books.append(quantiser.codebook.clone())
    assert torch.equal(*books)
    rows = z.permute(0, 2, 3, 1).reshape(-1, 2)
    assert all((rows == vector).all(dim=1).any() for vector in books[0])


@pytest.mark.parametrize("levels", [(2,), (3, 5), (8, 5, 5, 5), (4, 4)])
def test_finite_scalars_take_each_of_their_levels_and_codes_number_them_all(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    codes = torch.arange(quantiser.codes).reshape(1, 1, -1)
    points = quantiser.look_up(codes)
    assert torch.equal(points.squeeze(2).squeeze(0).t().unique(dim=0), points.squeeze(2).squeeze(0).t().unique(dim=0))
    assert len(points.squeeze(2).squeeze(0).t().unique(dim=0)) == quantiser.codes
    for axis, size in enumerate(levels):
        assert torch.allclose(points[0, axis].unique(), torch.linspace(-1.0, 1.0, size))
    inner = torch.atanh(points * 0.999)
    assert torch.equal(quantiser.nearest(inner), codes)


def test_finite_scalars_pass_gradients_straight_through_their_rounding() -> None:
    quantiser, z = FiniteScalarQuantiser((5,)), torch.tensor([0.1, 0.6, -2.0]).reshape(1, 1, 1, 3).requires_grad_(True)
    quantiser(z).vectors.sum().backward()
    assert torch.allclose(z.grad, 1.0 - torch.tanh(z.detach()) ** 2)


def test_levels_that_make_no_choice_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fsq levels are \(5, 1\)"):
        FiniteScalarQuantiser((5, 1))


def test_usage_counts_codes_and_their_perplexity() -> None:
    assert usage(torch.tensor([4.0, 4.0, 0.0, 0.0])) == pytest.approx((0.5, 2.0))
    assert usage(torch.ones(8)) == pytest.approx((1.0, 8.0))
