"""Real policies of Stable-Baselines3, trained for a moment on worlds of noise: one for each algorithm and kind of space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from sb3_contrib import QRDQN, TQC, TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize

from export.npc.spaces import branches_of

BOX = spaces.Box(-2.0, 3.0, (5,))
UNBOUNDED = spaces.Box(-np.inf, np.inf, (3,))
PICTURE = spaces.Box(0, 255, (36, 40, 3), np.uint8)
MIXED = spaces.Dict(
    place=BOX, door=spaces.Discrete(4), view=PICTURE, dials=spaces.MultiDiscrete([3, 4]), switches=spaces.MultiBinary(3)
)
SEEN = spaces.Dict(place=BOX, view=PICTURE)
MOVE = spaces.Box(np.array([-1.0, -2.0], np.float32), np.array([1.0, 5.0], np.float32))
CHOICE, CHOICES, BITS = spaces.Discrete(4), spaces.MultiDiscrete([3, 2, 4]), spaces.MultiBinary(3)
SMALL_LSTM = {"policy_kwargs": {"lstm_hidden_size": 8, "n_lstm_layers": 2}}
Case = tuple[type[BaseAlgorithm], str, spaces.Space[Any], spaces.Space[Any], dict[str, Any]]

CASES: dict[str, Case] = {
    "ppo of a vector, continuous": (PPO, "MlpPolicy", BOX, MOVE, {}),
    "ppo with gsde": (PPO, "MlpPolicy", BOX, MOVE, {"use_sde": True}),
    "ppo of mixed observations, multi-discrete": (PPO, "MultiInputPolicy", MIXED, CHOICES, {}),
    "ppo of a category, multi-binary": (PPO, "MlpPolicy", spaces.Discrete(6), BITS, {}),
    "a2c of pictures, discrete": (A2C, "CnnPolicy", PICTURE, CHOICE, {}),
    "dqn": (DQN, "MlpPolicy", BOX, CHOICE, {}),
    "qrdqn of categories": (QRDQN, "MlpPolicy", spaces.MultiDiscrete([4, 5]), CHOICE, {}),
    "sac": (SAC, "MlpPolicy", BOX, MOVE, {}),
    "sac with gsde": (SAC, "MlpPolicy", BOX, MOVE, {"use_sde": True}),
    "td3": (TD3, "MlpPolicy", BOX, MOVE, {}),
    "tqc of mixed observations": (TQC, "MultiInputPolicy", SEEN, MOVE, {}),
    "maskable ppo, multi-discrete": (MaskablePPO, "MlpPolicy", BOX, CHOICES, {}),
    "maskable ppo, multi-binary": (MaskablePPO, "MlpPolicy", BOX, BITS, {}),
    "maskable ppo of mixed observations, discrete": (MaskablePPO, "MultiInputPolicy", MIXED, CHOICE, {}),
    "recurrent ppo, continuous": (RecurrentPPO, "MlpLstmPolicy", BOX, MOVE, SMALL_LSTM),
    "recurrent ppo of mixed observations, discrete": (RecurrentPPO, "MultiInputLstmPolicy", SEEN, CHOICE, SMALL_LSTM),
    "trpo of bits": (TRPO, "MlpPolicy", spaces.MultiBinary(5), CHOICE, {}),
}


class Noise(gym.Env[Any, Any]):
    """A world whose observations and rewards are drawn from its spaces, in episodes of about ten steps."""

    def __init__(self, observations: spaces.Space[Any], actions: spaces.Space[Any], seed: int = 0) -> None:
        self.observation_space, self.action_space = observations, actions
        self.rng = np.random.default_rng(seed)
        observations.seed(seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), float(self.rng.random()), bool(self.rng.random() < 0.1), False, {}

    def action_masks(self) -> np.ndarray:
        """Allow everything."""
        return np.ones(sum(branches_of(self.action_space)), bool)


def noise_env(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> VecEnv:
    return DummyVecEnv([lambda: Noise(observations, actions)])


def trained(case: Case, env: VecEnv | None = None, **settings: Any) -> BaseAlgorithm:
    """Return the case's algorithm after 40 steps."""
    algorithm, policy, observations, actions, extra = case
    own: dict[str, Any] = {"n_steps": 16} if algorithm in (PPO, A2C, MaskablePPO, RecurrentPPO, TRPO) else {}
    if algorithm in (PPO, MaskablePPO, RecurrentPPO):
        own["batch_size"] = 16
    if algorithm in (DQN, QRDQN, SAC, TD3, TQC):
        own = {"learning_starts": 10, "buffer_size": 100}
    env = env or noise_env(observations, actions)
    model = algorithm(policy, env, seed=3, device="cpu", **own | extra | settings)
    return model.learn(40)


def stacked(frames: int, normalised_first: bool) -> tuple[VecEnv, VecNormalize]:
    """Return a world of vectors whose frames are stacked and normalised, in either order, and its normaliser."""
    plain = noise_env(UNBOUNDED, MOVE)
    if normalised_first:
        normaliser = VecNormalize(plain, norm_reward=False)
        return VecFrameStack(normaliser, frames), normaliser
    normaliser = VecNormalize(VecFrameStack(plain, frames), norm_reward=False)
    return normaliser, normaliser


def save(model: BaseAlgorithm, folder: Path, name: str = "policy") -> Path:
    """Save a policy and return its zip."""
    path = folder / f"{name}.zip"
    model.save(path)
    return path
