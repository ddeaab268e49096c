"""Game sessions: each sees what is its own and nobody else's, for as long as it is used, in memory that has an end."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bridge.game_sessions import GROUP_BYTES, MAX_GROUPS, GameSessions, KeptLimits

MOVE = ("action", "move")
COLUMNS = {MOVE: ([1], "float32")}
SESSIONS, GROUPS = st.sampled_from("abcd"), st.sampled_from([("guards", "one"), ("guards", "two"), ("", "one")])
DIGESTS = st.sampled_from(["old", "new"])
CAPACITY, TTL_S, AGENTS = 3, 10.0, 12


def keep(sessions, session, group, agents, value, digest="old"):
    memory = sessions.open(session, group, digest, lambda: COLUMNS)
    memory.table.write(agents, {MOVE: np.full((len(agents), 1), value, np.float32)}, sessions.stamp(), sessions.clock())
    sessions.settle(session, group, memory)
    return memory


def look(sessions, session, group, agents, digest="old"):
    table = sessions.open(session, group, digest, lambda: COLUMNS).table
    old = table.unseen_since(agents, sessions.oldest_s())
    values = table.read(MOVE, agents)[:, 0].tolist()
    return {agent: value for agent, value, gone in zip(agents, values, old.tolist(), strict=True) if not gone}


class Sessions(RuleBasedStateMachine):
    """Plays the calls of several games against a model that keeps everything in plain dictionaries."""

    @initialize()
    def start(self):
        self.now = 0.0
        self.value = 0
        self.kept: dict = {}  # session → group → (digest, agent → (value, seen)); both longest not used first
        self.used: dict = {}
        self.order: list = []
        limits = KeptLimits(CAPACITY, AGENTS, AGENTS, 1 << 20, TTL_S)
        self.sessions = GameSessions(limits, clock=lambda: self.now)

    def forget(self, session, group=None):
        groups = [group] if group else list(self.kept[session])
        for one in groups:
            del self.kept[session][one]
            self.order.remove((session, one))
        if not self.kept[session]:
            del self.kept[session], self.used[session]

    def opened(self, session, group, digest):
        for old in [s for s, used in self.used.items() if used < self.now - TTL_S]:
            self.forget(old)
        self.used.pop(session, None)
        self.used[session] = self.now
        groups = self.kept.setdefault(session, {})
        if len(self.used) > CAPACITY:
            self.forget(next(iter(self.used)))
        if group in groups and groups[group][0] != digest:
            groups[group] = (digest, {})
        groups.setdefault(group, (digest, {}))
        if (session, group) in self.order:
            self.order.remove((session, group))
        self.order.append((session, group))
        return groups[group][1]

    @rule(session=SESSIONS, group=GROUPS, digest=DIGESTS, agents=st.lists(st.integers(0, 9), unique=True, max_size=6))
    def keep(self, session, group, digest, agents):
        self.value += 1
        keep(self.sessions, session, group, agents, self.value, digest)
        rows = self.opened(session, group, digest)
        for agent in agents:
            rows[agent] = (self.value, self.now)
        while sum(len(rows) for groups in self.kept.values() for _, rows in groups.values()) > AGENTS:
            self.forget(*self.order[0])

    @rule(session=SESSIONS, group=GROUPS, digest=DIGESTS)
    def look(self, session, group, digest):
        found = look(self.sessions, session, group, list(range(10)), digest)
        rows = self.opened(session, group, digest)
        assert found == {agent: value for agent, (value, seen) in rows.items() if seen >= self.now - TTL_S}

    @rule(session=SESSIONS)
    def end(self, session):
        for old in [s for s, used in self.used.items() if used < self.now - TTL_S]:
            self.forget(old)
        anything = any(rows for _, rows in self.kept.get(session, {}).values())
        assert self.sessions.end(session) == anything
        if session in self.kept:
            self.forget(session)

    @rule(seconds=st.sampled_from([1.0, TTL_S / 2, TTL_S, TTL_S + 0.5]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def sweep(self):
        for _ in self.sessions.sweep():
            pass
        for old in [s for s, used in self.used.items() if used < self.now - TTL_S]:
            self.forget(old)
        for groups in self.kept.values():
            for _, rows in groups.values():
                for agent in [agent for agent, (_, seen) in rows.items() if seen < self.now - TTL_S]:
                    del rows[agent]

    @invariant()
    def never_too_many(self):
        assert len(self.sessions) <= CAPACITY
        assert self.sessions.agents <= AGENTS
        assert self.sessions.agents == sum(len(rows) for groups in self.kept.values() for _, rows in groups.values())
        assert self.sessions.bytes == sum(m.table.nbytes + GROUP_BYTES for m in self.sessions._groups.values())


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=40)


def sessions_of(**limits):
    return GameSessions(KeptLimits(**limits))


def test_the_session_longest_not_used_goes_first():
    sessions = sessions_of(sessions=2)
    group = ("", "one")
    for session in ("a", "b", "a", "c"):
        keep(sessions, session, group, [1], 0)
    assert [session in sessions for session in "abc"] == [True, False, True]
    assert sessions.forgotten["room"] == 1


def test_groups_that_are_never_seen_again_do_not_pile_up():
    sessions = sessions_of()
    for number in range(MAX_GROUPS + 10):
        keep(sessions, "a", (str(number), "one"), [1], number)
    assert sessions.agents == MAX_GROUPS
    assert sessions.forgotten["room"] == 10
    assert look(sessions, "a", (str(MAX_GROUPS + 9), "one"), [1]) == {1: MAX_GROUPS + 9}


def test_of_a_single_group_that_is_too_large_the_agents_last_seen_stay():
    sessions = sessions_of(bytes=100_000)
    group = ("", "one")
    for start in range(0, 2000, 100):
        keep(sessions, "a", group, list(range(start, start + 100)), start)
        assert sessions.bytes <= 100_000
    found = look(sessions, "a", group, list(range(2000)))
    assert 200 < len(found) < 500
    assert min(found) >= 1500


def test_agents_that_are_too_old_are_freed_without_being_asked_for():
    now = 0.0
    sessions = GameSessions(KeptLimits(seconds=10.0), clock=lambda: now)
    for session in range(200):
        keep(sessions, str(session), ("", "one"), list(range(session, session + 50)), 0)
    now = 6.0
    for session in range(100):
        keep(sessions, str(session), ("", "one"), [1, 2], 1)
    now = 11.0
    for _ in sessions.sweep():
        pass
    assert (len(sessions), sessions.agents) == (100, 200)
    assert sessions.forgotten["age"] == 200 * 50 + 100 * 2 - 200 - sum(len({1, 2} & set(range(s, s + 50))) for s in range(100))


def test_ten_thousand_sessions_take_no_more_than_they_may():
    tracemalloc.start()
    try:
        sessions = sessions_of(sessions=100_000, bytes=4 << 20)
        for number in range(10_000):
            keep(sessions, f"session {number}", ("", "one"), [number], number)
            assert sessions.bytes <= 4 << 20
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 500 < len(sessions) < 10_000
    assert look(sessions, "session 9999", ("", "one"), [9999]) == {9999: 9999}
    assert taken <= 4 << 20


def test_each_process_calls_itself_by_another_number():
    assert len({sessions_of().keeper for _ in range(10)} - {0}) == 10
