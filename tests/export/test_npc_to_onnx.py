"""Rules of publishing: raw observations in, the actions of the trained policy out, always within their bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model_card import read_card, sha256_file
from export.checkpoint import CheckpointError
from export.npc.config import TrainConfig
from export.npc.course import course, simulate
from export.npc.env import ACTION_HIGH, ACTION_LOW, ELEMENTS, OBSERVATION_HIGH, OBSERVATION_LOW, Plaza
from export.npc.policy import open_run, policy_from
from export.npc.to_onnx import export_follower
from export.npc.train import save
from export.npc.trainer import Trainer
from export.npc.vec_env import engine_actions


class Published:
    """A trainer after some rollouts, its run folder and the bundle made from it."""

    def __init__(self, folder: Path) -> None:
        config = TrainConfig(runs=folder, worlds=16, rollout_ticks=64, batch=256, epochs=4)
        self.trainer = Trainer(config)
        for _ in range(30):
            self.trainer.train_rollout()
        config.folder.mkdir(parents=True)
        save(self.trainer, config.folder / "checkpoint.pt")
        self.run = config.folder
        self.bundle = export_follower(config.folder, folder / "models", "assistant")
        self.session = onnxruntime.InferenceSession(str(self.bundle / "policy.onnx"), providers=["CPUExecutionProvider"])

    def act(self, observation: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        feeds = {"observation": observation, "noise": np.zeros((len(observation), 2), np.float32) if noise is None else noise}
        move = self.session.run(["move"], feeds)[0]
        assert isinstance(move, np.ndarray)
        return move


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("npc"))


def visited_observations(published: Published) -> np.ndarray:
    """What 64 NPCs see on their way under the policy."""
    plaza, seen = Plaza(64, 123), []
    for _ in range(60):
        seen.append(plaza.observe())
        plaza.step(published.act(seen[-1]))
    return np.concatenate(seen)


def test_the_bundle_is_described_by_its_card(published: Published) -> None:
    card = read_card(published.bundle / "card.json")
    assert (card.name, card.family, card.version) == ("assistant", "npc", 1)
    graph = card.graph("policy")
    assert graph.sha256 == sha256_file(published.bundle / "policy.onnx")
    assert graph.parity_error <= 1e-4
    assert graph.parity_batches == [1, 2, 7, 64]
    assert [tensor.name for tensor in graph.inputs] == ["observation", "noise"]
    (observation,), (action,) = card.spec["observations"], card.spec["actions"]
    assert observation["elements"] == list(ELEMENTS)
    assert observation["shape"] == [len(ELEMENTS)] == [len(observation["low"])] == [len(observation["high"])]
    assert (action["low"], action["high"]) == (ACTION_LOW.tolist(), ACTION_HIGH.tolist())
    assert card.spec["tick_seconds"] == 0.1
    assert card.provenance.metrics["steps"] == published.trainer.steps
    assert "runs" not in card.provenance.config


def test_raw_observations_give_what_stable_baselines_predicts(published: Published) -> None:
    observations = visited_observations(published)
    normalised = published.trainer.normalised.normalize_obs(observations)
    predicted, _ = published.trainer.model.predict(normalised, deterministic=True)
    actions = published.act(observations)
    np.testing.assert_allclose(actions, engine_actions(predicted), atol=2e-5)
    assert actions.std(axis=0).min() > 0.05


def test_noise_is_the_exploration_of_training(published: Published) -> None:
    observations = visited_observations(published)[:500]
    noise = np.random.default_rng(0).standard_normal((500, 2), np.float32)
    model = published.trainer.model
    normalised = torch.from_numpy(published.trainer.normalised.normalize_obs(observations))
    with torch.no_grad():
        gaussian = model.policy.get_distribution(normalised).distribution
        drawn = gaussian.mean + gaussian.stddev * torch.from_numpy(noise)
    np.testing.assert_allclose(published.act(observations, noise), engine_actions(drawn.numpy()), atol=2e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), magnitude=st.sampled_from([1.0, 1e3, 1e12]))
def test_actions_stay_within_their_bounds(published: Published, seed: int, magnitude: float) -> None:
    rng = np.random.default_rng(seed)
    observations = (rng.uniform(OBSERVATION_LOW, OBSERVATION_HIGH, (33, len(ELEMENTS))) * magnitude).astype(np.float32)
    actions = published.act(observations, (10.0 * rng.standard_normal((33, 2))).astype(np.float32))
    assert np.isfinite(actions).all()
    assert (actions >= ACTION_LOW).all()
    assert (actions <= ACTION_HIGH).all()


def test_an_agent_gets_the_same_action_alone_and_in_a_batch(published: Published) -> None:
    observations = visited_observations(published)[:65]
    alone = np.concatenate([published.act(row[None]) for row in observations])
    np.testing.assert_allclose(published.act(observations), alone, atol=1e-5)


def test_the_opened_run_acts_as_the_bundle(published: Published) -> None:
    policy, config = open_run(published.run)
    observations = visited_observations(published)
    np.testing.assert_allclose(policy.act(observations), published.act(observations), atol=2e-5)
    assert config == published.trainer.config
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        open_run(published.run / "nothing")


def test_torch_and_onnx_walk_the_same_course(published: Published) -> None:
    def cautious(choose: Any) -> Any:
        return lambda observations: choose(observations) * np.float32(0.2)

    states = course(1, 8)
    policy = policy_from(published.trainer.state())
    first, second = (simulate(states, cautious(choose), 100) for choose in (policy.act, published.act))
    assert np.abs(first[-1] - first[0]).max() > 0.5
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_a_version_is_never_replaced(published: Published) -> None:
    models = published.bundle.parent.parent
    with pytest.raises(FileExistsError, match="never replaced"):
        export_follower(published.run, models, "assistant", 1)
    assert export_follower(published.run, models, "assistant").name == "2"
