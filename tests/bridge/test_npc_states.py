"""Recurrent state with and without a session, in storms and after a restart: kept or brought, bounded, never silently lost."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from conftest import run_sidecar, sidecar_in_thread

from bridge.client import Client, ClientError, Group
from bridge.client_npc import group_message
from bridge.config import Limits
from bridge.v1 import npc_service_pb2 as pb

OK, INVALID, LOST = pb.AGENT_STATUS_OK, pb.AGENT_STATUS_INVALID_OBSERVATION, pb.AGENT_STATUS_STATE_LOST
MODEL, CACHE, FALLBACK = pb.SOURCE_MODEL, pb.SOURCE_CACHE, pb.SOURCE_FALLBACK
BLANK, PAGES = tiny_models.BLANK, tiny_models.PAGES


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A sidecar with a policy that remembers and one that does not, and room for few agents."""
    models = tmp_path_factory.mktemp("states")
    tiny_models.write_diary(models)
    tiny_models.write_npc(models)
    with sidecar_in_thread(models, limits=Limits(kept_agents=2_000, kept_mib=1, max_sessions=64)) as sidecar:
        yield sidecar


@pytest.fixture
def client(live):
    """A client of the module's sidecar."""
    with Client(f"127.0.0.1:{live.port}") as connected:
        yield connected


def diary(agents, notes, starts=(), states=None, **settings):
    notes = np.broadcast_to(np.array(notes, np.float32), len(agents))[:, None]
    states = {} if states is None else {"pages": np.asarray(states, np.float32)}
    return Group("diary", list(agents), {"note": notes}, episode_starts=starts, states=states, **settings)


def one(client, group, session=""):
    (answer,) = client.choose_actions([group], session=session)
    return answer


def pages(*notes):
    return [BLANK] * (PAGES - len(notes)) + list(notes)


def refused(client, group, field, text, session=""):
    with pytest.raises(ClientError, match=text) as caught:
        one(client, group, session)
    assert (caught.value.code.name, caught.value.field) == ("INVALID_ARGUMENT", field)


def test_without_a_session_the_state_comes_back_and_goes_on_where_it_is_brought(live, client):
    first = one(client, diary([1, 2], [10, 20], [True, True]))
    assert first.states["pages"].tolist() == [pages(10), pages(20)]
    second = one(client, diary([2, 1], [21, 11], states=first.states["pages"][::-1]))
    assert second.actions["read"].tolist() == second.states["pages"].tolist() == [pages(20, 21), pages(10, 11)]
    assert second.statuses == [OK, OK]
    started = one(client, diary([2, 1], [22, 12], [False, True], second.states["pages"]))
    assert started.states["pages"].tolist() == [pages(20, 21, 22), pages(12)]
    assert len(live.sessions) == 0


def test_an_agent_that_fails_takes_back_the_state_that_it_brought(client):
    first = one(client, diary([1, 2], [10, 20], [True, True]))
    answer = one(client, diary([1, 2], [np.nan, 21], states=first.states["pages"]))
    assert (answer.statuses, answer.sources) == ([INVALID, OK], [FALLBACK, MODEL])
    assert answer.states["pages"].tolist() == [pages(10), pages(20, 21)]


def test_a_state_that_is_no_number_fails_its_agent_which_begins_anew(client):
    brought = np.array([pages(10), pages(20)])
    brought[0, 3] = np.inf
    answer = one(client, diary([1, 2], [11, 21], states=brought))
    assert answer.statuses == [INVALID, OK]
    assert answer.failures == {1: 'agent 1: state "pages" holds NaN or an infinity, expected the state of the last answer'}
    assert answer.states["pages"].tolist() == [pages(), pages(20, 21)]


def test_the_state_of_an_episode_that_starts_is_not_looked_at(client):
    brought = np.full((2, PAGES), np.nan)
    assert one(client, diary([1, 2], [1, 2], [True, True], brought)).states["pages"].tolist() == [pages(1), pages(2)]


