"""The assistant's world as Stable-Baselines3's vectorised environment: all agents step in one NumPy call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from export.npc.world.rows import AgentRows
from export.npc.world.spec import TASKS, WorldConfig


class AssistantVecEnv(VecEnv):
    """W worlds with A agents as W x A environments of one seed; `action_masks` is what MaskablePPO asks for.

    A finished agent's info has `terminal_observation`, `TimeLimit.truncated`, `is_success`, `task`, `contact_ticks` and
    `episode` (return `r`, length `l`); the observation returned is the first of its next episode.
    """

    def __init__(
        self,
        worlds: int,
        seed: int = 0,
        config: WorldConfig | None = None,
        *,
        action_view: str = "multi_discrete",
        first_world: int = 0,
    ) -> None:
        self.rows = AgentRows(worlds, seed, config or WorldConfig(), action_view, first_world)
        self.render_mode = "rgb_array"
        super().__init__(len(self.rows), self.rows.observation_space, self.rows.action_space)
        self._actions: npt.NDArray[Any] = np.zeros((self.num_envs, 0))

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Begin with the first episodes of this seed at the next reset; with None, go on with the present seed."""
        self._seeds = [seed] * self.num_envs
        return self._seeds

    def reset(self) -> VecEnvObs:
        """Begin a new episode in every world."""
        world, seed = self.rows.world, self._seeds[0]
        if seed is None:
            world.reset(np.arange(len(world)))
        else:
            world.restart(seed)
        self._reset_seeds()
        self._reset_options()
        return world.observe()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Remember the actions [W * A, ...] for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every world one tick and begin the next episode of those that are over."""
        after = self.rows.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for place, row in enumerate(after.rows):
            infos[row] = {
                "terminal_observation": {name: part[place] for name, part in after.final.items()},
                "TimeLimit.truncated": bool(after.truncated[row]),
                "is_success": bool(after.finals["is_success"][place]),
                "task": TASKS[int(after.finals["task"][place])],
                "contact_ticks": int(after.finals["contact_ticks"][place]),
                "episode": {"r": float(after.finals["return"][place]), "l": int(after.finals["length"][place])},
            }
        return after.observation, after.rewards.astype(np.float32), after.terminated | after.truncated, infos

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return what each agent may do now, bool[W * A, ...]."""
        return self.rows.masks()

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of everything the future of all worlds depends on."""
        return self.rows.world.state_dict()

    def load_state_dict(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Take over the state of as many worlds."""
        self.rows.world.load_state_dict(state)

    def get_images(self) -> Sequence[npt.NDArray[np.uint8] | None]:
        """Return one picture of every world."""
        from export.npc.world.draw import draw_world

        return [draw_world(self.rows.world, world) for world in range(len(self.rows.world))]

    def close(self) -> None:
        """There is nothing to release."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of this environment once for each agent asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: agents have no attributes of their own."""
        raise AttributeError(f'agents have no attribute "{attr_name}" of their own; change the world')

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Return the action masks by agent, the one method that agents have."""
        if method_name != "action_masks":
            raise AttributeError(f'agents have no method "{method_name}" of their own; call the world')
        masks = self.action_masks()
        return [masks[row] for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None) -> list[bool]:
        """No agent is wrapped."""
        return [False for _ in self._get_indices(indices)]
