"""Frame budgets: what is not ready in time is answered with last or neutral actions, said to be so, and still finishes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny_models
from conftest import sidecar_in_thread
from held_runs import held, until

from bridge import top
from bridge.__main__ import main
from bridge.client import Client, ClientError, Group
from bridge.client_npc import group_message
from bridge.v1 import npc_service_pb2 as pb

OK, INVALID, MASKED, LATE = (
    pb.AGENT_STATUS_OK,
    pb.AGENT_STATUS_INVALID_OBSERVATION,
    pb.AGENT_STATUS_ALL_ACTIONS_MASKED,
    pb.AGENT_STATUS_LATE,
)
MODEL, CACHE, FALLBACK = pb.SOURCE_MODEL, pb.SOURCE_CACHE, pb.SOURCE_FALLBACK
SOON, LONG = 5.0, 60_000.0
"""Milliseconds: what a held run never meets, and what any other run does."""
BLANK = tiny_models.BLANK


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A sidecar with a policy that remembers and two that do not."""
    models = tmp_path_factory.mktemp("budgets")
    tiny_models.write_diary(models)
    tiny_models.write_npc(models)
    tiny_models.write_npc(models, "merchant", 2)
    with sidecar_in_thread(models) as sidecar:
        yield sidecar


@pytest.fixture
def client(live):
    """A client of the module's sidecar."""
    with Client(f"127.0.0.1:{live.port}") as connected:
        yield connected


@pytest.fixture
def session(client, request):
    """A session of the test's own."""
    name = request.node.name[:100]
    yield name
    client.end_session(name)


def diary(agents, notes, starts=(), **settings):
    return Group("diary", agents, {"note": np.array(notes, np.float32)[:, None]}, episode_starts=starts, **settings)


def guards(agents, place=None, **settings):
    place = np.full((len(agents), 3), 0.25, np.float32) if place is None else place
    return Group(settings.pop("model", "guard"), list(agents), {"position": np.asarray(place, np.float32)}, **settings)


def one(client, group, session, budget=0.0):
    (answer,) = client.choose_actions([group], session=session, frame_budget_ms=budget)
    return answer


def notes(answer):
    return [[note for note in row if note != BLANK] for row in answer.actions["read"].tolist()]


def idle(live, session):
    """Return when no run of a session's groups is outstanding."""
    until(lambda: all(m.running is None for (name, _), m in live.sessions._groups.items() if name == session))


@pytest.mark.parametrize("budget", [0.0, LONG])
def test_what_is_ready_in_time_is_the_policys(client, session, budget):
    groups = [guards([1, 2], name="a"), diary([1], [7], [True], name="b"), guards([3], model="merchant", name="c")]
    for answer in client.choose_actions(groups, session=session, frame_budget_ms=budget):
        assert set(answer.statuses) == {OK}
        assert set(answer.sources) == {MODEL}
    assert notes(one(client, diary([1], [8], name="b"), session, budget)) == [[7, 8]]


def test_a_late_policy_gives_last_actions_and_neutral_ones_and_says_so(live, client, session):
    before = one(client, guards([1, 2]), session)
    with held(live, "guard"):
        answer = one(client, guards([2, 9, 1]), session, SOON)
    assert answer.statuses == [LATE] * 3
    assert answer.sources == [CACHE, FALLBACK, CACHE]
    assert answer.failures == {}
    for name in ("move", "act"):
        np.testing.assert_array_equal(answer.actions[name][[2, 0]], before.actions[name])
    assert answer.actions["move"][1].tolist() == [0.0, 0.5]
    assert answer.actions["act"][1].tolist() == [0, 0]


def test_without_a_session_a_late_policy_gives_neutral_actions(live, client):
    with held(live, "guard"):
        answer = one(client, guards([1, 2]), "", SOON)
    assert (answer.statuses, answer.sources) == ([LATE] * 2, [FALLBACK] * 2)


def test_a_late_answer_keeps_to_the_mask(live, client, session):
    before = one(client, guards([1, 2]), session)
    mask = np.ones((2, 5), bool)
    mask[0, before.actions["act"][0, 0]] = False
    with held(live, "guard"):
        answer = one(client, guards([1, 2], action_mask=mask), session, SOON)
    assert answer.sources == [FALLBACK, CACHE]
    assert mask[0, answer.actions["act"][0, 0]]


def test_agents_that_failed_are_told_why_in_a_late_answer_too(live, client, session):
    one(client, guards([1]), session)
    place = np.array([[np.nan, 0, 0], [0, 0, 0], [0, 0, 0]])
    mask = np.ones((3, 5), bool)
    mask[2, 3:] = False
    with held(live, "guard"):
        answer = one(client, guards([1, 2, 3], place, action_mask=mask), session, SOON)
    assert answer.statuses == [INVALID, LATE, MASKED]
    assert answer.sources == [CACHE, FALLBACK, FALLBACK]
    assert set(answer.failures) == {1, 3}


