"""Game sessions: each sees its own last actions and nobody else's, for as long as it is used."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from bridge.game_sessions import MAX_GROUPS, GameSessions, LastActions

SESSIONS, GROUPS = st.sampled_from(["", "a", "b", "c", "d"]), st.sampled_from([("guards", "one"), ("guards", "two")])
CAPACITY, TTL_S = 3, 10.0


def actions(agents, value):
    return LastActions(agents, {"move": np.full((len(agents), 2), value, np.float32)})


class Sessions(RuleBasedStateMachine):
    """Plays calls of several games against a model that keeps everything in a plain dictionary."""

    kept = Bundle("kept")

    @initialize()
    def start(self):
        self.now = 0.0
        self.value = 0
        self.model: dict = {}
        self.used: dict = {}
        self.sessions = GameSessions(CAPACITY, TTL_S, clock=lambda: self.now)

    def forget_the_old(self):
        for session in [s for s, used in self.used.items() if used < self.now - TTL_S]:
            del self.used[session], self.model[session]

    @rule(target=kept, session=SESSIONS, group=GROUPS, agents=st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=3))
    def keep(self, session, group, agents):
        self.value += 1
        self.sessions.keep(session, group, actions(agents, self.value))
        self.forget_the_old()
        if not session:
            return multiple()
        self.model.setdefault(session, {})[group] = (agents, self.value)
        self.used.pop(session, None)
        self.used[session] = self.now
        while len(self.used) > CAPACITY:
            oldest = next(iter(self.used))
            del self.used[oldest], self.model[oldest]
        return session, group, agents

    @rule(session=SESSIONS, group=GROUPS, agent=st.integers(0, 2**64 - 1))
    def look(self, session, group, agent):
        self.forget_the_old()
        last = self.sessions.last(session, group)
        expected = self.model.get(session, {}).get(group)
        assert (last is None) == (expected is None)
        if last is not None:
            agents, value = expected
            for present in agents:
                assert last.of(present)["move"].tolist() == [value, value]
            if agent not in agents:
                assert last.of(agent) is None

    @rule(what=kept)
    def look_at_what_was_kept(self, what):
        session, group, agents = what
        self.look(session, group, agents[0] if agents else 0)

    @rule(session=SESSIONS)
    def end(self, session):
        self.forget_the_old()
        assert self.sessions.end(session) == (session in self.model)
        self.model.pop(session, None)
        self.used.pop(session, None)

    @rule(seconds=st.sampled_from([1.0, TTL_S, TTL_S + 0.5]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def never_too_many(self):
        assert len(self.sessions) <= CAPACITY


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=30)


def test_the_session_longest_not_used_goes_first():
    sessions = GameSessions(2, 100.0)
    group = ("", "one")
    for session in ("a", "b", "a", "c"):
        sessions.keep(session, group, actions([1], 0))
    assert [sessions.last(session, group) is not None for session in "abc"] == [True, False, True]


def test_groups_that_are_never_seen_again_do_not_pile_up():
    sessions = GameSessions(2, 100.0)
    for number in range(MAX_GROUPS + 10):
        sessions.keep("a", (str(number), "one"), actions([1], number))
    kept = [sessions.last("a", (str(number), "one")) is not None for number in range(MAX_GROUPS + 10)]
    assert sum(kept) == MAX_GROUPS
    assert not any(kept[:10])
