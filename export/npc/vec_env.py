"""The plaza as Stable-Baselines3's vectorised environment: all worlds step in one NumPy call, none in a Python loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from export.npc.env import ACTION_HIGH, ACTION_LOW, EPISODE_TICKS, OBSERVATION_HIGH, OBSERVATION_LOW, Float32, Plaza

_MIDDLE = (ACTION_HIGH + ACTION_LOW) / np.float32(2.0)
_HALF = (ACTION_HIGH - ACTION_LOW) / np.float32(2.0)


def engine_actions(normalised: Float32) -> Float32:
    """Map actions in [-1, 1] to engine units, float32[N, 2]; values outside are clipped first."""
    return _MIDDLE + _HALF * np.clip(normalised, np.float32(-1.0), np.float32(1.0))


class PlazaVecEnv(VecEnv):
    """W worlds of one seed. Actions are normalised to [-1, 1], since a Gaussian policy starts out with unit deviation.

    A finished world's info has `terminal_observation`, `TimeLimit.truncated`, `is_success` and `episode` (return `r`,
    length `l`); the observation returned is the first of its next episode.
    """

    def __init__(self, worlds: int, seed: int = 0, *, first_world: int = 0) -> None:
        observations = gym.spaces.Box(OBSERVATION_LOW, OBSERVATION_HIGH, dtype=np.float32)
        actions = gym.spaces.Box(-1.0, 1.0, (len(ACTION_LOW),), np.float32)
        self.plaza = Plaza(worlds, seed, first_world=first_world)
        self.returns = np.zeros(worlds)
        self.render_mode = "rgb_array"
        super().__init__(worlds, observations, actions)
        self._actions = np.zeros((worlds, 2), np.float32)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Begin with the first episodes of this seed at the next reset; with None, go on with the present seed."""
        self._seeds = [seed] * self.num_envs
        return self._seeds

    def reset(self) -> VecEnvObs:
        """Begin a new episode in every world."""
        seed = self._seeds[0]
        if seed is None:
            self.plaza.reset(np.arange(self.num_envs))
        else:
            self.plaza.restart(seed)
        self.returns[:] = 0.0
        self._reset_seeds()
        self._reset_options()
        return self.plaza.observe()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Remember the actions float32[W, 2] in [-1, 1] for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every world one tick and begin the next episode of those that are over."""
        plaza = self.plaza
        rewards = plaza.step(engine_actions(self._actions))
        self.returns += rewards
        observations = plaza.observe()
        over = np.flatnonzero(plaza.tick >= EPISODE_TICKS)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        dones = np.zeros(self.num_envs, bool)
        if len(over):
            for world in over:
                infos[world] = self._ending(world, observations[world])
            dones[over] = True
            self.returns[over] = 0.0
            plaza.reset(over)
            observations = plaza.observe()
        return observations, rewards.astype(np.float32), dones, infos

    def _ending(self, world: int, observation: Float32) -> dict[str, Any]:
        plaza = self.plaza
        return {
            "terminal_observation": observation,
            "TimeLimit.truncated": True,
            "is_success": bool(plaza.served[world]),
            "contact_ticks": int(plaza.contacts[world]),
            "episode": {"r": float(self.returns[world]), "l": int(plaza.tick[world])},
        }

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of everything the future of all worlds depends on."""
        return self.plaza.state_dict() | {"returns": self.returns.copy()}

    def load_state_dict(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Take over the state of as many worlds."""
        self.plaza.load_state_dict(state)
        self.returns = state["returns"].copy()

    def get_images(self) -> Sequence[npt.NDArray[np.uint8] | None]:
        """Return one picture of every world."""
        from export.npc.render import draw_world

        return [draw_world(self.plaza, world) for world in range(self.num_envs)]

    def close(self) -> None:
        """There is nothing to release."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of this environment once for each world asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: worlds have no attributes of their own."""
        raise AttributeError(f'worlds have no attribute "{attr_name}" of their own; change the plaza')

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Refuse: worlds have no methods of their own."""
        raise AttributeError(f'worlds have no method "{method_name}" of their own; call the plaza')

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None) -> list[bool]:
        """No world is wrapped."""
        return [False for _ in self._get_indices(indices)]
