"""Measures a policy in the engine that it is for: mean return of whole episodes with a 95 % interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from export.npc.remote_env.sb3_env import RemoteVecEnv

EVALUATION_SEED = 1_000_003
Chooser = Callable[[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Evaluation:
    """What a policy did in `episodes` whole episodes."""

    episodes: int
    mean_return: float
    """Mean sum of rewards, and half its 95 % interval over the episodes (Student's t)."""
    return_spread: float
    mean_length: float
    """Mean ticks of an episode."""
    shortest_return: float
    """The least return of all episodes."""
    dropped: int
    """Episodes that do not count, because their engine was lost or their values could not be used."""

    def to_json(self) -> dict[str, float]:
        """The figures as plain values."""
        return dataclasses.asdict(self)


def evaluate(choose: Chooser, environment: RemoteVecEnv, episodes: int, seed: int = EVALUATION_SEED) -> Evaluation:
    """Play `episodes` episodes, shared out evenly among the rows so that short ones do not count more often.

    `choose` maps observations of all rows to actions of all rows; it may ask the environment for masks.
    """
    if episodes < 1:
        raise ValueError(f"there are to be {episodes} episodes, expected at least 1")
    rows = environment.num_envs
    quota = np.full(rows, episodes // rows) + (np.arange(rows) < episodes % rows)
    returns: list[float] = []
    lengths: list[int] = []
    dropped = 0
    environment.seed(seed)
    observations = environment.reset()
    while quota.any():
        observations, _, ended, infos = environment.step(choose(observations))
        for row in np.flatnonzero(ended):
            if "failure" in infos[row] or "engine_lost" in infos[row]:
                dropped += int(quota[row] > 0)
            elif quota[row]:
                quota[row] -= 1
                returns.append(infos[row]["episode"]["r"])
                lengths.append(infos[row]["episode"]["l"])
    spread = stats.t.ppf(0.975, episodes - 1) * np.std(returns, ddof=1) / math.sqrt(episodes) if episodes > 1 else math.nan
    return Evaluation(episodes, float(np.mean(returns)), float(spread), float(np.mean(lengths)), min(returns), dropped)


def table(evaluations: dict[str, Evaluation]) -> str:
    """Return evaluations as a Markdown table, one row a policy."""
    rows = ["| policy | episodes | return | least | ticks |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, measured in evaluations.items():
        given = f"{measured.mean_return:.2f} ± {measured.return_spread:.2f}"
        rows.append(f"| {name} | {measured.episodes} | {given} | {measured.shortest_return:.2f} | {measured.mean_length:.1f} |")
    return "\n".join(rows)
