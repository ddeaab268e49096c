"""Senses taken away: always for an ablation, for whole episodes as dropout (after ModDrop, Neverova et al. 2015).

Dropout is an affair of the environment, not of the network: what a policy saw when it acted is what it learns from, so
PPO's probability ratios stay those of one policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from export.npc.layout import uniforms
from export.npc.world.sb3_env import AssistantVecEnv
from export.npc.world.senses import Observation
from export.npc.world.spec import MODALITIES

_STREAM = 0x44


def without(observation: Observation, missing: Iterable[str]) -> Observation:
    """Return observations in which some senses are all zeros."""
    return observation | {name: np.zeros_like(observation[name]) for name in missing}


class MissingSenses(VecEnvWrapper):
    """An assistant's environment whose agents lack the senses `missing` always, and each other one with chance `dropout`.

    Which senses an agent lacks is drawn anew for every episode, addressed by seed, world and episode.
    """

    def __init__(self, environment: AssistantVecEnv, missing: tuple[str, ...] = (), dropout: float = 0.0) -> None:
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"modality dropout is {dropout}, expected 0 .. 1, 1 excluded")
        super().__init__(environment)
        self._world, self._missing, self._dropout = environment.rows.world, missing, dropout

    def lacking(self) -> npt.NDArray[np.bool_]:
        """Return which senses each agent lacks now, bool[N, len(MODALITIES)]."""
        world = self._world
        agents, senses = world.config.agents, len(MODALITIES)
        drawn = uniforms(world.seed, world.world_ids, world.episode.astype(np.uint64), agents * senses, _STREAM)
        lacking = drawn.reshape(world.agents, senses) < self._dropout
        lacking[:, [MODALITIES.index(name) for name in self._missing]] = True
        return lacking

    def perceive(self, observation: Observation) -> Observation:
        """Return what the agents perceive of observations of the present episode."""
        return _hide(observation, self.lacking())

    def reset(self) -> VecEnvObs:
        """Begin a new episode in every world."""
        return self.perceive(self.venv.reset())

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every world one tick."""
        before = self.lacking()
        observation, rewards, dones, infos = self.venv.step_wait()
        for row in np.flatnonzero(dones):
            final = infos[row]["terminal_observation"]
            hidden = _hide({name: part[None] for name, part in final.items()}, before[row : row + 1])
            infos[row]["terminal_observation"] = {name: part[0] for name, part in hidden.items()}
        return self.perceive(observation), rewards, dones, infos


def _hide(observation: Observation, lacking: npt.NDArray[np.bool_]) -> Observation:
    hidden: dict[str, Any] = {}
    for sense, name in enumerate(MODALITIES):
        part = observation[name]
        hidden[name] = np.where(lacking[:, sense].reshape(-1, *[1] * (part.ndim - 1)), np.float32(0.0), part)
    return hidden
