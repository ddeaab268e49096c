"""What is kept for game sessions between ticks: last actions and recurrent state of each group, in memory that has an end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.agent_table import AGENT_BYTES, AgentTable, Column

GroupKey = tuple[str, str]
"""A group's name, and the name of the model that chooses its actions."""
Columns = Mapping[Column, tuple[Sequence[int], str]]
MAX_GROUPS = 1024
GROUP_BYTES = 3072
"""What a group takes beside the rows of its agents."""
GROUPS_PER_STEP = 64


@dataclass(frozen=True)
class KeptLimits:
    """How much is kept: `agents` and `bytes` over all sessions, `agents_per_group`, and for how many seconds unused."""

    sessions: int = 1_024
    agents: int = 262_144
    agents_per_group: int = 16_384
    bytes: int = 256 << 20
    seconds: float = 600.0


@dataclass(eq=False)
class GroupMemory:
    """What is kept of one group of a session under one model.

    `running` is there while a run goes on whose result will be written here; it is done when the next run may begin. A call
    that began before the session was forgotten still writes to the memory that it found, which nobody reads any more.
    """

    digest: str
    table: AgentTable
    running: asyncio.Future[None] | None = None
    counted_size: tuple[int, int] = (0, 0)
    counted_bytes: int = 0


@dataclass
class _Session:
    used_s: float
    groups: OrderedDict[GroupKey, GroupMemory] = field(default_factory=OrderedDict)


class GameSessions:
    """What is kept by session id, group, model and agent; what was longest not used goes first when there is too much.

    A session, and an agent of one, that is not seen for `limits.seconds` is forgotten. When there are too many sessions the one
    longest not used goes; when there are too many agents or bytes, whole groups go, and of the last one left the agents longest
    not seen. No session ever sees another's: every look-up goes through the session's id. `keeper` names this process, by a
    random number; `closing` is set when the process is about to end.
    """

    def __init__(self, limits: KeptLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self.keeper = secrets.randbits(63) + 1
        self.forgotten: Counter[str] = Counter({"end": 0, "age": 0, "room": 0, "model": 0, "keeper": 0, "gone": 0})
        self.agents = 0
        self.bytes = 0
        self.closing = asyncio.Event()
        self._holders: Counter[str] = Counter()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._groups: OrderedDict[tuple[str, GroupKey], GroupMemory] = OrderedDict()
        self._stamp = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session_id: str) -> bool:
        self.forget_old()
        return session_id in self._sessions

    def stamp(self) -> int:
        """Return the number of a call that begins, larger than all before."""
        self._stamp += 1
        return self._stamp

    def open(self, session_id: str, group: GroupKey, digest: str, columns: Callable[[], Columns]) -> GroupMemory:
        """Return the memory of a group of a session, an empty one if there is none or if it is of other files of the model."""
        now_s = self.clock()
        self.forget_old(now_s)
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = _Session(0.0)
            while len(self._sessions) > self.limits.sessions:
                self._forget(next(iter(self._sessions)), "room")
        session.used_s = now_s
        self._sessions.move_to_end(session_id)
        memory = session.groups.get(group)
        if memory is not None and memory.digest != digest:
            self._forget_group(session_id, group, "model")
            memory = None
        if memory is None:
            memory = session.groups[group] = GroupMemory(digest, AgentTable(columns(), self.limits.agents_per_group))
            self._groups[session_id, group] = memory
            if len(session.groups) > MAX_GROUPS:
                self._forget_group(session_id, next(iter(session.groups)), "room")
            self._settle(session_id, group, memory)
        session.groups.move_to_end(group)
        self._groups.move_to_end((session_id, group))
        return memory

    def settle(self, session_id: str, group: GroupKey, memory: GroupMemory) -> None:
        """Count what a group's memory takes after it was written, and make room if that is too much."""
        if memory.table.size == memory.counted_size or self._groups.get((session_id, group)) is not memory:
            return
        self._settle(session_id, group, memory)

    def _settle(self, session_id: str, group: GroupKey, memory: GroupMemory) -> None:
        self._count(memory)
        while self._too_much() and len(self._groups) > 1:
            oldest = next(key for key in self._groups if key != (session_id, group))
            self._forget_group(*oldest, "room")
        if self._too_much():
            rows = (self.limits.bytes - GROUP_BYTES) // (memory.table.row_bytes + AGENT_BYTES)
            self.forgotten["room"] += memory.table.shrink(max(0, min(self.limits.agents, rows)))
            self._count(memory)

    def end(self, session_id: str, reason: str = "end") -> bool:
        """Forget a session; return whether anything was kept for it."""
        self.forget_old()
        return self._forget(session_id, reason)

    @property
    def holders(self) -> int:
        """Return how many hold a session."""
        return self._holders.total()

    @contextlib.contextmanager
    def held(self, session_id: str) -> Iterator[None]:
        """Hold a session until the block ends; the session ends with the last who holds it."""
        self._holders[session_id] += 1
        try:
            yield
        finally:
            self._holders[session_id] -= 1
            if not self._holders[session_id]:
                del self._holders[session_id]
                self.end(session_id, "gone")

    def close(self) -> None:
        """Let go those who wait for `closing`."""
        self.closing.set()

    def forget_old(self, now_s: float | None = None) -> None:
        """Forget the sessions that were not used for too long."""
        limit = (self.clock() if now_s is None else now_s) - self.limits.seconds
        while self._sessions and next(iter(self._sessions.values())).used_s < limit:
            self._forget(next(iter(self._sessions)), "age")

    def oldest_s(self) -> float:
        """Return the moment since which a session or an agent has to have been seen."""
        return self.clock() - self.limits.seconds

    def sweep(self) -> Iterator[None]:
        """Free what sessions and agents that are too old take, a few groups a step: nobody reads it any more before, either."""
        self.forget_old()
        for i, (key, memory) in enumerate(list(self._groups.items())):
            if i % GROUPS_PER_STEP == 0:
                yield
            if self._groups.get(key) is memory:
                self.forgotten["age"] += memory.table.forget_unseen_since(self.oldest_s())
                self._count(memory)

    def _too_much(self) -> bool:
        return self.agents > self.limits.agents or self.bytes > self.limits.bytes

    def _count(self, memory: GroupMemory) -> None:
        size, taken = memory.table.size, memory.table.nbytes + GROUP_BYTES
        self.agents += size[0] - memory.counted_size[0]
        self.bytes += taken - memory.counted_bytes
        memory.counted_size, memory.counted_bytes = size, taken

    def _forget(self, session_id: str, reason: str) -> bool:
        session = self._sessions.get(session_id)
        if session is None:
            return False
        kept = any(len(memory.table) for memory in session.groups.values())
        for group in list(session.groups):
            self._forget_group(session_id, group, reason)
        self._sessions.pop(session_id, None)
        return kept

    def _forget_group(self, session_id: str, group: GroupKey, reason: str) -> None:
        memory = self._groups.pop((session_id, group))
        self.forgotten[reason] += memory.counted_size[0]
        self.agents -= memory.counted_size[0]
        self.bytes -= memory.counted_bytes
        session = self._sessions[session_id]
        del session.groups[group]
        if not session.groups and reason == "room":
            del self._sessions[session_id]
