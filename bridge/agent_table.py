"""Rows of numbers by agent id: what the agents of one group left at their last tick, in memory that has an end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Column = tuple[str, str]
"""What a column holds, and the name of it."""
AGENT_BYTES = 200
"""What an agent takes beside its row: its id, its place in the dictionary."""
TIMES_BYTES = 24
FIRST_ROWS = 8
WRITTEN, SEEN = 0, 1


class AgentTable:
    """At most `most` agents by id, each with one row in every column; the agents longest not seen make room for new ones.

    `columns` gives the shape and type of a row in each column. Times are seconds of a clock that only goes on; stamps number
    calls in their order. What is read and written is copied: nothing of a caller's arrays is kept alive.
    """

    def __init__(self, columns: Mapping[Column, tuple[Sequence[int], str]], most: int) -> None:
        self._most = most
        self._columns = {column: np.zeros((0, *shape), dtype) for column, (shape, dtype) in columns.items()}
        self.row_bytes = sum(np.dtype(dtype).itemsize * prod(shape) for shape, dtype in columns.values()) + TIMES_BYTES
        self._stamps = np.zeros((0, 2), np.int64)
        self._seen_s = np.zeros(0, np.float64)
        self._newest = -1
        self._ids: dict[int, int] = {}
        self._agents: list[int] = []
        self._free: list[int] = []
        self._asked: list[int] | None = None
        self._rows: Rows = np.zeros(0, np.intp)
        self._place: slice | Rows = self._rows

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, agent: int) -> bool:
        return agent in self._ids

    @property
    def size(self) -> tuple[int, int]:
        """Return how many agents there are, and for how many there is a row."""
        return len(self._ids), len(self._seen_s)

    @property
    def nbytes(self) -> int:
        """Return the bytes that the table takes, used or not."""
        return len(self._seen_s) * self.row_bytes + len(self._ids) * AGENT_BYTES

    def unseen_since(self, agents: list[int], moment_s: float) -> Bools:
        """Return which of N agents were not seen since, bool[N]; one without a row never was."""
        place = self._find(agents)
        if not len(self._seen_s):
            return np.ones(len(agents), bool)
        return (self._rows < 0) | (self._seen_s[place] < moment_s)

    def read(self, column: Column, agents: list[int]) -> Array:
        """Return a copy of N agents' values in a column, [N, ...]; one without a row has anything."""
        place, array = self._find(agents), self._columns[column]
        if not len(array):
            return np.zeros((len(agents), *array.shape[1:]), array.dtype)
        return array[place].copy() if isinstance(place, slice) else array[place]

    def write(self, agents: list[int], values: Mapping[Column, Any], stamp: int, now_s: float) -> None:
        """Put N agents' values [N, ...], or one for all of them, into the columns; all columns have to be there.

        A row that a later call has written already stays as it is.
        """
        place = self._find_or_make(agents)
        if stamp >= self._newest:
            self._newest = stamp
            for column, value in values.items():
                self._columns[column][place] = value
            self._stamps[place] = stamp
            self._seen_s[place] = now_s
            return
        earlier = self._stamps[self._rows, WRITTEN] <= stamp
        rows = self._rows[earlier]
        for column, value in values.items():
            self._columns[column][rows] = value[earlier] if np.ndim(value) else value
        self._stamps[rows, WRITTEN] = stamp
        self._stamps[rows, SEEN] = np.maximum(self._stamps[rows, SEEN], stamp)
        self._seen_s[rows] = now_s

    def touch(self, agents: list[int], stamp: int, now_s: float, oldest_s: float) -> None:
        """Note that agents were seen; those without a row, or not seen since `oldest_s`, stay as they are."""
        fresh = ~self.unseen_since(agents, oldest_s)
        rows = self._rows[fresh]
        self._newest = max(self._newest, stamp)
        self._stamps[rows, SEEN] = np.maximum(self._stamps[rows, SEEN], stamp)
        self._seen_s[rows] = now_s

    def forget_unseen_since(self, moment_s: float) -> int:
        """Drop the agents that were not seen since; return how many there were."""
        used = self._used()
        old = used[self._seen_s[used] < moment_s]
        self._drop(old)
        if len(self._ids) * 4 < len(self._seen_s):
            self.shrink(len(self._ids))
        return len(old)

    def shrink(self, most: int) -> int:
        """Keep the `most` agents last seen, in no more memory than they take; return how many are dropped."""
        used = self._used()
        order = used[np.argsort(self._stamps[used, SEEN], kind="stable")]
        dropped = max(0, len(order) - most)
        kept = order[dropped:]
        agents = [self._agents[row] for row in kept.tolist()]
        self._resize(kept)
        self._ids = {agent: row for row, agent in enumerate(agents)}
        self._agents, self._free, self._asked = agents, [], None
        return dropped

    def _find(self, agents: list[int]) -> slice | Rows:
        """Return where the agents' rows are, -1 where there is none: the same as the last time for the same agents."""
        if agents is not self._asked and agents != self._asked:
            rows = np.array([self._ids.get(agent, -1) for agent in agents], np.intp)
            self._asked, self._rows, self._place = agents, rows, rows
            first = int(rows[0]) if len(rows) else -1
            if first >= 0 and (rows == np.arange(first, first + len(rows))).all():
                self._place = slice(first, first + len(rows))
        return self._place

    def _find_or_make(self, agents: list[int]) -> slice | Rows:
        """Return where the agents' rows are; new ones get one."""
        place = self._find(agents)
        if isinstance(place, slice) or not (place < 0).any():
            return place
        self._make_room(place)
        for agent in agents:
            if agent not in self._ids:
                row = self._free.pop()
                self._ids[agent], self._agents[row] = row, agent
        self._asked = None
        return self._find(agents)

    def _make_room(self, rows: Rows) -> None:
        """Free as many rows as there are new agents among those of `rows`."""
        new = int((rows < 0).sum())
        over = len(self._ids) + new - self._most
        if over > 0:
            others = np.setdiff1d(self._used(), rows)
            self._drop(others[np.argsort(self._stamps[others, SEEN], kind="stable")[:over]])
        missing = new - len(self._free)
        if missing > 0:
            size = len(self._seen_s)
            after = max(size + missing, min(max(FIRST_ROWS, 2 * size), self._most))
            self._resize(np.concatenate([np.arange(size), np.full(after - size, -1)]))
            self._agents += [-1] * (after - size)
            self._free += range(after - 1, size - 1, -1)

    def _used(self) -> Rows:
        return np.fromiter(self._ids.values(), np.intp, len(self._ids))

    def _drop(self, rows: Rows) -> None:
        for row in rows.tolist():
            del self._ids[self._agents[row]]
        self._free += rows.tolist()
        self._stamps[rows], self._seen_s[rows] = -1, -np.inf
        self._asked = None

    def _resize(self, source: Rows) -> None:
        """Put into each row what was in the row of `source`, nothing where that is -1."""
        old = source >= 0

        def moved(array: Array, nothing: float) -> Array:
            after = np.full((len(source), *array.shape[1:]), nothing, array.dtype)
            after[old] = array[source[old]]
            return after

        self._columns = {column: moved(array, 0) for column, array in self._columns.items()}
        self._stamps, self._seen_s = moved(self._stamps, -1), moved(self._seen_s, -np.inf)
