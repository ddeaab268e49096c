"""PPO of Stable-Baselines3 on the rows of running engines: one rollout and its update, and what a checkpoint holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import ConstantSchedule

from export.npc.remote_env.config import RemoteTrainConfig, check_same_run
from export.npc.remote_env.sb3_env import RemoteVecEnv
from export.npc.spaces import Space, is_channels_first, is_image
from export.npc.trainer import CURVES, Diverged

MIN_PICTURE = 36


class RemoteTrainer:
    """PPO (Schulman et al. 2017, arXiv:1707.06347), or its maskable form, with a network that fits the engine's spaces."""

    def __init__(self, config: RemoteTrainConfig, environment: RemoteVecEnv) -> None:
        steps = environment.num_envs * config.rollout_ticks
        if not 1 < config.batch <= steps:
            raise ValueError(f"batch is {config.batch}, expected 2 .. {steps} ({environment.num_envs} rows x rollout_ticks)")
        self.config, self.environment, self.rollout_steps = config, environment, steps
        kind = MaskablePPO if environment.engines.spec.mask_width else PPO
        self.model: PPO | MaskablePPO = kind(
            _policy(environment.observation_space),
            environment,
            learning_rate=config.learning_rate,
            n_steps=config.rollout_ticks,
            batch_size=config.batch,
            n_epochs=config.epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip,
            ent_coef=config.entropy,
            policy_kwargs={"net_arch": list(config.hidden)},
            seed=config.seed,
            device="cpu",
        )
        self.model.set_logger(Logger(None, []))
        self.steps, self.seconds = 0, 0.0
        self.metrics: dict[str, float] = {}

    def train_rollout(self) -> None:
        """Collect one rollout and update the networks on it; raise `Diverged` if a number is not finite.

        `steps` counts whole rollouts: what an engine that was lost leaves unfinished is not in a checkpoint.
        """
        self.model.lr_schedule = ConstantSchedule(self._learning_rate())
        try:
            self.model.learn(self.rollout_steps, log_interval=None, reset_num_timesteps=False)
        except ValueError as error:
            self._check_finite()
            reason = str(error).splitlines()[0]
            raise Diverged(f"the distribution of actions is not finite after {self.steps} steps ({reason})") from error
        self.steps = self.model.num_timesteps
        self._measure()
        self._check_finite()

    def _learning_rate(self) -> float:
        config = self.config
        if not config.learning_rate_half_life:
            return config.learning_rate
        return config.learning_rate * 0.5 ** (self.steps / config.learning_rate_half_life)

    def _measure(self) -> None:
        recorded = self.model.logger.name_to_value
        self.metrics = {f"train/{name}": float(recorded[f"train/{name}"]) for name in CURVES if f"train/{name}" in recorded}
        self.metrics["train/learning_rate"] = float(recorded["train/learning_rate"])
        if self.model.ep_info_buffer:
            self.metrics["episode/return"] = float(np.mean([episode["r"] for episode in self.model.ep_info_buffer]))
            self.metrics["episode/length"] = float(np.mean([episode["l"] for episode in self.model.ep_info_buffer]))

    def _check_finite(self) -> None:
        for name, weight in self.model.policy.named_parameters():
            if not torch.isfinite(weight).all():
                raise Diverged(f"weight {name} is not finite after {self.steps} steps")
        for name, value in self.metrics.items():
            # The explained variance of returns that are all equal is not a number, and harmless.
            if not math.isfinite(value) and name != "train/explained_variance":
                raise Diverged(f"{name} became {value} after {self.steps} steps")

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: weights, optimiser, steps, options and what the engines offer."""
        return {
            "config": self.config.to_json(),
            "spec": self.environment.engines.spec.to_json(),
            "steps": self.steps,
            "updates": self.model._n_updates,
            "seconds": self.seconds,
            "policy": self.model.policy.state_dict(),
            "optimizer": self.model.policy.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned; `ValueError` for other options than those of the run."""
        check_same_run(state["config"], self.config)
        self.model.policy.load_state_dict(state["policy"])
        self.model.policy.optimizer.load_state_dict(state["optimizer"])
        self.model._n_updates = state["updates"]
        self.steps = self.model.num_timesteps = state["steps"]
        self.seconds = state["seconds"]


def _policy(space: Space) -> str:
    """Return the network of Stable-Baselines3 that takes a space; `ValueError` for pictures that are too small for it."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {"observation": space}
    for name, part in parts.items():
        if isinstance(part, spaces.Box) and is_image(part):
            sides = part.shape[1:] if is_channels_first(part) else part.shape[:2]
            if min(sides) < MIN_PICTURE:
                text = f'picture "{name}" is {sides[0]} x {sides[1]}, expected at least {MIN_PICTURE} x {MIN_PICTURE}'
                raise ValueError(f"{text}; render it larger, or offer it as float32")
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image(space) else "MlpPolicy"
