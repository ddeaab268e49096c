"""What is kept of a policy group's agents from tick to tick: their recurrent state, and what was last chosen for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.agent_table import Column
from bridge.game_sessions import Columns, GameSessions, GroupMemory
from bridge.npc_card import Spec
from bridge.npc_request import Bools, GroupBatch

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
ACTED: Column = ("acted", "")
"""Whether something was chosen for the agent in its episode."""
UNTOLD: Column = ("untold", "")
"""Whether the agent's state was lost in a tick that was late, so that no answer has said so yet."""


def state_column(name: str) -> Column:
    """Return the column of a state by the name of its input."""
    return "state", name


def action_column(name: str) -> Column:
    """Return the column of an action."""
    return "action", name


def columns(spec: Spec) -> Columns:
    """Return the columns that are kept for the agents of a policy."""
    kept: dict[Column, tuple[list[int], str]] = {state_column(state.name): (state.shape, "float32") for state in spec.states}
    kept |= {action_column(action.name): ([action.size], action.dtype) for action in spec.actions}
    return kept | {ACTED: ([], "bool"), UNTOLD: ([], "bool")}


class NpcMemory:
    """The memory of one group's agents, for one call; `begin` gives the call its place in the order of those that write."""

    def __init__(self, sessions: GameSessions, session_id: str, batch: GroupBatch) -> None:
        self._sessions = sessions
        self._session_id = session_id
        self._key = batch.name, batch.model.card.name
        self._spec = batch.spec
        self._stamp = 0
        self.group: GroupMemory = sessions.open(session_id, self._key, batch.model.digest, lambda: columns(batch.spec))

    def begin(self) -> None:
        """Take the place after all calls that have begun, once."""
        self._stamp = self._stamp or self._sessions.stamp()

    def recall(self, batch: GroupBatch) -> None:
        """Feed the batch with its agents' recurrent state.

        An agent whose episode starts gets the initial state, and so does one of whom nothing is kept, though its episode goes
        on: that one's is lost, and counts as lost until an answer has said so.
        """
        table = self.group.table
        unknown = table.unseen_since(batch.agents, self._sessions.oldest_s())
        batch.lost, fresh = (unknown | table.read(UNTOLD, batch.agents)) & ~batch.starts, unknown | batch.starts
        any_fresh = fresh.any()
        for state in self._spec.states:
            kept = table.read(state_column(state.name), batch.agents)
            if any_fresh:
                kept[fresh] = state.initial
            batch.feeds[state.name] = kept

    def last_actions(self, agents: list[int]) -> tuple[Bools, Arrays]:
        """Return for N agents whether something was chosen for them in their episode, bool[N], and what, arrays [N, ...]."""
        table = self.group.table
        old = table.unseen_since(agents, self._sessions.oldest_s())
        actions = {action.name: table.read(action_column(action.name), agents) for action in self._spec.actions}
        return table.read(ACTED, agents) & ~old, actions

    def keep(self, batch: GroupBatch, outputs: Mapping[str, Array], *, late: bool = False) -> None:
        """Keep what the policy made of the agents that it could choose for; the others keep what they had.

        `late` says that the answer left before, without a word on states that are lost.
        """
        values: dict[Column, Any] = {state_column(state.name): outputs[state.output] for state in self._spec.states}
        values |= {action_column(action.name): outputs[action.name] for action in self._spec.actions}
        values[ACTED], values[UNTOLD] = True, batch.lost if late and batch.lost is not None else False
        if not batch.faults:
            self.group.table.write(batch.agents, values, self._stamp, self._sessions.clock())
            self._settle()
            return
        good = np.ones(len(batch.agents), bool)
        good[list(batch.faults)] = False
        agents = [agent for agent, chosen in zip(batch.agents, good.tolist(), strict=True) if chosen]
        values = {column: value[good] if np.ndim(value) else value for column, value in values.items()}
        self.group.table.write(agents, values, self._stamp, self._sessions.clock())
        self.not_chosen(batch, ~good)

    def not_chosen(self, batch: GroupBatch, which: Bools | None = None) -> None:
        """Note that agents were there though nothing was chosen for them: an episode that starts has started even so."""
        starts = batch.starts if which is None else batch.starts & which
        begun = [agent for agent, start in zip(batch.agents, starts.tolist(), strict=True) if start]
        values: dict[Column, Any] = {state_column(state.name): state.initial for state in self._spec.states}
        values |= {action_column(action.name): 0 for action in self._spec.actions}
        now_s = self._sessions.clock()
        if begun:
            self.group.table.write(begun, values | {ACTED: False, UNTOLD: False}, self._stamp, now_s)
        self.group.table.touch(batch.agents, self._stamp, now_s, self._sessions.oldest_s())
        self._settle()

    def _settle(self) -> None:
        self._sessions.settle(self._session_id, self._key, self.group)


def states_after(batch: GroupBatch, outputs: Mapping[str, Array] | None) -> Arrays:
    """Return the state of N agents after a tick by the name of its input, arrays [N, ...]: for a caller who keeps it.

    An agent that failed has the state that it came with, and so have all when there are no outputs.
    """
    after: Arrays = {}
    failed = list(batch.faults)
    for state in batch.spec.states:
        before = batch.feeds[state.name]
        after[state.name] = before if outputs is None else outputs[state.output]
        if failed and outputs is not None:
            after[state.name] = after[state.name].copy()
            after[state.name][failed] = before[failed]
    return after
