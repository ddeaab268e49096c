"""No order of calls gives an agent another's memory: every answer is the one that a plain model of the rules foretells.

The policy reads out its memory: the notes of the agent's episode, each a number that was never written before. An answer with
a note that is not its agent's own, or with one too few, is seen at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import tiny_models
from conftest import sidecar_in_thread
from held_runs import HeldRuns, held, until
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from kept_rules import BLANK, NEUTRAL, Asked, Kept, Memory, Pages

from bridge import tensors
from bridge.client import Client
from bridge.config import Limits
from bridge.server import Sidecar
from bridge.v1 import npc_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

OK, INVALID, LOST, LATE = (
    pb.AGENT_STATUS_OK,
    pb.AGENT_STATUS_INVALID_OBSERVATION,
    pb.AGENT_STATUS_STATE_LOST,
    pb.AGENT_STATUS_LATE,
)
MODEL, CACHE, FALLBACK = pb.SOURCE_MODEL, pb.SOURCE_CACHE, pb.SOURCE_FALLBACK
SESSIONS, GROUPS, MODELS = ["a", "b", "c"], ["day", "night"], ["diary", "memoir"]
AGENTS = [1, 2, 3, 4]
KEPT_SESSIONS, KEPT_AGENTS, TTL_S = 2, 8, 10_000.0
SOON, LONG = 1.0, 60_000.0
numbers, clocks = itertools.count(1), itertools.count(1)


@dataclass
class Pending:
    """A run that was late and is held: what it will write where, as which call."""

    asked: Asked
    memory: Memory
    stamp: int
    pages: dict[int, Pages]
    lost: set[int]
    gate: HeldRuns
    kept: Any


ASKED = st.builds(
    lambda agents, starts, bad, **where: Asked(
        notes={agent: float(next(numbers)) for agent in agents}, starts=starts & set(agents), bad=bad & set(agents), **where
    ),
    session=st.sampled_from(["a", *SESSIONS]),  # the same ones again and again: it takes several calls to go wrong
    group=st.sampled_from(["day", "day", *GROUPS]),
    model=st.sampled_from(["diary", "diary", *MODELS]),
    agents=st.lists(st.sampled_from(AGENTS), unique=True, min_size=1),
    starts=st.sets(st.sampled_from(AGENTS)),
    bad=st.sets(st.sampled_from(AGENTS), max_size=1),
)
FEW = st.sets(st.sampled_from(AGENTS), max_size=1)
KEEPERS = st.sampled_from(["none", "right", "right", "wrong"])


class Histories(RuleBasedStateMachine):
    """Plays games against a real sidecar; `live`, `client` and `admin` are the class's."""

    live: Sidecar
    client: Client
    admin: Client
    models: Any

    @initialize()
    def start(self):
        for name in list(self.live.sessions._sessions):
            self.client.end_session(name)
        digest_of = lambda model: self.live.registry.served[model, 1].digest  # noqa: E731
        self.kept = Kept(KEPT_SESSIONS, KEPT_AGENTS, TTL_S, digest_of, next(clocks) * 1e9)
        self.live.sessions.clock = lambda: self.kept.now_s
        self.brought: dict[tuple[str, str, int], Pages] = {}
        self.stamp = 0
        self.pending: Pending | None = None
        self.recent: Asked | None = None

    def teardown(self):
        if getattr(self, "pending", None):
            self.let_go()

    def message(self, asked: Asked, budget=0.0, keeper=0, states: dict[int, Pages] | None = None) -> pb.ChooseActionsRequest:
        agents = list(asked.notes)
        notes = np.array([[np.nan if a in asked.bad else asked.notes[a]] for a in agents], np.float32)
        group = pb.PolicyGroup(
            name=asked.group,
            model=ModelSelector(name=asked.model),
            agent_ids=agents,
            observations=tensors.from_arrays({"note": notes}),
            episode_starts=[a in asked.starts for a in agents],
        )
        if states is not None:
            rows = np.array([states.get(a, NEUTRAL) for a in agents], np.float32)
            group.states.extend(tensors.from_arrays({"pages": rows}))
        return pb.ChooseActionsRequest(session_id=asked.session, groups=[group], frame_budget_ms=budget, keeper=keeper)

    def send(self, request: pb.ChooseActionsRequest) -> pb.ChooseActionsResponse:
        return self.client._npcs.ChooseActions(request, timeout=60)

    def check(self, answer: pb.ChooseActionsResponse, expected: dict[int, tuple[int, int, Pages]]):
        (group,) = answer.groups
        (read,) = group.actions
        rows = tensors.to_array(read.tensor, "read").tolist()
        assert list(zip(group.statuses, group.sources, rows, strict=True)) == list(expected.values())
        named = {a for a, (status, _, _) in expected.items() if status not in (OK, LATE)}
        assert {failure.agent_id for failure in group.failures} == named

    def is_busy(self, asked: Asked) -> bool:
        return self.pending is not None and self.kept.groups.get(asked.key) is self.pending.memory

    def group_memory(self, asked: Asked):
        return self.live.sessions._groups[asked.session, (asked.group, asked.model)]

    @rule(asked=ASKED, budget=st.sampled_from([0.0, LONG]), keeper=KEEPERS)
    def tick(self, asked, budget, keeper):
        """A call is answered by the policy."""
        self.play(asked, budget, keeper)

    def play(self, asked: Asked, budget: float, keeper: str):
        self.recent = asked
        given = {"none": 0, "right": self.live.sessions.keeper, "wrong": 1}[keeper]
        self.kept.forget_old()
        if self.is_busy(asked):
            self.let_go()
        if keeper == "wrong":
            self.kept.forget(asked.session)
        restarted = keeper != "none" and asked.session not in self.kept.used
        memory = self.kept.open(asked)
        self.stamp += 1
        pages = self.kept.step(asked, memory)
        expected, lost = {}, self.kept.lost(asked, memory)
        for agent in asked.notes:
            if agent in asked.bad:
                expected[agent] = (INVALID, *self.kept.instead(asked, memory, agent))
            else:
                expected[agent] = (LOST if agent in lost else OK, MODEL, pages[agent])
        answer = self.send(self.message(asked, budget, given))
        self.check(answer, expected)
        assert (answer.keeper, answer.session_restarted) == (self.live.sessions.keeper, restarted)
        self.kept.keep(asked, memory, self.stamp, pages)

    @precondition(lambda self: self.recent is not None)
    @rule(starts=FEW, bad=FEW, others=st.booleans())
    def tick_again(self, starts, bad, others):
        """The agents of the group of a call before are there again, or those who were not."""
        before = self.recent
        agents = set(AGENTS) - set(before.notes) if others else set(before.notes)
        if not agents:
            return
        notes = {agent: float(next(numbers)) for agent in sorted(agents)}
        self.play(replace(before, notes=notes, starts=starts & set(notes), bad=bad & set(notes)), 0.0, "right")

    def late(self, asked: Asked, memory: Memory) -> dict[int, tuple[int, int, Pages]]:
        return {
            agent: (INVALID if agent in asked.bad else LATE, *self.kept.instead(asked, memory, agent)) for agent in asked.notes
        }

    @precondition(lambda self: self.pending is None)
    @rule(asked=ASKED)
    def be_late(self, asked):
        """A call is answered without the policy, whose run is held."""
        memory = self.kept.open(asked)
        self.stamp += 1
        pages, lost, expected = self.kept.step(asked, memory), self.kept.lost(asked, memory), self.late(asked, memory)
        with held(self.live, asked.model, stay=True) as gate:
            self.check(self.send(self.message(asked, SOON)), expected)
            gate.wait()
        self.recent = asked
        self.pending = Pending(asked, memory, self.stamp, pages, lost, gate, self.group_memory(asked))
        self.kept.not_chosen(asked, memory, self.stamp, set(asked.notes))

    @precondition(lambda self: self.pending is not None)
    @rule(starts=st.sets(st.sampled_from(AGENTS)), bad=FEW)
    def be_dropped(self, starts, bad):
        """A call for a group whose run is held waits in vain."""
        before = self.pending.asked
        self.kept.forget_old()
        if not self.is_busy(before) or self.live.registry.served[before.model, 1].digest != self.pending.memory.digest:
            return
        agents = list(before.notes)
        notes = {agent: float(next(numbers)) for agent in agents}
        asked = Asked(before.session, before.group, before.model, notes, starts & set(agents), bad & set(agents))
        memory = self.kept.open(asked)
        self.stamp += 1
        self.check(self.send(self.message(asked, SOON)), self.late(asked, memory))
        self.kept.not_chosen(asked, memory, self.stamp, set(asked.notes))

    @precondition(lambda self: self.pending is not None)
    @rule()
    def let_go(self):
        """A held run ends."""
        late, self.pending = self.pending, None
        late.gate.let_go()
        until(lambda: late.kept.running is None)
        self.kept.keep(late.asked, late.memory, late.stamp, late.pages, frozenset(late.lost))

    @precondition(lambda self: self.pending is None)
    @rule(asked=ASKED, starts=st.sets(st.sampled_from(AGENTS)), bad=FEW)
    def blink(self, asked, starts, bad):
        """A call is late and the next one dropped before its run ends; then the agents are there again."""
        self.be_late(asked)
        self.be_dropped(starts, bad)
        self.let_go()
        self.tick_again(set(), set(), others=False)

    @precondition(lambda self: self.pending is None)
    @rule(asked=ASKED, budget=st.sampled_from([0.0, LONG]))
    def cancel(self, asked, budget):
        """A call that is cancelled while its policy runs has changed nothing."""
        self.kept.open(asked)
        with held(self.live, asked.model) as gate:
            call = self.client._npcs.ChooseActions.future(self.message(asked, budget), timeout=60)
            gate.wait()
            kept = self.group_memory(asked)
            assert call.cancel()
            until(lambda: kept.running is None)

    @rule(asked=ASKED)
    def tick_without_a_session(self, asked):
        """A call brings its agents' memories and takes them back."""
        asked.session = ""
        mine = {agent: self.brought.get((asked.group, asked.model, agent)) for agent in asked.notes}
        asked.starts |= {agent for agent, pages in mine.items() if pages is None}
        states = None if asked.starts == set(asked.notes) else {a: pages for a, pages in mine.items() if pages is not None}
        answer = self.send(self.message(asked, states=states))
        before = {agent: BLANK if agent in asked.starts else pages for agent, pages in mine.items()}
        after = {a: pages if a in asked.bad else [*pages[1:], asked.notes[a]] for a, pages in before.items()}
        self.check(answer, {a: (INVALID, FALLBACK, NEUTRAL) if a in asked.bad else (OK, MODEL, after[a]) for a in asked.notes})
        (states_after,) = answer.groups[0].states
        assert tensors.to_array(states_after.tensor, "pages").tolist() == list(after.values())
        assert (answer.keeper, answer.session_restarted) == (0, False)
        self.brought |= {(asked.group, asked.model, agent): pages for agent, pages in after.items()}

    # What happens to sessions and policies.

    @rule(session=st.sampled_from(SESSIONS))
    def end(self, session):
        self.kept.forget_old()
        anything = any(kept.rows for key, kept in self.kept.groups.items() if key[0] == session)
        assert self.client.end_session(session) == anything
        self.kept.forget(session)

    @rule(seconds=st.sampled_from([TTL_S / 2, TTL_S / 2 + 1, TTL_S, TTL_S + 1]))
    def wait(self, seconds):
        self.kept.now_s += seconds

    @rule()
    def sweep(self):
        for _ in self.live.sessions.sweep():
            pass
        self.kept.forget_old()
        for memory in self.kept.groups.values():
            memory.rows = {agent: row for agent, row in memory.rows.items() if row.seen_s >= self.kept.now_s - TTL_S}

    @rule(model=st.sampled_from(MODELS))
    def replace_files(self, model):
        """Other files of a version come, or those of before."""
        card = self.models / model / "1" / "card.json"
        before, other = ('"seed": 0', '"seed": 2')
        text = card.read_text()
        card.write_text(text.replace(before, other) if before in text else text.replace(other, before))
        digest = self.live.registry.served[model, 1].digest
        self.admin.load_model(model, 1)
        assert self.live.registry.served[model, 1].digest != digest


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("steps", [30])
def test_every_answer_is_the_one_that_the_rules_foretell(tmp_path, steps):
    for model in MODELS:
        tiny_models.write_diary(tmp_path / "models", model)
    token = tmp_path / "token"
    token.write_text("histories-admin-token")
    limits = Limits(max_sessions=KEPT_SESSIONS, kept_agents=KEPT_AGENTS, session_seconds=TTL_S)
    options = {"limits": limits, "admin_token_file": token, "watch_seconds": 0.0, "instances": 4}
    with sidecar_in_thread(tmp_path / "models", **options) as live:
        address = f"127.0.0.1:{live.port}"
        with Client(address) as client, Client(address, token=token.read_text()) as admin:
            machine = type(
                "Live", (Histories,), {"live": live, "client": client, "admin": admin, "models": tmp_path / "models"}
            )
            run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=steps))
