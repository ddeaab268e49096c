"""Recurrent state by agent: against a plain dictionary, whatever agents come, go, fail and begin anew."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.agent_states import MAX_AGENTS, recall, remember
from bridge.npc_card import StateSpec

SPECS = [StateSpec(name="memory", output="next_memory", shape=[2], initial=3.0)]
CALLS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=5, unique_by=lambda agent: agent[0]
    ),
    max_size=12,
)


@given(CALLS)
def test_each_agent_gets_what_it_left_and_nobody_elses(calls):
    kept, model, value = None, {}, 0.0
    for call in calls:
        agents, starts, fails = ([part[i] for part in call] for i in range(3))
        states, lost = recall(kept, agents, starts, SPECS)
        for row, agent in enumerate(agents):
            known = agent in model and not starts[row]
            assert states["memory"][row].tolist() == [model[agent] if known else 3.0] * 2
            assert bool(lost[row]) == (agent not in model and not starts[row])
        value += 1.0
        after = np.where(np.array(fails)[:, None], states["memory"], np.float32(value) + np.arange(len(agents))[:, None] / 8)
        usable = ~(np.array(fails) & lost)
        for row, agent in enumerate(agents):
            if usable[row]:
                model[agent] = float(after[row, 0])
        kept = remember(kept, agents, {"memory": after}, usable)
        assert set(kept.agents) == set(model)


def test_a_start_flag_is_no_duty_of_agents_that_go_on():
    kept = remember(None, [1, 2], {"memory": np.array([[1, 1], [2, 2]], np.float32)}, np.ones(2, bool))
    states, lost = recall(kept, [2, 1], [], SPECS)
    assert states["memory"].tolist() == [[2, 2], [1, 1]]
    assert not lost.any()


def test_agents_longest_not_seen_are_forgotten_first():
    kept = None
    for agents in ([0, 1], list(range(10, 10 + MAX_AGENTS - 1)), [7]):
        states = {"memory": np.full((len(agents), 2), agents[0], np.float32)}
        kept = remember(kept, agents, states, np.ones(len(agents), bool))
        assert len(kept.agents) <= MAX_AGENTS
        assert len(kept.arrays["memory"]) == len(kept.agents)
    _, lost = recall(kept, [0, 1, 10, 7], [], SPECS)
    assert lost.tolist() == [True, True, False, False]
