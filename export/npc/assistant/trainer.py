"""Everything that changes while a policy of the assistant's world is trained: stepped, measured, saved and restored."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3 import DQN
from stable_baselines3.common.utils import ConstantSchedule

from export.npc.assistant.algorithms import build
from export.npc.assistant.cloning import Report, clone
from export.npc.assistant.config import SESSION_FIELDS, TrainConfig
from export.npc.assistant.modalities import MissingSenses
from export.npc.trainer import Diverged, generator_states, set_generators
from export.npc.world.sb3_env import AssistantVecEnv
from export.npc.world.spec import WorldConfig, world_config_from_json

_CRITIC = ("value_net", "mlp_extractor.value_net")


class AssistantTrainer:
    """A learner in the assistant's world.

    Owns the process's global generators (PyTorch, NumPy, Python) while it trains: `state` saves them, `restore` sets them.
    A restored run goes on exactly; one of DQN does so with an empty replay buffer, since that is not saved.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.stage = config.world_at(0)
        self.environment = self._open(self.stage)
        self.model = build(config, self.senses)
        self.cloned = 0
        self.seconds = 0.0
        self.earlier: list[dict[str, Any]] = []
        self.metrics: dict[str, float] = {}
        self.best: dict[str, float] = {}

    def _open(self, world: WorldConfig) -> AssistantVecEnv:
        environment = AssistantVecEnv(self.config.worlds, self.config.seed, world, action_view=self.config.view)
        self.senses = MissingSenses(environment, self.config.without, self.config.modality_dropout)
        return environment

    @property
    def steps(self) -> int:
        """Environment steps of learning so far, those of imitation not counted."""
        return self.model.num_timesteps

    def clone(self, report: Report) -> None:
        """Imitate the scripted policy as the configuration asks for."""
        clone(self.model, self.senses, self.environment.rows, self.config, report)
        self.cloned = self.config.cloning_steps
        self.model._last_obs = None

    def train_rollout(self) -> None:
        """Collect one rollout and update on it; raise `Diverged` if a number is not finite."""
        self._enter_stage()
        self.model.lr_schedule = ConstantSchedule(self.learning_rate())
        if isinstance(self.model, DQN):
            self.model.exploration_schedule = ConstantSchedule(self.exploration())
        critic_only = self.critic_only()
        for name, weight in self.model.policy.named_parameters():
            weight.requires_grad_(not critic_only or name.startswith(_CRITIC))
        try:
            self.model.learn(self.config.rollout_steps, log_interval=None, reset_num_timesteps=False)
        except ValueError as error:
            self.check_finite()
            reason = str(error).splitlines()[0]
            raise Diverged(f"the distribution of actions is not finite after {self.steps} steps ({reason})") from error
        self._measure()
        self.check_finite()

    def critic_only(self) -> bool:
        """Whether the next rollout trains the critic alone: the first ones after imitation do."""
        warm_up = self.config.critic_rollouts * self.config.rollout_steps
        return self.cloned > 0 and self.steps < warm_up and not isinstance(self.model, DQN)

    def _enter_stage(self) -> None:
        stage = self.config.world_at(self.steps)
        if stage != self.stage:
            self.stage, self.environment = stage, self._open(stage)
            self.model.set_env(self.senses)

    def learning_rate(self) -> float:
        """The learning rate of the next update: it depends on the steps alone, not on any budget."""
        config = self.config
        if not config.learning_rate_half_life:
            return config.learning_rate
        return config.learning_rate * 0.5 ** (self.steps / config.learning_rate_half_life)

    def exploration(self) -> float:
        """The share of random actions of DQN."""
        first, last = self.config.exploration
        return first + (last - first) * min(1.0, self.steps / max(1, self.config.exploration_steps))

    def _measure(self) -> None:
        recorded = self.model.logger.name_to_value
        self.metrics = {name: float(value) for name, value in recorded.items() if name.startswith("train/")}
        episodes = list(self.model.ep_info_buffer or [])
        if episodes:
            self.metrics["episode/return"] = float(np.mean([episode["r"] for episode in episodes]))
            self.metrics["episode/length"] = float(np.mean([episode["l"] for episode in episodes]))
            self.metrics["episode/success"] = float(np.mean(list(self.model.ep_success_buffer or [])))

    def check_finite(self) -> None:
        """Raise `Diverged` when a curve or a weight is not a finite number."""
        for name, weight in self.model.policy.named_parameters():
            if not torch.isfinite(weight).all():
                raise Diverged(f"weight {name} is not finite after {self.steps} steps")
        for name, value in self.metrics.items():
            # The explained variance of returns that are all equal is not a number, and harmless.
            if not math.isfinite(value) and name != "train/explained_variance":
                raise Diverged(f"{name} became {value} after {self.steps} steps")

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the policy's weights."""
        return self.model.policy.state_dict()

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: tensors, numbers and text."""
        model = self.model
        memory = model._last_lstm_states if isinstance(model, RecurrentPPO) else None
        return {
            "config": self.config.to_json(),
            "stage": self.stage.to_json(),
            "steps": model.num_timesteps,
            "updates": model._n_updates,
            "calls": model._n_calls if isinstance(model, DQN) else 0,
            "cloned": self.cloned,
            "seconds": self.seconds,
            "earlier": self.earlier,
            "metrics": self.metrics,
            "best": self.best,
            "policy": model.policy.state_dict(),
            "optimiser": model.policy.optimizer.state_dict(),
            "observations": None if model._last_obs is None else _tensors(model._last_obs),
            "episode_starts": None if model._last_obs is None else torch.from_numpy(np.array(model._last_episode_starts)),
            "memory": None if memory is None else [[part.clone() for part in pair] for pair in memory],
            "episodes": [dict(episode) for episode in model.ep_info_buffer or []],
            "successes": [bool(success) for success in model.ep_success_buffer or []],
            "world": _tensors(self.environment.state_dict()),
            "generators": generator_states(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint's state; `ValueError` when its configuration trains another policy."""
        now = {key: value for key, value in self.config.to_json().items() if key not in SESSION_FIELDS}
        for key, value in now.items():
            if state["config"].get(key) != value:
                then = state["config"].get(key)
                raise ValueError(f"the checkpoint was trained with {key} = {then}, not {value}; use another --run name")
        model = self.model
        self.stage = world_config_from_json(state["stage"])
        self.environment = self._open(self.stage)
        model.set_env(self.senses)
        model.policy.load_state_dict(state["policy"])
        model.policy.optimizer.load_state_dict(state["optimiser"])
        model.num_timesteps, model._n_updates = state["steps"], state["updates"]
        self.environment.load_state_dict({name: tensor.numpy() for name, tensor in state["world"].items()})
        if isinstance(model, DQN):
            model._n_calls = state["calls"]
            # Observations of the buffer are gone: learn again once it holds enough.
            model.learning_starts += state["steps"]
        if state["observations"] is not None:
            model._last_obs = {name: tensor.numpy().copy() for name, tensor in state["observations"].items()}
            model._last_episode_starts = state["episode_starts"].numpy().copy()
            model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
            model.ep_success_buffer = deque(state["successes"], maxlen=model._stats_window_size)
        if isinstance(model, RecurrentPPO):
            model._last_lstm_states = RNNStates(*(tuple(part.clone() for part in pair) for pair in state["memory"]))
        self.cloned, self.seconds, self.earlier = state["cloned"], state["seconds"], list(state["earlier"])
        self.metrics, self.best = dict(state["metrics"]), dict(state["best"])
        set_generators(state["generators"])

    def start_from(self, weights: dict[str, torch.Tensor], history: list[dict[str, Any]]) -> None:
        """Begin with another policy's weights and remember the runs that led to it; `ValueError` where its shape differs."""
        own = self.model.policy.state_dict()
        shapes = [{name: tensor.shape for name, tensor in given.items()} for given in (own, weights)]
        differing = sorted(name for name in own.keys() | weights.keys() if shapes[0].get(name) != shapes[1].get(name))
        if differing:
            raise ValueError(
                f"{len(differing)} weights differ in name or shape from those to start from, {differing[0]} for one; "
                "use the same --algorithm, --width, --hidden and --lstm"
            )
        self.model.policy.load_state_dict(weights)
        self.earlier = history


def _tensors(arrays: Any) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
