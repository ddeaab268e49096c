"""What the sidecar keeps for a game session between ticks: last actions and recurrent state of each group's agents."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy.typing as npt

from bridge.agent_states import AgentStates

Array = npt.NDArray[Any]
GroupKey = tuple[str, str]
"""A group's name, and the digest of the model that chose its actions."""
MAX_GROUPS = 1024


@dataclass
class LastActions:
    """The actions of one tick: N agent ids and, by action name, arrays [N, ...]; and recurrent state, if the policy has any."""

    agents: list[int]
    actions: Mapping[str, Array]
    states: AgentStates | None = None

    def of(self, agent: int) -> dict[str, Array] | None:
        """Return the actions of one agent, or `None` if it was not there."""
        row = self._rows.get(agent)
        return None if row is None else {name: array[row] for name, array in self.actions.items()}

    @cached_property
    def _rows(self) -> dict[int, int]:
        return {agent: row for row, agent in enumerate(self.agents)}


@dataclass
class _Session:
    used: float
    groups: OrderedDict[GroupKey, LastActions] = field(default_factory=OrderedDict)


class GameSessions:
    """Last actions and recurrent state by session id and group; the least recently used session goes when there are too many.

    A session that is not used for `ttl_s` seconds is forgotten, and so is the group longest not seen of a session with more
    than `MAX_GROUPS`. No session ever sees another's actions: every look-up goes
    through the session's id.
    """

    def __init__(self, capacity: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._clock = clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def last(self, session_id: str, group: GroupKey) -> LastActions | None:
        """Return the group's actions of the session's last tick, or `None` if there are none."""
        self._expire()
        session = self._sessions.get(session_id)
        return session.groups.get(group) if session else None

    def keep(self, session_id: str, group: GroupKey, actions: LastActions) -> None:
        """Keep a group's actions in place of those of the tick before; nothing is kept for the empty session id."""
        if not session_id:
            return
        self._expire()
        session = self._sessions.setdefault(session_id, _Session(0.0))
        session.used = self._clock()
        session.groups[group] = actions
        session.groups.move_to_end(group)
        if len(session.groups) > MAX_GROUPS:
            session.groups.popitem(last=False)
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > self._capacity:
            self._sessions.popitem(last=False)

    def end(self, session_id: str) -> bool:
        """Forget a session; return whether anything was kept for it."""
        self._expire()
        return self._sessions.pop(session_id, None) is not None

    def _expire(self) -> None:
        limit = self._clock() - self._ttl_s
        while self._sessions and next(iter(self._sessions.values())).used < limit:
            self._sessions.popitem(last=False)
