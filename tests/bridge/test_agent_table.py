"""Rows by agent: against a plain dictionary, whatever agents come, go, come late and grow old."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.agent_table import AgentTable

MEMORY, ACTED = ("state", "memory"), ("acted", "")
COLUMNS = {MEMORY: ([2], "float32"), ACTED: ([], "bool")}
MOST = 4
EVERYBODY = list(range(7))
AGENTS = st.lists(st.sampled_from(EVERYBODY), unique=True, max_size=MOST)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), AGENTS, st.integers(0, 3)),
        st.tuples(st.just("touch"), AGENTS, st.integers(0, 12)),
        st.tuples(st.just("grow old"), st.integers(0, 12)),
        st.tuples(st.just("shrink"), st.integers(0, MOST)),
    ),
    max_size=40,
)


@dataclass
class Row:
    """What the table must have of an agent."""

    value: float = 0.0
    written: int = -1
    seen: int = -1
    seen_s: float = -1.0


class Plain(dict[int, Row]):
    """The rule: agent → what was last written for it, by which call, and when it was seen."""

    def leave(self, table: AgentTable, count: int, stay: list[int]) -> None:
        """Take out those whom the table has dropped: so many, and nobody of `stay` or who was seen after one who is left."""
        gone = [agent for agent in self if agent not in table]
        left = [row.seen for agent, row in self.items() if agent in table and agent not in stay]
        assert len(gone) == max(count, 0)
        assert not set(gone) & set(stay)
        assert all(self[agent].seen <= seen for agent in gone for seen in left)
        for agent in gone:
            del self[agent]

    def write(self, agents: list[int], value: float, stamp: int, now_s: float) -> None:
        for agent in agents:
            row = self.setdefault(agent, Row())
            if row.written <= stamp:
                row.value, row.written, row.seen, row.seen_s = value, stamp, max(row.seen, stamp), max(row.seen_s, now_s)


@given(CALLS)
def test_each_agent_has_what_the_latest_call_wrote_for_it(calls):
    table, plain = AgentTable(COLUMNS, MOST), Plain()
    for number, (what, *details) in enumerate(calls, 10):
        now_s = float(number)
        if what == "write":
            agents, lag = details
            new = [agent for agent in agents if agent not in plain]
            table.write(agents, {MEMORY: np.full((len(agents), 2), number, np.float32), ACTED: True}, number - lag, now_s)
            plain.leave(table, len(plain) + len(new) - MOST, agents)
            plain.write(agents, number, number - lag, now_s)
        elif what == "touch":
            agents, age = details
            table.touch(agents, number, now_s, now_s - age)
            for row in (plain[agent] for agent in agents if agent in plain and plain[agent].seen_s >= now_s - age):
                row.seen, row.seen_s = number, now_s
        elif what == "grow old":
            old = [agent for agent, row in plain.items() if row.seen_s < now_s - details[0]]
            assert table.forget_unseen_since(now_s - details[0]) == len(old)
            for agent in old:
                del plain[agent]
        else:
            count = len(plain) - details[0]
            assert table.shrink(details[0]) == max(count, 0)
            plain.leave(table, count, [])
        assert {agent for agent in EVERYBODY if agent in table} == set(plain)
        unseen = table.unseen_since(EVERYBODY, now_s - 3).tolist()
        assert unseen == [agent not in plain or plain[agent].seen_s < now_s - 3 for agent in EVERYBODY]
        memory, acted = table.read(MEMORY, EVERYBODY), table.read(ACTED, EVERYBODY)
        for agent, row in plain.items():
            assert (memory[agent].tolist(), bool(acted[agent])) == ([row.value] * 2, True)
        assert len(table) == len(plain) <= MOST


def test_what_is_kept_does_not_keep_alive_what_it_came_from():
    table = AgentTable({MEMORY: ([2], "float32")}, 8)
    tracemalloc.start()
    try:
        for stamp in range(20):
            outputs = np.zeros((50_000, 2), np.float32)
            table.write([1, 2], {MEMORY: outputs[7:9]}, stamp, 0.0)
            kept = table.read(MEMORY, [1, 2])
            del outputs
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
    assert kept.base is None


def test_agents_that_are_never_seen_again_do_not_pile_up():
    table = AgentTable(COLUMNS, 100)
    for stamp in range(1000):
        agents = list(range(stamp * 10, stamp * 10 + 10))
        table.write(agents, {MEMORY: np.zeros((10, 2), np.float32), ACTED: True}, stamp, 0.0)
    assert len(table) == 100
    assert all(agent in table for agent in range(9_900, 10_000))
    assert table.size == (100, 100)


def test_what_a_table_says_that_it_takes_is_no_less_than_what_it_takes():
    ids = [list(range(start, start + 500)) for start in range(10**18, 10**18 + 20_000, 500)]
    state = np.zeros((500, 64), np.float32)
    tracemalloc.start()
    try:
        table = AgentTable({MEMORY: ([64], "float32"), ACTED: ([], "bool")}, 20_000)
        for stamp, agents in enumerate(ids):
            table.write(agents, {MEMORY: state, ACTED: True}, stamp, 0.0)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken <= table.nbytes <= 2 * taken
