"""Measures policies on worlds that training never saw: return and success over several seeds, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

from export.npc.assistant.modalities import without
from export.npc.evaluate import wilson_interval
from export.npc.world.rows import AgentRows
from export.npc.world.scripted import Policy
from export.npc.world.senses import Observation
from export.npc.world.spec import MODALITIES, TASKS, WorldConfig

EVALUATION_SEED = 1_000_003
SEEDS = 5


class Player(Protocol):
    """Plays episodes: `view` names its actions, `start` forgets all, `act` chooses for observations and masks of a view."""

    view: str

    def start(self, agents: int) -> None:
        """Begin new episodes of so many agents."""

    def act(self, observation: Observation, masks: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Return the actions of all agents."""


class Baseline:
    """A policy without learning as a player; `make` gets a seed."""

    view = "multi_discrete"

    def __init__(self, make: Callable[[int], Policy]) -> None:
        self._make, self._seed = make, 0
        self._policy = make(0)

    def start(self, agents: int) -> None:
        """Draw from another seed."""
        self._seed += 1
        self._policy = self._make(self._seed)

    def act(self, observation: Observation, masks: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Return bins int64[N, 3]."""
        return self._policy(observation, masks)


@dataclass(frozen=True)
class Evaluation:
    """What a player did in `episodes` episodes of each of some seeds."""

    episodes: int
    """Episodes of all seeds together."""
    mean_return: float
    """Mean return of an episode, and half its 95 % interval over the seeds (Student's t)."""
    return_spread: float
    success: float
    """Share of requests fulfilled, and its 95 % interval (Wilson)."""
    success_low: float
    success_high: float
    contact: float
    """Share of ticks with contact."""
    by_task: dict[str, float]
    """Share of requests fulfilled by task."""


def evaluate(
    player: Player,
    config: WorldConfig,
    *,
    episodes: int = 200,
    seeds: int = SEEDS,
    first_seed: int = EVALUATION_SEED,
    missing: tuple[str, ...] = (),
) -> Evaluation:
    """Play the first episode of `episodes` worlds of each seed; the senses `missing` are masked."""
    if episodes < 1 or seeds < 1:
        raise ValueError(f"there are {episodes} episodes of {seeds} seeds, expected at least 1 of each")
    played = [_play(player, config, episodes, first_seed + seed, missing) for seed in range(seeds)]
    returns = np.array([part["returns"].mean() for part in played])
    whole = {name: np.concatenate([part[name] for part in played]) for name in played[0]}
    done, task = whole["done"], whole["task"]
    low, high = wilson_interval(int(done.sum()), len(done))
    spread = stats.t.ppf(0.975, seeds - 1) * returns.std(ddof=1) / math.sqrt(seeds) if seeds > 1 else math.nan
    by_task = {name: float(done[task == index].mean()) for index, name in enumerate(TASKS) if (task == index).any()}
    contact = float(whole["contacts"].sum() / whole["ticks"].sum())
    return Evaluation(len(done), float(returns.mean()), float(spread), float(done.mean()), low, high, contact, by_task)


def _play(player: Player, config: WorldConfig, episodes: int, seed: int, missing: tuple[str, ...]) -> dict[str, Any]:
    rows = AgentRows(episodes, seed, config, player.view)
    world = rows.world
    player.start(len(rows))
    contacts, ticks = np.zeros(world.done.shape, np.int64), np.zeros(world.done.shape, np.int64)
    while not all((over[0] | over[1]) for over in zip(*world.over(), strict=True)):
        asked = ~world.done
        rows.advance(player.act(without(world.observe(), missing), rows.masks()))
        contacts += asked & (world.pressure.max(axis=2) > 0.0)
        ticks += asked
    results = {"returns": world.returns, "done": world.done, "task": world.layout.task, "contacts": contacts, "ticks": ticks}
    return {name: values.ravel() for name, values in results.items()}


def table(evaluations: dict[str, Evaluation], first: str = "policy") -> str:
    """Return evaluations as a Markdown table, one row a player."""
    tasks = [name for name in TASKS if all(name in measured.by_task for measured in evaluations.values())]
    rows = [f"| {first} | episodes | return | success | 95 % interval | contact | {' | '.join(tasks)} |"]
    rows.append("| --- |" + " ---: |" * (5 + len(tasks)))
    for name, measured in evaluations.items():
        given = f"{measured.mean_return:.2f} ± {measured.return_spread:.2f} | {measured.success:.1%}"
        interval = f"{measured.success_low:.1%} to {measured.success_high:.1%} | {measured.contact:.1%}"
        shares = " | ".join(f"{measured.by_task[task]:.0%}" for task in tasks)
        rows.append(f"| {name} | {measured.episodes} | {given} | {interval} | {shares} |")
    return "\n".join(rows)


def ablations(player: Player, config: WorldConfig, *, episodes: int, seeds: int = SEEDS) -> dict[str, Evaluation]:
    """Return evaluations with every sense and with each one masked."""
    cases: dict[str, tuple[str, ...]] = {"all senses": ()} | {f"{name} masked": (name,) for name in MODALITIES}
    return {name: evaluate(player, config, episodes=episodes, seeds=seeds, missing=hidden) for name, hidden in cases.items()}
