"""Everything that changes while an assistant is trained, saved and restored bit for bit at rollout boundaries."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.utils import ConstantSchedule
from stable_baselines3.common.vec_env import VecNormalize

from export.npc.config import SESSION_FIELDS, TrainConfig
from export.npc.vec_env import PlazaVecEnv

CURVES = ("policy_gradient_loss", "value_loss", "approx_kl", "clip_fraction", "explained_variance", "std")


class Diverged(RuntimeError):
    """Training produced a number that is not finite; the message says which."""


class Trainer:
    """PPO (Schulman et al. 2017, arXiv:1707.06347) of Stable-Baselines3 on the plaza with running normalisation.

    Owns the process's global generators (PyTorch, NumPy, Python) while it trains: `state` saves them, `restore` sets them.
    """

    def __init__(self, config: TrainConfig) -> None:
        if not 1 < config.batch <= config.rollout_steps:
            raise ValueError(f"batch is {config.batch}, expected 2 .. {config.rollout_steps} (worlds x rollout_ticks)")
        self.config = config
        self.plaza = PlazaVecEnv(config.worlds, config.seed)
        self.normalised = VecNormalize(self.plaza, gamma=config.gamma, clip_obs=config.observation_clip)
        self.model = PPO(
            "MlpPolicy",
            self.normalised,
            learning_rate=config.learning_rate,
            n_steps=config.rollout_ticks,
            batch_size=config.batch,
            n_epochs=config.epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip,
            stats_window_size=config.worlds,
            policy_kwargs={"net_arch": list(config.hidden), "log_std_init": config.log_std},
            seed=config.seed,
            device="cpu",
        )
        self.model.set_logger(Logger(None, []))
        self.seconds = 0.0
        self.metrics: dict[str, float] = {}

    @property
    def steps(self) -> int:
        """Environment steps so far."""
        return self.model.num_timesteps

    def learning_rate(self) -> float:
        """The learning rate of the next update: it depends on the steps alone, not on any budget."""
        config = self.config
        if not config.learning_rate_half_life:
            return config.learning_rate
        decayed = config.learning_rate * 0.5 ** (self.steps / config.learning_rate_half_life)
        return max(decayed, config.learning_rate_floor)

    def train_rollout(self) -> None:
        """Collect one rollout and update the networks on it; raise `Diverged` if a number is not finite."""
        self.model.lr_schedule = ConstantSchedule(self.learning_rate())
        try:
            self.model.learn(self.config.rollout_steps, log_interval=None, reset_num_timesteps=False)
        except ValueError as error:
            # PyTorch's distributions refuse parameters that are not finite, in the middle of an update.
            self.check_finite()
            reason = str(error).splitlines()[0]
            raise Diverged(f"the distribution of actions is not finite after {self.steps} steps ({reason})") from error
        self._measure()
        self.check_finite()

    def _measure(self) -> None:
        recorded = self.model.logger.name_to_value
        self.metrics = {f"train/{name}": float(recorded[f"train/{name}"]) for name in CURVES}
        self.metrics["train/learning_rate"] = float(recorded["train/learning_rate"])
        if self.model.ep_info_buffer:
            self.metrics["episode/return"] = float(np.mean([episode["r"] for episode in self.model.ep_info_buffer]))
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

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: tensors, numbers and text, enough to go on bit for bit."""
        model = self.model
        started = model._last_obs is not None
        return {
            "config": self.config.to_json(),
            "steps": model.num_timesteps,
            "updates": model._n_updates,
            "seconds": self.seconds,
            "metrics": self.metrics,
            "policy": model.policy.state_dict(),
            "optimiser": model.policy.optimizer.state_dict(),
            "observations": _tensor(model._last_obs) if started else None,
            "episode_starts": _tensor(model._last_episode_starts) if started else None,
            "episodes": [dict(episode) for episode in model.ep_info_buffer or []],
            "successes": [bool(success) for success in model.ep_success_buffer or []],
            "plaza": {name: _tensor(array) for name, array in self.plaza.state_dict().items()},
            "normalisation": self._normalisation(),
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
        model.policy.load_state_dict(state["policy"])
        model.policy.optimizer.load_state_dict(state["optimiser"])
        model.num_timesteps, model._n_updates = state["steps"], state["updates"]
        if state["observations"] is not None:
            model._last_obs = state["observations"].numpy().copy()
            model._last_episode_starts = state["episode_starts"].numpy().copy()
            model.ep_info_buffer = deque(state["episodes"], maxlen=self.config.worlds)
            model.ep_success_buffer = deque(state["successes"], maxlen=self.config.worlds)
        self.plaza.load_state_dict({name: tensor.numpy() for name, tensor in state["plaza"].items()})
        self._restore_normalisation(state["normalisation"])
        self.seconds, self.metrics = state["seconds"], dict(state["metrics"])
        set_generators(state["generators"])

    def _normalisation(self) -> dict[str, torch.Tensor]:
        state = {"returns": self.normalised.returns}
        for name, running in (("observation", self.normalised.obs_rms), ("return", self.normalised.ret_rms)):
            state |= {f"{name}_mean": running.mean, f"{name}_var": running.var, f"{name}_count": running.count}
        return {name: _tensor(value) for name, value in state.items()}

    def _restore_normalisation(self, state: dict[str, torch.Tensor]) -> None:
        self.normalised.returns = state["returns"].numpy().copy()
        self.normalised.obs_rms = running_statistics(state, "observation")
        self.normalised.ret_rms = running_statistics(state, "return")


def running_statistics(state: dict[str, torch.Tensor], name: str) -> RunningMeanStd:
    """Return the running mean and variance called `name` in a checkpoint's normalisation."""
    running = RunningMeanStd(shape=tuple(state[f"{name}_mean"].shape))
    running.mean, running.var = state[f"{name}_mean"].numpy().copy(), state[f"{name}_var"].numpy().copy()
    running.count = float(state[f"{name}_count"])
    return running


def generator_states() -> dict[str, Any]:
    """Return the states of the global generators of PyTorch, NumPy and Python."""
    kind, key, position, has_gauss, cached = np.random.get_state(legacy=True)
    numpy_state = {"kind": kind, "key": _tensor(key), "position": position, "has_gauss": has_gauss, "cached": cached}
    version, words, gauss = random.getstate()
    python_state = {"version": version, "words": list(words), "gauss": gauss}
    return {"torch": torch.get_rng_state(), "numpy": numpy_state, "python": python_state}


def set_generators(state: dict[str, Any]) -> None:
    """Set the global generators to what `generator_states` returned."""
    torch.set_rng_state(state["torch"])
    saved = state["numpy"]
    numpy_state = (saved["kind"], saved["key"].numpy(), saved["position"], saved["has_gauss"], saved["cached"])
    np.random.set_state(numpy_state)
    python_state = state["python"]
    random.setstate((python_state["version"], tuple(python_state["words"]), python_state["gauss"]))


def _tensor(value: npt.ArrayLike) -> torch.Tensor:
    return torch.from_numpy(np.array(value))
