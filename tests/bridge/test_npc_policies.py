"""Policies of every kind of observation, with memory: what a session keeps of an agent is that agent's, episode by episode."""

from __future__ import annotations

import time

import numpy as np
import pytest
import tiny_models
from conftest import sidecar_in_thread

from bridge.client import Client, ClientError, Group
from bridge.client_npc import group_message
from bridge.v1 import npc_service_pb2 as pb
from bridge.v1 import tensor_pb2

OK, INVALID, MASKED, LOST = (
    pb.AGENT_STATUS_OK,
    pb.AGENT_STATUS_INVALID_OBSERVATION,
    pb.AGENT_STATUS_ALL_ACTIONS_MASKED,
    pb.AGENT_STATUS_STATE_LOST,
)
MODEL, CACHE, FALLBACK = pb.SOURCE_MODEL, pb.SOURCE_CACHE, pb.SOURCE_FALLBACK


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A sidecar with a recurrent policy and one without memory."""
    models = tmp_path_factory.mktemp("policies")
    tiny_models.write_scout(models)
    tiny_models.write_scout(models, "spy")
    tiny_models.write_npc(models)
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


def scouts(agents, bytes_, doors=None, starts=(), **settings):
    """Scouts that see one byte each in all of their picture."""
    picture = np.broadcast_to(np.array(bytes_, np.uint8)[:, None, None, None], (len(agents), 2, 2, 3))
    doors = np.zeros(len(agents), np.int64) if doors is None else np.array(doors, np.int64)
    model = settings.pop("model", "scout")
    return Group(model, agents, {"picture": np.ascontiguousarray(picture), "door": doors}, episode_starts=starts, **settings)


def turn(client, group, session, **keys):
    (answer,) = client.choose_actions([group], session=session, **keys)
    return answer, answer.actions["turn"][:, 0].tolist()


def test_memory_goes_on_from_tick_to_tick_and_starts_anew_with_an_episode(client, session):
    _, first = turn(client, scouts([1, 2], [10, 20], starts=[True, True]), session)
    assert first == [12.0, 22.0]
    answer, second = turn(client, scouts([1, 2], [1, 2]), session)
    assert second == [7.0, 13.0]
    assert (answer.statuses, answer.sources) == ([OK, OK], [MODEL, MODEL])
    _, third = turn(client, scouts([1, 2], [0, 0], starts=[False, True]), session)
    assert third == [3.5, 2.0]


def test_memory_follows_the_agent_wherever_it_stands_in_the_group(client, session):
    turn(client, scouts([1, 2, 3], [10, 20, 30], starts=[True] * 3), session)
    answer, values = turn(client, scouts([3, 9, 1], [0, 0, 0], starts=[False, True, False]), session)
    assert values == [16.0, 2.0, 6.0]
    assert answer.statuses == [OK] * 3


def test_an_agent_that_is_away_for_a_tick_goes_on_where_it_was(client, session):
    turn(client, scouts([1, 2], [10, 20], starts=[True, True]), session)
    turn(client, scouts([1], [0]), session)
    answer, values = turn(client, scouts([2, 1], [0, 0]), session)
    assert values == [11.0, 3.0]
    assert answer.statuses == [OK, OK]


def test_an_agent_of_which_nothing_is_kept_is_told_so_and_acts_as_at_a_start(client, session):
    turn(client, scouts([1], [10], starts=[True]), session)
    answer, values = turn(client, scouts([1, 2], [0, 0]), session)
    assert (values, answer.statuses, answer.sources) == ([6.0, 2.0], [OK, LOST], [MODEL, MODEL])
    assert "agent 2: nothing is kept" in answer.failures[2]
    again, values = turn(client, scouts([1, 2], [0, 0]), session)
    assert (values, again.statuses) == ([3.0, 1.0], [OK, OK])
    client.end_session(session)
    over, values = turn(client, scouts([1, 2], [0, 0], starts=[False, True]), session)
    assert (values, over.statuses) == ([2.0, 2.0], [LOST, OK])


@pytest.mark.parametrize("other", [{"name": "night"}, {"model": "spy"}])
def test_no_group_and_no_policy_gets_anothers_memory(client, session, other):
    turn(client, scouts([1], [100], starts=[True]), session)
    answer, values = turn(client, scouts([1], [0], **other), session)
    assert (values, answer.statuses) == ([2.0], [LOST])


def test_other_files_of_a_version_do_not_get_what_is_kept_of_the_old_ones(tmp_path):
    bundle = tiny_models.write_scout(tmp_path)
    with sidecar_in_thread(tmp_path, watch_seconds=0.1) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        assert turn(client, scouts([1], [8], starts=[True]), "play")[1] == [10.0]
        before = sidecar.registry.served["scout", 1].digest
        card = bundle / "card.json"
        card.write_text(card.read_text().replace('"seed": 0', '"seed": 2'))
        for _ in range(300):
            if sidecar.registry.served["scout", 1].digest != before:
                break
            time.sleep(0.1)
        answer, turns = turn(client, scouts([1], [8]), "play")
        assert (list(answer.statuses), turns) == ([LOST], [10.0])


def test_no_session_gets_anothers_memory(client, session):
    turn(client, scouts([1], [100], starts=[True]), session)
    _, values = turn(client, scouts([1], [0]), session + "'")
    assert values == [2.0]
    client.end_session(session + "'")


def test_without_a_session_every_episode_starts_with_its_call(client):
    _, values = turn(client, scouts([1, 2], [10, 20], starts=[True, True]), "")
    assert values == [12.0, 22.0]
    with pytest.raises(ClientError, match=r"episode of agent 2 does not start .* name the session") as caught:
        turn(client, scouts([1, 2], [10, 20], starts=[True, False]), "")
    assert (caught.value.code.name, caught.value.field) == ("INVALID_ARGUMENT", "session_id")


def test_an_agent_that_fails_keeps_the_memory_it_had(client, session):
    turn(client, scouts([1, 2], [10, 20], starts=[True, True]), session)
    answer, values = turn(client, scouts([1, 2], [50, 0], doors=[9, 0]), session)
    assert (answer.statuses, answer.sources) == ([INVALID, OK], [CACHE, MODEL])
    assert values == [12.0, 11.0]
    assert turn(client, scouts([1, 2], [0, 0]), session)[1] == [6.0, 5.5]


def test_an_agent_that_fails_in_its_first_call_has_begun_nothing_unless_it_says_so(client, session):
    doors = [9, 9]
    answer, _ = turn(client, scouts([1, 2], [50, 50], doors=doors, starts=[True, False]), session)
    assert answer.statuses == [INVALID, INVALID]
    answer, values = turn(client, scouts([1, 2], [0, 0]), session)
    assert (answer.statuses, values) == ([OK, LOST], [2.0, 2.0])


@pytest.mark.parametrize("door", [-1, 4, 2**62])
def test_a_category_that_does_not_exist_fails_its_agent_by_name(client, door):
    asked = group_message(scouts([7, 8], [1, 2], doors=[3, door], starts=[True, True], name="scouts"))
    answer = client._call(client._npcs.ChooseActions, pb.ChooseActionsRequest(groups=[asked])).groups[0]
    assert list(answer.statuses) == [OK, INVALID]
    (failure,) = answer.failures
    assert failure.agent_id == 8
    assert failure.field == "groups[0].observations[1].tensor"
    assert f'agent 8: observation "door", element 0 ("door") is {door}' in failure.message


def test_observations_of_another_type_or_shape_are_refused_by_their_path(client):
    good = scouts([1], [0], starts=[True])
    for name, array, field in (
        ("picture", np.zeros((1, 2, 2, 3), np.float32), "groups[0].observations[0].tensor.dtype"),
        ("picture", np.zeros((1, 3, 2, 2), np.uint8), "groups[0].observations[0].tensor.shape"),
        ("door", np.zeros((1, 1), np.int64), "groups[0].observations[1].tensor.shape"),
        ("memory", np.zeros((1, 2), np.float32), "groups[0].observations[2].name"),
    ):
        wrong = Group("scout", [1], {**good.observations, name: array}, episode_starts=[True])
        with pytest.raises(ClientError) as caught:
            client.choose_actions([wrong])
        assert (caught.value.code.name, caught.value.field) == ("INVALID_ARGUMENT", field)


def test_log_probabilities_are_the_policys_and_0_for_an_agent_that_failed(client):
    asked = scouts([1, 2], [0, 0], doors=[0, 9], starts=[True, True], seeded=True)
    answer, values = turn(client, asked, "", seed=3)
    drawn = values[0] - 2.0
    assert drawn != 0.0
    np.testing.assert_allclose(answer.log_probabilities, [-(drawn**2), 0.0], rtol=1e-5)
    (plain,) = client.choose_actions([Group("guard", [1], {"position": np.zeros((1, 3), np.float32)})])
    assert plain.log_probabilities.shape == (0,)


def test_a_tick_may_have_groups_of_policies_of_different_kinds(client, session):
    guards = Group("guard", [1], {"position": np.zeros((1, 3), np.float32)}, name="guards")
    groups = [scouts([1], [10], starts=[True], name="day"), guards, scouts([1], [20], starts=[True], name="night")]
    answers = client.choose_actions(groups, session=session)
    assert [answer.model for answer in answers] == ["scout", "guard", "scout"]
    assert [answer.actions["turn"].tolist() for answer in (answers[0], answers[2])] == [[[12.0]], [[22.0]]]


def test_a_thousand_agents_that_come_and_go_keep_their_memories(client, session):
    rng = np.random.default_rng(0)
    memory: dict[int, float] = {}
    for tick in range(30):
        agents = rng.choice(1500, 1000, replace=False).tolist() if tick % 3 else list(range(1000))
        bytes_ = rng.integers(0, 256, len(agents))
        starts = [agent not in memory or bool(rng.random() < 0.1) for agent in agents]
        for agent, byte, start in zip(agents, bytes_.tolist(), starts, strict=True):
            memory[agent] = (4.0 if start else memory[agent]) / 2 + byte
        answer, values = turn(client, scouts(agents, bytes_, starts=starts), session, tick=tick)
        assert set(answer.statuses) == {OK}
        np.testing.assert_allclose(values, [memory[agent] for agent in agents], rtol=1e-5)


def test_a_policy_describes_what_it_observes_and_how_it_acts(client):
    scout = client.describe_policy("scout")
    picture, door = scout.observations
    assert (picture.name, picture.dtype, list(picture.shape)) == ("picture", tensor_pb2.DATA_TYPE_UINT8, [2, 2, 3])
    assert (list(picture.low), list(picture.high), picture.layout) == ([0.0], [255.0], pb.IMAGE_LAYOUT_HWC)
    assert (door.dtype, list(door.shape), list(door.elements)) == (tensor_pb2.DATA_TYPE_INT64, [], ["door"])
    look, act = scout.actions
    assert (look.kind, list(look.shape), look.units) == (pb.ACTION_KIND_CONTINUOUS, [1], "rad/s")
    assert (act.kind, list(act.branches)) == (pb.ACTION_KIND_DISCRETE, [2])
    (memory,) = scout.states
    assert (memory.name, list(memory.shape)) == ("memory", [2])
    assert (scout.mask_width, scout.is_stochastic, scout.has_log_probabilities, scout.tick_seconds) == (0, True, True, 0.2)
    guard = client.describe_policy("guard")
    assert (guard.model.version, guard.mask_width, list(guard.states), guard.has_log_probabilities) == (1, 5, [], False)
    assert list(guard.observations[0].low) == []
    assert list(guard.observations[0].elements) == ["x", "y", "z"]


def test_only_a_policy_can_be_described(client):
    for name, code, field in (("", "INVALID_ARGUMENT", "model.name"), ("nobody", "NOT_FOUND", "model.name")):
        with pytest.raises(ClientError) as caught:
            client.describe_policy(name)
        assert (caught.value.code.name, caught.value.field) == (code, field)