def test_what_came_late_is_the_last_action_of_the_next_tick(live, client, session):
    with held(live, "guard") as gate:
        assert one(client, guards([1, 2]), session, SOON).sources == [FALLBACK] * 2
        gate.wait()
        gate.let_go()
        idle(live, session)
        answer = one(client, guards([1, 2], np.zeros((2, 3))), session, SOON)
    assert answer.sources == [CACHE] * 2
    np.testing.assert_array_equal(answer.actions["move"], one(client, guards([1, 2]), "").actions["move"])


def test_a_memory_goes_on_from_what_came_late(live, client, session):
    one(client, diary([1, 2], [10, 20], [True, True]), session)
    with held(live, "diary") as gate:
        assert notes(one(client, diary([1, 2], [11, 21]), session, SOON)) == [[10], [20]]
        gate.wait()
    idle(live, session)
    answer = one(client, diary([1, 2], [12, 22]), session)
    assert notes(answer) == [[10, 11, 12], [20, 21, 22]]
    assert answer.statuses == [OK, OK]


def test_a_tick_waits_for_the_late_one_before_it_if_it_may(live, client, session):
    one(client, diary([1], [10], [True]), session)
    with held(live, "diary") as gate, ThreadPoolExecutor(1) as pool:
        one(client, diary([1], [11]), session, SOON)
        gate.wait()
        for budget, note in ((LONG, 12), (0.0, 13)):
            waiting = pool.submit(one, client, diary([1], [note]), session, budget)
            gate.let_go()
            gate.wait()
        gate.let_go()
        assert notes(waiting.result()) == [[10, 11, 12, 13]]


def test_a_tick_that_cannot_wait_for_the_late_one_is_dropped(live, client, session):
    one(client, diary([1, 2], [10, 20], [True, True]), session)
    with held(live, "diary") as gate:
        one(client, diary([1, 2], [11, 21]), session, SOON)
        gate.wait()
        for note in (12, 13, 14):
            answer = one(client, diary([1, 2], [note, note]), session, SOON)
            assert (answer.statuses, notes(answer)) == ([LATE] * 2, [[10], [20]])
        assert not gate.started.acquire(blocking=False)
    idle(live, session)
    assert notes(one(client, diary([1, 2], [15, 25]), session)) == [[10, 11, 15], [20, 21, 25]]


def test_an_episode_that_starts_in_a_dropped_tick_starts(live, client, session):
    one(client, diary([1, 2], [10, 20], [True, True]), session)
    with held(live, "diary") as gate:
        one(client, diary([1, 2], [11, 21]), session, SOON)
        gate.wait()
        answer = one(client, diary([1, 2], [12, 22], [True, False]), session, SOON)
        assert answer.sources == [FALLBACK, CACHE]
    idle(live, session)
    answer = one(client, diary([1, 2], [13, 23]), session)
    assert notes(answer) == [[13], [20, 21, 23]]
    assert answer.statuses == [OK, OK]


def test_an_episode_that_starts_in_a_late_tick_has_its_first_step(live, client, session):
    one(client, diary([1], [10], [True]), session)
    with held(live, "diary") as gate:
        assert one(client, diary([1], [11], [True]), session, SOON).sources == [FALLBACK]
        gate.wait()
    idle(live, session)
    assert notes(one(client, diary([1], [12]), session)) == [[11, 12]]


def test_a_memory_that_is_lost_in_a_late_tick_is_said_to_be_lost_in_the_next_answer(live, client, session):
    one(client, diary([2], [20], [True]), session)
    with held(live, "diary") as gate:
        assert one(client, diary([1, 2], [11, 21]), session, SOON).statuses == [LATE, LATE]
        gate.wait()
    idle(live, session)
    answer = one(client, diary([1, 2], [12, 22]), session)
    assert (answer.statuses, notes(answer)) == ([pb.AGENT_STATUS_STATE_LOST, OK], [[11, 12], [20, 21, 22]])
    assert one(client, diary([1, 2], [13, 23]), session).statuses == [OK, OK]


def test_what_comes_late_for_a_session_that_has_ended_is_lost(live, client, session):
    one(client, diary([1], [10], [True]), session)
    with held(live, "diary") as gate:
        one(client, diary([1], [11]), session, SOON)
        gate.wait()
        (memory,) = (m for (name, _), m in live.sessions._groups.items() if name == session)
        assert client.end_session(session)
    until(lambda: memory.running is None)
    answer = one(client, diary([1], [12]), session)
    assert (answer.statuses, notes(answer)) == ([pb.AGENT_STATUS_STATE_LOST], [[12]])
    assert not answer.session_restarted