def test_states_that_do_not_fit_are_refused_by_their_path(client):
    good = np.zeros((2, PAGES))
    refused(client, diary([1, 2], [1, 2], [True, False]), "session_id", "episode of agent 2 does not start .* bring groups")
    refused(client, diary([1, 2], [1, 2], states=good[:1]), "groups[0].states[0].tensor.shape", r"\[1, 8\], expected \[2, 8\]")
    refused(client, diary([1, 2], [1, 2], states=good), "groups[0].states", 'session "game" keeps the states', "game")
    wrong = Group("diary", [1], {"note": np.zeros((1, 1), np.float32)}, states={"next_pages": np.zeros((1, 8), np.float32)})
    refused(client, wrong, "groups[0].states[0].name", '"next_pages" is unknown')
    plain = Group("guard", [1], {"position": np.zeros((1, 3), np.float32)}, states={"pages": np.zeros((1, 8), np.float32)})
    refused(client, plain, "groups[0].states", '"guard" has no memory')


def test_a_session_sends_no_states(client):
    assert one(client, diary([1], [1], [True]), "quiet").states == {}
    client.end_session("quiet")


def test_ten_thousand_new_sessions_stay_within_their_memory_and_the_last_one_is_served(live, client):
    group = group_message(diary([1, 2], [3, 4], [True, True]))
    for start in range(0, 10_000, 50):
        requests = [pb.ChooseActionsRequest(session_id=f"session {start + i}", groups=[group]) for i in range(50)]
        for call in [client._npcs.ChooseActions.future(request, timeout=60) for request in requests]:
            assert list(call.result().groups[0].statuses) == [OK, OK]
    assert len(live.sessions) <= 64
    assert live.sessions.bytes <= 1 << 20
    answer = one(client, diary([1, 2], [5, 6]), "session 9999")
    assert answer.actions["read"].tolist() == [pages(3, 5), pages(4, 6)]
    assert one(client, diary([1, 2], [5, 6]), "session 0").statuses == [LOST, LOST]


def test_a_storm_of_starts_begins_every_episode_anew(live, client):
    agents = range(1_000)
    for note in range(20):
        answer = one(client, diary(agents, note, [True] * 1_000), "storm")
        assert set(answer.statuses) == {OK}
        assert answer.actions["read"].tolist() == [pages(note)] * 1_000
    assert live.sessions.bytes <= 1 << 20
    client.end_session("storm")


def test_agents_that_vanish_are_forgotten_longest_not_seen_first_and_told_so_when_they_come_back(live, client):
    for start in range(0, 20_000, 500):
        one(client, diary(range(start, start + 500), start, [True] * 500), "crowd")
        assert live.sessions.agents <= 2_000
        assert live.sessions.bytes <= 1 << 20
    answer = one(client, diary([19_999, 3], [1, 1]), "crowd")
    assert answer.statuses == [OK, LOST]
    assert list(answer.failures) == [3]
    assert "nothing is kept of the agent's episode" in answer.failures[3]
    client.end_session("crowd")


def test_bad_agents_in_a_storm_are_named_and_disturb_nobody(client):
    agents, notes = range(1_000), np.arange(1_000, dtype=np.float32)
    notes[::100] = np.nan
    answer = one(client, diary(agents, notes, [True] * 1_000), "bad")
    assert sorted(answer.failures) == list(range(0, 1_000, 100))
    assert [status == OK for status in answer.statuses] == np.isfinite(notes).tolist()
    again = one(client, diary(agents, 7), "bad")
    assert again.actions["read"].tolist() == [pages(7) if np.isnan(note) else pages(note, 7) for note in notes.tolist()]
    assert set(again.statuses) == {OK}
    client.end_session("bad")


def test_a_client_is_told_when_another_process_answers(tmp_path):
    tiny_models.write_diary(tmp_path)
    with Client("127.0.0.1:1") as nobody, run_sidecar(tmp_path) as first, run_sidecar(tmp_path) as second:
        clients = [Client(sidecar.address) for sidecar in (first, second)]
        keepers = clients[0]._keepers = clients[1]._keepers = nobody._keepers  # one game, which reaches now this one, now that
        assert not one(clients[0], diary([1], [10], [True]), "game").session_restarted
        moved = one(clients[1], diary([1], [11]), "game")
        assert (moved.session_restarted, moved.statuses) == (True, [LOST])
        assert not one(clients[1], diary([1], [12]), "game").session_restarted
        back = one(clients[0], diary([1], [13]), "game")
        assert (back.session_restarted, back.statuses) == (True, [LOST])
        assert back.actions["read"].tolist() == [pages(13)]
        for connected in clients:
            connected.close()
        assert set(keepers) == {"game"}
