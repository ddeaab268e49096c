"""Running engines as a Gymnasium vector environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from export.npc.remote_env.engines import Engines
from export.npc.remote_env.reports import Arrays, Observed
from export.npc.remote_env.server import EngineServer, ListenConfig
from export.npc.remote_env.spec import EngineSpec, Part

Array = npt.NDArray[Any]
REASON = "the environment was closed"


class RemoteVectorEnv(VectorEnv[Any, Any, Any]):
    """The rows of one or more engines, each an environment. Episodes that end are begun anew in the same step.

    An ended row has `info["final_obs"]`; `info["action_mask"]` is bool[N, width] where the engines offer masks, and
    `info["failure"]` the reason why a row was cut short. Everything else in `info` is what the engines report.
    """

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.num_envs = engines.rows
        self.single_observation_space = engines.spec.observation_space
        self.single_action_space = engines.spec.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        notes = {note.key: note.value for note in engines.spec.message.notes}
        self.metadata = {**notes, "autoreset_mode": AutoresetMode.SAME_STEP}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes in all rows, or in those of `options["reset_mask"]`; other options are arrays for the game."""
        given = dict(options or {})
        chosen = given.pop("reset_mask", None)
        arrays = {name: np.asarray(value) for name, value in given.items()}
        seen = self.engines.reset(seed, arrays, None if chosen is None else np.asarray(chosen, bool))
        return observation(self.engines.spec, seen.observations), self._infos(seen)

    def step(self, actions: Any) -> tuple[Any, npt.NDArray[np.float64], Array, Array, dict[str, Any]]:
        """Act for one tick in every row."""
        seen = self.engines.step(action_arrays(self.engines.spec, actions, self.num_envs))
        observations = observation(self.engines.spec, seen.observations)
        return observations, seen.rewards, seen.terminated, seen.truncated, self._infos(seen)

    def close_extras(self, **_: Any) -> None:
        """Tell the engines that it is over, and free the ports."""
        self.engines.close(REASON)

    def _infos(self, seen: Observed) -> dict[str, Any]:
        everywhere = np.ones(self.num_envs, bool)
        infos: dict[str, Any] = {}
        for name, array in seen.infos.items():
            infos[name], infos[f"_{name}"] = array, everywhere
        if seen.masks is not None:
            infos["action_mask"], infos["_action_mask"] = seen.masks, everywhere
        if seen.final:
            finals = np.full(self.num_envs, None, object)
            for row in np.flatnonzero(seen.ended):
                finals[row] = row_of(self.engines.spec, seen.final, row)
            infos["final_obs"], infos["_final_obs"] = finals, seen.ended
        if seen.repaired:
            reasons, failed = np.full(self.num_envs, None, object), np.zeros(self.num_envs, bool)
            for row, failure in seen.repaired.items():
                reasons[row], failed[row] = failure.message, True
            infos["failure"], infos["_failure"] = reasons, failed
        return infos


def connect(config: ListenConfig | None = None, *, engines: int = 1, wait_seconds: float = 600.0) -> RemoteVectorEnv:
    """Serve until so many engines have offered themselves, and return their rows; `close` ends the server.

    Raises `EngineLostError` when they do not come in time, and `StartError` for a port that is taken.
    """
    server = EngineServer(config or ListenConfig(), engines).__enter__()
    try:
        return RemoteVectorEnv(Engines(server, wait_seconds=wait_seconds))
    except BaseException as error:
        server.close(str(error))
        raise


def observation(spec: EngineSpec, arrays: Arrays) -> Any:
    """Return arrays by part as Gymnasium has them: one array for a single part without a name, else a dict by key."""
    if len(spec.observations) == 1 and not spec.observations[0].name:
        return arrays[spec.observations[0].tensor.name]
    return arrays


def row_of(spec: EngineSpec, arrays: Arrays, row: int) -> Any:
    """Return one row's observation."""
    return observation(spec, {name: array[row] for name, array in arrays.items()})


def action_arrays(spec: EngineSpec, actions: Any, rows: int) -> Arrays:
    """Return actions of a batch space as arrays [rows, ...] by part; `ValueError` for another shape or no choice."""
    single = len(spec.actions) == 1 and not spec.actions[0].name
    given = {spec.actions[0].tensor.name: actions} if single else dict(actions)
    expected = [part.tensor.name for part in spec.actions]
    if sorted(given) != sorted(expected):
        raise ValueError(f"actions are {sorted(given)}, expected {expected}")
    return {part.tensor.name: _action(part, given[part.tensor.name], rows) for part in spec.actions}


def _action(part: Part, given: Any, rows: int) -> Array:
    array, shape = np.asarray(given), (rows, *(part.space.shape or ()))
    if array.shape != shape:
        raise ValueError(f'action "{part.tensor.name}" has shape {list(array.shape)}, expected {list(shape)}')
    kind = np.dtype(part.tensor.dtype)
    if kind.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f'action "{part.tensor.name}" holds NaN or an infinity; the policy has diverged')
        return array.astype(kind)
    if isinstance(part.space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        choices = part.space.n if isinstance(part.space, gym.spaces.Discrete) else part.space.nvec
        if ((array < 0) | (array >= choices)).any():
            raise ValueError(f'action "{part.tensor.name}" is beyond its choices {choices}')
    return array.astype(kind)
