"""Running engines as Stable-Baselines3's vectorised environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from export.npc.remote_env.engines import Engines
from export.npc.remote_env.env import REASON, action_arrays, observation, row_of
from export.npc.remote_env.reports import Observed


class RemoteVecEnv(VecEnv):
    """The rows of one or more engines, each an environment; `action_masks` is what MaskablePPO asks for.

    A finished row's info has `terminal_observation`, `TimeLimit.truncated` and `episode` (return `r`, length `l`), a row that
    was cut short because its values could not be used `failure`, one whose engine was replaced `engine_lost`, and each row what
    the engines report. `ValueError` for a Dict of
    actions, which no trainer of Stable-Baselines3 takes.
    """

    def __init__(self, engines: Engines) -> None:
        if isinstance(engines.spec.action_space, gym.spaces.Dict):
            names = [part.name for part in engines.spec.actions]
            raise ValueError(
                f"the actions are a Dict of {names}, which no trainer of Stable-Baselines3 takes; offer one part without a name"
            )
        self.engines = engines
        self.render_mode = None
        self._masks: npt.NDArray[np.bool_] | None = None
        self.returns, self.lengths = np.zeros(engines.rows), np.zeros(engines.rows, np.int64)
        super().__init__(engines.rows, engines.spec.observation_space, engines.spec.action_space)
        self._actions: npt.NDArray[Any] = np.zeros((self.num_envs, 0))

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed row i with `seed + i` at the next reset; with None, go on as it is."""
        self._seeds = [seed] * self.num_envs
        return self._seeds

    def reset(self) -> VecEnvObs:
        """Begin new episodes in all rows."""
        seen = self.engines.reset(self._seeds[0])
        self._reset_seeds()
        self._reset_options()
        self._masks = seen.masks
        self.returns[:], self.lengths[:] = 0.0, 0
        self.reset_infos = self._infos(seen)
        return observation(self.engines.spec, seen.observations)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Remember the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Act for one tick in every row; episodes that end are begun anew."""
        spec = self.engines.spec
        seen = self.engines.step(action_arrays(spec, self._actions, self.num_envs))
        self._masks = seen.masks
        self.returns += seen.rewards
        self.lengths += 1
        infos = self._infos(seen)
        for row in np.flatnonzero(seen.ended):
            infos[row] |= {
                "terminal_observation": row_of(spec, seen.final, row),
                "TimeLimit.truncated": bool(seen.truncated[row] and not seen.terminated[row]),
                "episode": {"r": float(self.returns[row]), "l": int(self.lengths[row])},
            }
            if seen.lost:
                infos[row]["engine_lost"] = True
        for row, failure in seen.repaired.items():
            infos[row]["failure"] = failure.message
        ended = seen.ended
        self.returns[ended], self.lengths[ended] = 0.0, 0
        return observation(spec, seen.observations), seen.rewards.astype(np.float32), ended, infos

    def _infos(self, seen: Observed) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for name, array in seen.infos.items():
            for row, value in enumerate(array):
                infos[row][name] = value.item() if value.ndim == 0 else value
        return infos

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return what each row may do now, bool[N, width]; `AttributeError` where the engines offer no masks."""
        if self._masks is None:
            raise AttributeError("the engines offer no action masks")
        return self._masks

    def close(self) -> None:
        """Tell the engines that it is over, and free the ports."""
        self.engines.close(REASON)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of this environment once for each row asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: rows have no attributes of their own."""
        raise AttributeError(f'rows have no attribute "{attr_name}" of their own; set it in the engine')

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Return the action masks by row, the one method that rows have."""
        if method_name != "action_masks":
            raise AttributeError(f'rows have no method "{method_name}" of their own; call the engine')
        masks = self.action_masks()
        return [masks[row] for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None) -> list[bool]:
        """No row is wrapped."""
        return [False for _ in self._get_indices(indices)]