@pytest.mark.parametrize(("call", "own"), [(1000.0, 0.0), (LONG, SOON), (0.0, SOON)])
def test_a_slow_policy_holds_no_fast_one(live, client, session, call, own):
    groups = [diary([1], [10], [True], name="slow", frame_budget_ms=own), guards([1, 2], name="fast"), guards([3], name="too")]
    with held(live, "diary"):
        slow, *fast = client.choose_actions(groups, session=session, frame_budget_ms=call)
    assert (slow.statuses, slow.sources) == ([LATE], [FALLBACK])
    assert [answer.sources for answer in fast] == [[MODEL] * 2, [MODEL]]
    idle(live, session)


def test_a_group_without_a_budget_is_waited_for_and_one_with_a_budget_is_not(live, client, session):
    groups = [guards([1], name="bound", frame_budget_ms=SOON), diary([1], [10], [True], name="patient")]
    with held(live, "guard"), held(live, "diary") as gate, ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.choose_actions, groups, session=session)
        gate.wait()
        gate.let_go()
        bound, patient = call.result()
    assert (bound.statuses, patient.statuses) == ([LATE], [OK])
    idle(live, session)


def test_a_full_queue_is_late_at_once_where_there_is_a_budget(tmp_path):
    tiny_models.write_npc(tmp_path)
    with (
        sidecar_in_thread(tmp_path, queue_capacity=1) as sidecar,
        Client(f"127.0.0.1:{sidecar.port}") as client,
        ThreadPoolExecutor(2) as pool,
        held(sidecar, "guard") as gate,
    ):
        calls = [pool.submit(one, client, guards([1]), "")]
        gate.wait()
        calls.append(pool.submit(one, client, guards([1]), ""))
        until(lambda: sidecar.registry.served["guard", 1].batchers["policy"].depth == 1)
        assert one(client, guards([1]), "game", LONG).statuses == [LATE]
        with pytest.raises(ClientError, match="wait for this model already"):
            one(client, guards([1]), "game")
        gate.let_go(2)
        assert [call.result().statuses for call in calls] == [[OK], [OK]]


def test_a_call_that_fails_leaves_all_its_groups_as_they_were(live, client, session):
    one(client, diary([1], [10], [True]), session)
    with held(live, "guard") as gate:
        request = pb.ChooseActionsRequest(session_id=session, frame_budget_ms=LONG)
        request.groups.extend([group_message(diary([1], [11])), group_message(guards([1], name="slow"))])
        call = client._npcs.ChooseActions.future(request)
        gate.wait()
        call.cancel()
        idle(live, session)
    assert notes(one(client, diary([1], [12]), session)) == [[10, 12]]


@pytest.mark.parametrize("budget", [0.0, LONG])
def test_ticks_of_a_group_that_overlap_step_its_memory_one_after_another(live, client, session, budget):
    one(client, diary([1], [0], [True]), session)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda note: notes(one(client, diary([1], [note]), session, budget))[0], range(1, 7)))
    longest = max(answers, key=len)
    assert sorted(longest) == list(range(7))
    assert sorted(map(len, answers)) == list(range(2, 8))
    assert all(answer == longest[: len(answer)] for answer in answers)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, -np.inf])
def test_a_budget_is_a_number_of_milliseconds(client, value):
    for group, call, field in ((value, 0.0, "groups[0].frame_budget_ms"), (0.0, value, "frame_budget_ms")):
        with pytest.raises(ClientError, match="expected milliseconds") as caught:
            client.choose_actions([guards([1], frame_budget_ms=group)], frame_budget_ms=call)
        assert (caught.value.code.name, caught.value.field) == ("INVALID_ARGUMENT", field)


def test_answers_are_counted_by_their_source_and_top_shows_them(live, client, session, capsys):
    def count():
        now = top.fetch(f"http://127.0.0.1:{live.web_port}", "", 30)
        return [now.value("metabridge_agents_answered_total", model="guard", source=s) for s in ("model", "cache", "fallback")]

    before = count()
    one(client, guards([1, 2]), session)
    one(client, guards([1, 9], np.full((2, 3), np.nan)), session)
    with held(live, "guard"):
        one(client, guards([1, 2, 3, 4]), session, SOON)
    assert np.subtract(count(), before).tolist() == [2, 3, 3]
    idle(live, session)
    assert main(["top", "--once", "--web", f"http://127.0.0.1:{live.web_port}"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("agents by the source"))
    assert [part.split()[0] for part in line.split(": ")[1].split(", ")] == ["model", "cache", "fallback"]


def test_sixteen_thousand_late_agents_are_answered(live, client, session):
    one(client, guards(range(8_000)), session)
    with held(live, "guard"):
        answer = one(client, guards(range(16_384)), session, SOON)
    assert answer.sources == [CACHE] * 8_000 + [FALLBACK] * 8_384
    idle(live, session)
