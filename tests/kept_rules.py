"""The rules of what a sidecar keeps of agents, in plain dictionaries: the model that its answers are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import tiny_models

from bridge.v1 import npc_service_pb2 as pb

Pages = list[float]
BLANK: Pages = [tiny_models.BLANK] * tiny_models.PAGES
NEUTRAL: Pages = [0.0] * tiny_models.PAGES


@dataclass
class Row:
    """What is kept of an agent; `written` is the number of the call that did, `untold` a loss that no answer has named."""

    pages: Pages
    acted: Pages | None
    written: int
    seen_s: float
    untold: bool = False


@dataclass(eq=False)
class Memory:
    """What is kept of a group under one model."""

    digest: str
    rows: dict[int, Row] = field(default_factory=dict)


@dataclass
class Asked:
    """One call's only group: agents and their notes, whose episodes start, and whose observations are no numbers."""

    session: str
    group: str
    model: str
    notes: dict[int, float]
    starts: set[int]
    bad: set[int]

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what the memory is kept by."""
        return self.session, self.group, self.model


class Kept:
    """What is kept of all sessions: at most so many sessions and agents, each for so many seconds.

    `digest_of` tells which files a model is made of now. Both dictionaries are in the order of use; `now_s` is the time.
    """

    def __init__(self, sessions: int, agents: int, ttl_s: float, digest_of: Callable[[str], str], now_s: float) -> None:
        self.sessions, self.agents, self.ttl_s = sessions, agents, ttl_s
        self.digest_of = digest_of
        self.now_s = now_s
        self.used: dict[str, float] = {}
        self.groups: dict[tuple[str, str, str], Memory] = {}

    def forget(self, session):
        self.used.pop(session, None)
        for key in [key for key in self.groups if key[0] == session]:
            del self.groups[key]

    def forget_old(self):
        for session in [session for session, used in self.used.items() if used < self.now_s - self.ttl_s]:
            self.forget(session)

    def open(self, asked: Asked) -> Memory:
        self.forget_old()
        self.used.pop(asked.session, None)
        self.used[asked.session] = self.now_s
        if len(self.used) > self.sessions:
            self.forget(next(iter(self.used)))
        memory = self.groups.pop(asked.key, None)
        digest = self.digest_of(asked.model)
        if memory is None or memory.digest != digest:
            memory = Memory(digest)
        self.groups[asked.key] = memory
        return memory

    def make_room(self, asked: Asked, memory: Memory):
        if self.groups.get(asked.key) is not memory:
            return
        while sum(len(kept.rows) for kept in self.groups.values()) > self.agents:
            oldest = next(key for key in self.groups if key != asked.key)
            del self.groups[oldest]
            if not any(key[0] == oldest[0] for key in self.groups):
                del self.used[oldest[0]]

    def known(self, memory: Memory, agent: int) -> Row | None:
        row = memory.rows.get(agent)
        return row if row and row.seen_s >= self.now_s - self.ttl_s else None

    def lost(self, asked: Asked, memory: Memory) -> set[int]:
        """Return the agents whose memory is lost, though their episodes go on."""
        rows = {agent: self.known(memory, agent) for agent in asked.notes}
        return {agent for agent, row in rows.items() if row is None or row.untold} - asked.starts

    def step(self, asked: Asked, memory: Memory) -> dict[int, Pages]:
        """Return what the memory of each agent is to be after the policy has run."""
        before = {a: self.known(memory, a) for a in asked.notes}
        pages = {a: BLANK if a in asked.starts or row is None else row.pages for a, row in before.items()}
        return {a: [*pages[a][1:], note] for a, note in asked.notes.items()}

    def keep(self, asked: Asked, memory: Memory, stamp: int, pages: dict[int, Pages], untold: frozenset[int] = frozenset()):
        for agent in set(asked.notes) - asked.bad:
            if agent not in memory.rows or memory.rows[agent].written <= stamp:
                memory.rows[agent] = Row(pages[agent], pages[agent], stamp, self.now_s, agent in untold)
        if asked.bad:
            self.not_chosen(asked, memory, stamp, asked.bad)
        self.make_room(asked, memory)

    def not_chosen(self, asked: Asked, memory: Memory, stamp: int, agents: set[int]):
        for agent in agents & asked.starts:
            if agent not in memory.rows or memory.rows[agent].written <= stamp:
                memory.rows[agent] = Row(BLANK, None, stamp, self.now_s)
        for agent in asked.notes:
            row = self.known(memory, agent)
            if row:
                row.seen_s = self.now_s
        self.make_room(asked, memory)

    def instead(self, asked: Asked, memory: Memory, agent: int) -> tuple[int, Pages]:
        row = self.known(memory, agent)
        if row and row.acted and agent not in asked.starts:
            return pb.SOURCE_CACHE, row.acted
        return pb.SOURCE_FALLBACK, NEUTRAL
