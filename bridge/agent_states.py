"""Recurrent state by agent: what a policy's graph gave an agent at one tick and takes at the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.npc_card import StateSpec

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
MAX_AGENTS = 16_384
"""Agents of one group whose state is kept; those longest not seen go first."""


@dataclass(frozen=True)
class AgentStates:
    """The states of M agents after a tick: ids, those longest not seen first, and arrays [M, ...] by the input they go to."""

    agents: list[int]
    arrays: Mapping[str, Array]

    @cached_property
    def rows(self) -> dict[int, int]:
        """Return the row of each agent."""
        return {agent: row for row, agent in enumerate(self.agents)}


def recall(
    kept: AgentStates | None, agents: list[int], starts: Sequence[bool], specs: Sequence[StateSpec]
) -> tuple[dict[str, Array], Bools]:
    """Return the state of each of N agents by input name, arrays [N, ...], and whether it is lost, bool[N].

    `starts` are N flags or none: an agent whose episode starts gets the initial state, and so does one of whom nothing is
    kept, though its episode goes on: that one's is lost.
    """
    begins = np.array(starts, bool) if len(starts) else np.zeros(len(agents), bool)
    if kept is None or not kept.agents:
        return {spec.name: _initial(spec, len(agents)) for spec in specs}, ~begins
    if kept.agents == agents:
        known, arrays = np.ones(len(agents), bool), dict(kept.arrays)
    else:
        rows = np.array([kept.rows.get(agent, -1) for agent in agents])
        known, arrays = rows >= 0, {name: array[rows] for name, array in kept.arrays.items()}
    fresh = begins | ~known
    if fresh.any():
        arrays = {spec.name: np.where(_wide(fresh, spec), np.float32(spec.initial), arrays[spec.name]) for spec in specs}
    return arrays, ~known & ~begins


def remember(kept: AgentStates | None, agents: list[int], arrays: Mapping[str, Array], usable: Bools) -> AgentStates:
    """Return the states with those of N agents put in place of what was kept of them; rows not `usable` are left out.

    Agents that are not among the N keep theirs: they may decide at other ticks.
    """
    if not usable.all():
        agents = [agent for agent, good in zip(agents, usable.tolist(), strict=True) if good]
        arrays = {name: array[usable] for name, array in arrays.items()}
    if kept is None or kept.agents == agents:
        return AgentStates(agents, arrays)
    now = set(agents)
    absent = [row for row, agent in enumerate(kept.agents) if agent not in now]
    absent = absent[max(0, len(absent) + len(agents) - MAX_AGENTS) :]
    if not absent:
        return AgentStates(agents, arrays)
    joined = {name: np.concatenate([kept.arrays[name][absent], array]) for name, array in arrays.items()}
    return AgentStates([kept.agents[row] for row in absent] + agents, joined)


def _initial(spec: StateSpec, rows: int) -> Array:
    return np.full((rows, *spec.shape), spec.initial, np.float32)


def _wide(rows: Bools, spec: StateSpec) -> Bools:
    return rows.reshape(-1, *(1 for _ in spec.shape))
