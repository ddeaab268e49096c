"""Rules of the adaptive augmentation: its probability follows the overfitting heuristic, in both directions."""

from __future__ import annotations

import pytest
import torch

from export.avatar.adaptive import INTERVAL, AdaptiveStrength


def strength(p: float = 0.5, **changes: float) -> AdaptiveStrength:
    return AdaptiveStrength(**{"p": p, "target": 0.6, "kimg": 1.0, "limit": 0.85} | changes)


def run(controller: AdaptiveStrength, logits: list[float], steps: int, batch: int = 10) -> None:
    for step in range(1, steps + 1):
        controller.observe(torch.tensor(logits))
        controller.update(step, batch)


def test_the_heuristic_is_the_mean_sign_of_the_logits_of_four_steps() -> None:
    controller = strength(kimg=0.0)
    for step, logits in enumerate([[1.0, 2.0], [-1.0, 3.0], [0.0, 5.0], [-2.0, -0.1]], 1):
        controller.observe(torch.tensor(logits))
        controller.update(step, 2)
        assert controller.overfitting == (0.0 if step < INTERVAL else (2 + 0 + 1 - 2) / 8)


def test_a_discriminator_that_is_too_sure_raises_p_and_one_that_is_not_lowers_it() -> None:
    sure, lost = strength(), strength()
    run(sure, [1.0] * 10, INTERVAL)
    run(lost, [1.0] * 5 + [-1.0] * 5, INTERVAL)
    # Four steps of 10 pictures are 40 of the 1,000 in which p goes from 0 to 1.
    assert sure.p == pytest.approx(0.54)
    assert lost.p == pytest.approx(0.46)


def test_p_stays_between_zero_and_its_limit() -> None:
    sure, lost = strength(), strength()
    run(sure, [1.0] * 10, 100 * INTERVAL)
    run(lost, [-1.0] * 10, 100 * INTERVAL)
    assert (sure.p, lost.p) == (0.85, 0.0)


def test_p_moves_only_every_fourth_step_and_not_at_all_without_a_speed() -> None:
    controller, fixed = strength(), strength(kimg=0.0)
    run(controller, [1.0], INTERVAL - 1)
    run(fixed, [1.0], 10 * INTERVAL)
    assert controller.p == fixed.p == 0.5


def test_a_restored_controller_goes_on_as_if_never_stopped() -> None:
    whole, first, second = strength(), strength(), strength(p=0.0)
    run(whole, [1.0, -1.0, 1.0], 6)
    run(first, [1.0, -1.0, 1.0], 5)
    second.restore(first.state())
    second.observe(torch.tensor([1.0, -1.0, 1.0]))
    second.update(6, 10)
    assert whole.state()["p"] == second.state()["p"]
    assert torch.equal(whole.state()["signs"], second.state()["signs"])
