"""Rules of training: a resumed run is the uninterrupted run, bit for bit; bad numbers stop it; the measures are right."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from export import checkpoint
from export.npc.baselines import random_policy, scripted
from export.npc.commands import COMMANDS
from export.npc.config import TrainConfig, config_from_json
from export.npc.evaluate import evaluate, table, wilson_interval
from export.npc.train import CHECKPOINT, POLICY_ZIP, train
from export.npc.trainer import Diverged, Trainer
from export.npc.vec_env import PlazaVecEnv

ROLLOUT = 8 * 40


def tiny_config(folder: Path, **changes: Any) -> TrainConfig:
    """Episodes end in the midst of rollouts, so that their boundaries are crossed too."""
    config = TrainConfig(
        runs=folder, seconds=0.0, steps=9 * ROLLOUT, worlds=8, rollout_ticks=40, batch=64, epochs=2, hidden=(16, 16)
    )
    return dataclasses.replace(config, **changes)


def final_state(config: TrainConfig) -> dict[str, Any]:
    state = checkpoint.load(config.folder / CHECKPOINT, "npc")
    del state["config"], state["seconds"]
    return state


def assert_identical(first: Any, second: Any, where: str = "state") -> None:
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, where
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_identical(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_identical(*pair, f"{where}[{index}]")
    else:
        assert first == second, where


def curves(config: TrainConfig) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(config.folder)).Reload()
    return {name: [(point.step, point.value) for point in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_an_interrupted_and_resumed_run_is_the_uninterrupted_run(tmp_path: Path) -> None:
    whole = tiny_config(tmp_path, run="whole")
    train(whole)
    parts = tiny_config(tmp_path, run="parts", steps=5 * ROLLOUT)
    train(parts)
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    train(dataclasses.replace(parts, steps=9 * ROLLOUT, resume=True))
    assert_identical(final_state(whole), final_state(parts))
    assert curves(whole) == curves(parts)
    assert len(curves(whole)["train/value_loss"]) == 9
    assert len(curves(whole)["episode/return"]) == 3


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    first, second = (tiny_config(tmp_path, run=f"seed{seed}", seed=seed, steps=ROLLOUT) for seed in (1, 2))
    train(first)
    train(second)
    assert not torch.equal(
        final_state(first)["policy"]["action_net.weight"], final_state(second)["policy"]["action_net.weight"]
    )


def test_a_changed_option_is_refused_on_resume(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, steps=ROLLOUT)
    train(config)
    with pytest.raises(ValueError, match=r"trained with gamma = 0\.97, not 0\.5"):
        train(dataclasses.replace(config, gamma=0.5, resume=True))
    with pytest.raises(ValueError, match="exists; go on with --resume"):
        train(config)


def test_options_that_can_not_train_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no budget"):
        train(tiny_config(tmp_path, steps=0))
    with pytest.raises(ValueError, match=r"batch is 400, expected 2 .. 320"):
        train(tiny_config(tmp_path, batch=400))
    with pytest.raises(checkpoint.CheckpointError, match="train first"):
        train(tiny_config(tmp_path, resume=True))


def test_bad_numbers_stop_training_with_the_reason(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, learning_rate=1e30, learning_rate_floor=1e30)
    with pytest.raises(
        Diverged, match=r"not finite after \d+ steps.*; there is no good checkpoint yet; a lower --learning-rate"
    ):
        train(config)
    assert not (config.folder / CHECKPOINT).exists()


def test_a_time_budget_ends_at_a_rollout_boundary(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, seconds=0.01, steps=0)
    train(config)
    assert final_state(config)["steps"] == ROLLOUT


def test_stable_baselines_reads_its_zip(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, steps=2 * ROLLOUT)
    train(config)
    model = PPO.load(config.folder / POLICY_ZIP, device="cpu")
    state = final_state(config)
    assert model.num_timesteps == 2 * ROLLOUT
    assert_identical(dict(model.policy.state_dict()), dict(state["policy"]))


def test_the_learning_rate_follows_the_steps_alone(tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path, learning_rate=1e-3, learning_rate_half_life=1000, learning_rate_floor=2e-4))
    rates = []
    for steps in (0, 1000, 2000, 5000):
        trainer.model.num_timesteps = steps
        rates.append(trainer.learning_rate())
    assert rates == pytest.approx([1e-3, 5e-4, 2.5e-4, 2e-4])


def test_training_improves_on_its_start(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, worlds=32, rollout_ticks=64, batch=512, epochs=6, hidden=(32, 32))
    trainer = Trainer(config)
    for _ in range(20):
        trainer.train_rollout()
    assert trainer.metrics["episode/return"] > evaluate(random_policy(0), 64).mean_return + 15.0


def test_the_vectorised_environment_normalises_and_resets(tmp_path: Path) -> None:
    plaza = PlazaVecEnv(4, seed=1)
    first = plaza.reset()
    plaza.seed(1)
    again = plaza.reset()
    plaza.seed(1)
    assert not np.array_equal(first, again)
    np.testing.assert_array_equal(plaza.reset(), again)


def test_configurations_survive_json(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    assert config_from_json(config.to_json()) == config


def test_the_scripted_policy_is_far_better_than_the_random_one() -> None:
    better, worse = evaluate(scripted, 100), evaluate(random_policy(0), 100)
    assert better.success_low > 0.85
    assert worse.success_high < 0.1
    assert better.mean_return > worse.mean_return + 40.0
    assert worse.contact_share > better.contact_share
    lines = table({"scripted": better, "random": worse}).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {8}


def test_standing_still_serves_nobody_who_is_far() -> None:
    still = evaluate(lambda observations: np.zeros((len(observations), 2), np.float32), 50)
    assert still.success_rate < 0.2
    assert still.serving_share < 0.2


def test_wilson_interval_agrees_with_published_values() -> None:
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        wilson_interval(3, 2)


def test_every_option_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    import tyro

    for name, config in COMMANDS.items():
        with pytest.raises(SystemExit):
            tyro.cli(config, args=["--help"], prog=name)
        text = capsys.readouterr().out
        for field in dataclasses.fields(config):
            option = "from" if field.name == "source" else field.name.replace("_", "-")
            assert f"--{option}" in text
