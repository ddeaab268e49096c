"""Rows of numbers by agent id: what the agents of one group left at their last tick, in memory that has an end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Column = tuple[str, str]
"""What a column holds, and the name of it."""
AGENT_BYTES = 200
"""What an agent takes beside its row: its id, its place in the dictionary, its times."""
FIRST_ROWS = 8


class AgentTable:
    """At most `most` agents by id, each with one row in every column; the agents longest not seen make room for new ones.

    `columns` gives the shape and type of a row in each column. Times are seconds of any clock; `stamp` numbers the calls in
    their order. What is read and written is copied: nothing of a caller's arrays is kept alive.
    """

    def __init__(self, columns: Mapping[Column, tuple[Sequence[int], str]], most: int) -> None:
        self._most = most
        self._columns = {column: np.zeros((0, *shape), dtype) for column, (shape, dtype) in columns.items()}
        self._written = np.zeros(0, np.int64)
        self._seen = np.zeros(0, np.int64)
        self._seen_s = np.zeros(0, np.float64)
        self._ids: dict[int, int] = {}
        self._agents: list[int] = []
        self._free: list[int] = []
        self._asked: list[int] | None = None
        self._answer: Rows = np.zeros(0, np.intp)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, agent: int) -> bool:
        return agent in self._ids

    @property
    def nbytes(self) -> int:
        """Return the bytes that the table takes, used or not."""
        return sum(array.nbytes for array in self._columns.values()) + len(self._written) * 24 + len(self._ids) * AGENT_BYTES

    @property
    def row_bytes(self) -> int:
        """Return the bytes that one more agent takes."""
        return sum(array[:0].itemsize * int(np.prod(array.shape[1:])) for array in self._columns.values()) + 24 + AGENT_BYTES

    def rows(self, agents: list[int]) -> Rows:
        """Return the row of each of N agents, intp[N], -1 where there is none; valid until the table is written."""
        if agents != self._asked:
            self._asked, self._answer = agents, np.array([self._ids.get(agent, -1) for agent in agents], np.intp)
        return self._answer

    def unseen_since(self, rows: Rows, moment_s: float) -> Bools:
        """Return which of these rows were not seen since, bool[N]; a row of -1 was never."""
        if not len(self._written):
            return np.ones(len(rows), bool)
        return (rows < 0) | (self._seen_s[rows] < moment_s)

    def read(self, column: Column, rows: Rows) -> Array:
        """Return rows of a column, [N, ...]; those of -1 hold anything."""
        array = self._columns[column]
        return array[rows] if len(array) else np.zeros((len(rows), *array.shape[1:]), array.dtype)

    def write(self, agents: list[int], values: Mapping[Column, Any], stamp: int, now_s: float) -> None:
        """Put N agents' values [N, ...], or one for all of them, into the columns; all columns have to be there.

        A row that a later call has written already stays as it is.
        """
        agents, kept = self._at_most(agents)
        rows = self._rows_for(agents)
        late = self._written[rows] > stamp
        if late.any():
            rows, kept = rows[~late], np.flatnonzero(~late) if kept is None else kept[~late]
        for column, value in values.items():
            one_each = kept is not None and np.ndim(value)
            self._columns[column][rows] = value[kept] if one_each else value
        self._written[rows] = stamp
        self._see(rows, stamp, now_s)

    def touch(self, agents: list[int], stamp: int, now_s: float, oldest_s: float) -> None:
        """Note that agents were seen; those without a row, or not seen since `oldest_s`, stay as they are."""
        rows = self.rows(agents)
        self._see(rows[~self.unseen_since(rows, oldest_s)], stamp, now_s)

    def forget_unseen_since(self, moment_s: float) -> int:
        """Drop the agents that were not seen since; return how many there were."""
        used = self._used()
        old = used[self._seen_s[used] < moment_s]
        self._drop(old)
        if len(self._ids) * 4 < len(self._written):
            self.shrink(len(self._ids))
        return len(old)

    def shrink(self, most: int) -> int:
        """Keep the `most` agents last seen, in no more memory than they take; return how many are dropped."""
        used = self._used()
        order = used[np.argsort(self._seen[used], kind="stable")]
        dropped = max(0, len(order) - most)
        kept = order[dropped:]
        agents = [self._agents[row] for row in kept.tolist()]
        self._resize(kept)
        self._ids = {agent: row for row, agent in enumerate(agents)}
        self._agents, self._free, self._asked = agents, [], None
        return dropped

    def _used(self) -> Rows:
        return np.fromiter(self._ids.values(), np.intp, len(self._ids))

    def _drop(self, rows: Rows) -> None:
        for row in rows.tolist():
            del self._ids[self._agents[row]]
        self._free += rows.tolist()
        self._written[rows], self._seen[rows], self._seen_s[rows] = -1, -1, -np.inf
        self._asked = None

    def _at_most(self, agents: list[int]) -> tuple[list[int], Rows | None]:
        """Return the last of the agents, where they are more than the table holds, and which those are."""
        if len(agents) <= self._most:
            return agents, None
        start = len(agents) - self._most
        return agents[start:], np.arange(start, len(agents))

    def _rows_for(self, agents: list[int]) -> Rows:
        """Return the row of each agent; new ones get one."""
        rows = self.rows(agents)
        if not (rows < 0).any():
            return rows
        self._make_room(rows)
        for agent in agents:
            if agent not in self._ids:
                row = self._free.pop()
                self._ids[agent], self._agents[row] = row, agent
        self._asked = None
        return self.rows(agents)

    def _make_room(self, rows: Rows) -> None:
        """Free as many rows as there are new agents among those of `rows`."""
        new = int((rows < 0).sum())
        over = len(self._ids) + new - self._most
        if over > 0:
            others = np.setdiff1d(self._used(), rows)
            self._drop(others[np.argsort(self._seen[others], kind="stable")[:over]])
        missing = new - len(self._free)
        if missing > 0:
            size = len(self._written)
            after = max(size + missing, min(max(FIRST_ROWS, 2 * size), self._most))
            self._resize(np.concatenate([np.arange(size), np.full(after - size, -1)]))
            self._agents += [-1] * (after - size)
            self._free += range(after - 1, size - 1, -1)

    def _resize(self, source: Rows) -> None:
        """Put into each row what was in the row of `source`, nothing where that is -1."""
        new = source < 0
        for column, array in self._columns.items():
            self._columns[column] = np.zeros((len(source), *array.shape[1:]), array.dtype)
            self._columns[column][~new] = array[source[~new]]
        times = self._written, self._seen, self._seen_s
        self._written, self._seen = np.full(len(source), -1, np.int64), np.full(len(source), -1, np.int64)
        self._seen_s = np.full(len(source), -np.inf)
        for after, before in zip((self._written, self._seen, self._seen_s), times, strict=True):
            after[~new] = before[source[~new]]

    def _see(self, rows: Rows, stamp: int, now_s: float) -> None:
        self._seen[rows] = np.maximum(self._seen[rows], stamp)
        self._seen_s[rows] = np.maximum(self._seen_s[rows], now_s)
