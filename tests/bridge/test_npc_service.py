"""NPCs: one call a tick; what is bad for one agent fails that agent alone, and draws are keyed by seed, agent and tick."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from conftest import sidecar_in_thread

from bridge.client import Client, ClientError, Group
from bridge.client_npc import group_message
from bridge.v1 import npc_service_pb2 as pb

OK, INVALID, MASKED = pb.AGENT_STATUS_OK, pb.AGENT_STATUS_INVALID_OBSERVATION, pb.AGENT_STATUS_ALL_ACTIONS_MASKED
MODEL, CACHE, FALLBACK = pb.SOURCE_MODEL, pb.SOURCE_CACHE, pb.SOURCE_FALLBACK
NAN = np.nan


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A sidecar with two policies."""
    models = tmp_path_factory.mktemp("npcs")
    tiny_models.write_npc(models, "guard")
    tiny_models.write_npc(models, "merchant", 2)
    tiny_models.write_npc(models, "sentry", neutral={"move": [0.25, 1.5], "act": [2, 1]})
    with sidecar_in_thread(models) as sidecar:
        yield sidecar


@pytest.fixture
def client(live):
    """A client of the module's sidecar."""
    with Client(f"127.0.0.1:{live.port}") as connected:
        yield connected


def positions(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def group(agents=(1, 2, 3, 4), place=None, **settings):
    place = positions(len(agents)) if place is None else np.asarray(place, np.float32)
    return Group(settings.pop("model", "guard"), list(agents), {"position": place}, **settings)


def one(client, asked, **settings):
    (answer,) = client.choose_actions([asked], **settings)
    return answer


def refused(client, groups, code, field, text, **settings):
    with pytest.raises(ClientError, match=text) as caught:
        client.choose_actions(groups, **settings)
    assert (caught.value.code.name, caught.value.field) == (code, field)


def weights(version=1):
    generator = np.random.default_rng(version)
    return generator.normal(size=(3, 2)).astype(np.float32), generator.normal(size=(3, 5)).astype(np.float32)


def test_actions_are_the_policys(client):
    place = positions(50)
    answer = one(client, group(range(50), place))
    move, act = weights()
    np.testing.assert_allclose(answer.actions["move"], np.clip(place @ move, [-1, 0.5], [1, 2]), atol=1e-5)
    scores = place @ act
    np.testing.assert_array_equal(answer.actions["act"], np.stack([scores[:, :3].argmax(1), scores[:, 3:].argmax(1)], axis=1))
    assert answer.actions["act"].dtype == np.int64
    assert (answer.statuses, answer.sources, answer.failures) == ([OK] * 50, [MODEL] * 50, {})


@pytest.mark.parametrize("bad", [NAN, np.inf, -np.inf])
def test_a_bad_observation_fails_its_agent_and_leaves_the_others_bit_identical(client, bad):
    place = positions(4)
    good = one(client, group(place=place))
    place[2, 1] = bad
    answer = one(client, group(place=place))
    assert answer.statuses == [OK, OK, INVALID, OK]
    assert answer.sources == [MODEL, MODEL, FALLBACK, MODEL]
    assert list(answer.failures) == [3]
    shown = "NaN" if np.isnan(bad) else str(bad)
    assert answer.failures[3] == f'agent 3: observation "position", element 1 ("y") is {shown}, expected a finite number'
    for name in ("move", "act"):
        np.testing.assert_array_equal(np.delete(answer.actions[name], 2, 0), np.delete(good.actions[name], 2, 0))
    assert answer.actions["move"][2].tolist() == [0.0, 0.5]
    assert answer.actions["act"][2].tolist() == [0, 0]


def test_a_finite_observation_that_the_policy_cannot_hold_fails_its_agent(client):
    place = positions(4)
    place[1] = [3.4e38, 3.4e38, -3.4e38]
    answer = one(client, group(place=place))
    assert np.isfinite(answer.actions["move"]).all()
    assert answer.statuses[0] == answer.statuses[2] == OK


def test_a_failed_agent_repeats_its_last_action_of_the_session(client):
    before = one(client, group(), session="game")
    for _ in range(2):
        answer = one(client, group(place=np.full((4, 3), NAN)), session="game")
        assert answer.sources == [CACHE] * 4
        assert answer.statuses == [INVALID] * 4
        for name in before.actions:
            np.testing.assert_array_equal(answer.actions[name], before.actions[name])
    assert client.end_session("game")


def test_agents_may_change_their_places_between_ticks(client):
    before = one(client, group((1, 2, 3, 4)), session="order")
    answer = one(client, group((4, 9, 1, 2), np.full((4, 3), NAN)), session="order")
    assert answer.sources == [CACHE, FALLBACK, CACHE, CACHE]
    np.testing.assert_array_equal(answer.actions["move"][[0, 2, 3]], before.actions["move"][[3, 0, 1]])
    client.end_session("order")


def test_an_episode_that_starts_forgets_the_last_action(client):
    one(client, group(), session="start")
    bad = group(place=np.full((4, 3), NAN), episode_starts=[False, True, False, True])
    assert one(client, bad, session="start").sources == [CACHE, FALLBACK, CACHE, FALLBACK]
    client.end_session("start")


@pytest.mark.parametrize("other", [{"session": "elsewhere"}, {"session": ""}])
def test_no_session_sees_anothers_actions(client, other):
    one(client, group(), session="mine")
    assert one(client, group(place=np.full((4, 3), NAN)), **other).sources == [FALLBACK] * 4
    client.end_session("mine")
    client.end_session("elsewhere")


def test_nothing_is_kept_without_a_session(client):
    one(client, group())
    assert one(client, group(place=np.full((4, 3), NAN))).sources == [FALLBACK] * 4


@pytest.mark.parametrize("change", [{"name": "others"}, {"model": "merchant"}])
def test_no_group_sees_anothers_actions(client, change):
    one(client, group(), session="groups")
    assert one(client, group(place=np.full((4, 3), NAN), **change), session="groups").sources == [FALLBACK] * 4
    client.end_session("groups")


def test_an_ended_session_is_forgotten(client):
    one(client, group(), session="over")
    assert client.end_session("over")
    assert not client.end_session("over")
    assert one(client, group(place=np.full((4, 3), NAN)), session="over").sources == [FALLBACK] * 4


def mask(*rows):
    return np.array([[letter == "1" for letter in row] for row in rows])


def test_only_allowed_actions_are_chosen(client):
    every = ["10010", "01001", "00110", "11101"]
    answer = one(client, group(action_mask=mask(*every), seeded=True), seed=3)
    for row, (first, second) in zip(every, answer.actions["act"].tolist(), strict=True):
        assert row[first] == "1"
        assert row[3 + second] == "1"


def test_a_mask_of_ones_is_no_mask(client):
    free, masked = one(client, group()), one(client, group(action_mask=np.ones((4, 5), bool)))
    for name in free.actions:
        np.testing.assert_array_equal(free.actions[name], masked.actions[name])


@pytest.mark.parametrize(("row", "expected"), [("00000", [0, 0]), ("00001", [0, 1]), ("01000", [1, 0]), ("00100", [2, 0])])
def test_a_mask_that_forbids_everything_fails_its_agent_and_the_rest_of_its_mask_holds(client, row, expected):
    good = one(client, group(action_mask=np.ones((4, 5), bool)))
    answer = one(client, group(action_mask=mask("11111", row, "11111", "11111")))
    assert answer.statuses == [OK, MASKED, OK, OK]
    assert answer.sources[1] == FALLBACK
    assert "forbids every action" in answer.failures[2]
    assert answer.actions["act"][1].tolist() == expected
    for name in ("move", "act"):
        np.testing.assert_array_equal(np.delete(answer.actions[name], 1, 0), np.delete(good.actions[name], 1, 0))


def test_a_last_action_that_the_mask_now_forbids_is_not_repeated(client):
    before = one(client, group([1], positions(1)), session="mask")
    first = int(before.actions["act"][0, 0])
    forbids = np.ones((1, 5), bool)
    forbids[0, first] = False
    answer = one(client, group([1], [[NAN] * 3], action_mask=forbids), session="mask")
    assert answer.sources == [FALLBACK]
    assert answer.actions["act"][0, 0] != first
    assert one(client, group([1], [[NAN] * 3]), session="mask").sources == [CACHE]
    client.end_session("mask")


def test_an_agent_whose_every_action_is_forbidden_does_not_repeat_its_last_one(client):
    one(client, group([1], positions(1)), session="forbidden")
    answer = one(client, group([1], positions(1), action_mask=np.zeros((1, 5), bool)), session="forbidden")
    assert (answer.statuses, answer.sources) == ([MASKED], [FALLBACK])
    assert answer.actions["act"].tolist() == [[0, 0]]
    assert answer.actions["move"].tolist() == [[0.0, 0.5]]
    client.end_session("forbidden")


def test_a_card_says_what_is_neutral_and_a_mask_goes_before_it(client):
    move, act = client.describe_policy("sentry").actions
    assert (list(move.neutral), list(act.neutral)) == ([0.25, 1.5], [2, 1])
    move, act = client.describe_policy("guard").actions
    assert (list(move.neutral), list(act.neutral)) == ([0.0, 0.5], [0, 0])
    masks = mask("11111", "11011", "11110", "01001", "11111")
    answer = one(client, group(range(5), np.full((5, 3), NAN), model="sentry", action_mask=masks))
    assert answer.sources == [FALLBACK] * 5
    assert answer.actions["move"].tolist() == [[0.25, 1.5]] * 5
    assert answer.actions["act"].tolist() == [[2, 1], [0, 1], [2, 0], [1, 1], [2, 1]]


def test_deterministic_actions_know_neither_seed_nor_tick(client):
    answers = [one(client, group(), seed=seed, tick=tick).actions["move"].tolist() for seed, tick in ((0, 0), (1, 0), (0, 1))]
    assert answers[0] == answers[1] == answers[2]


def test_seeded_actions_are_keyed_by_seed_tick_and_agent(client):
    same = np.tile(positions(1), (4, 1))

    def draw(agents=(1, 2, 3, 4), **keys):
        return one(client, group(agents, same[: len(agents)], seeded=True), **keys).actions["move"]

    first = draw(seed=1, tick=1)
    np.testing.assert_array_equal(first, draw(seed=1, tick=1))
    assert not np.array_equal(first, draw(seed=2, tick=1))
    assert not np.array_equal(first, draw(seed=1, tick=2))
    assert not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(draw((3, 1), seed=1, tick=1), first[[2, 0]])


def test_seeded_actions_follow_the_policys_distribution(client):
    count = 8000
    place = np.array([[0.3, -0.2, 0.1]], np.float32)
    answer = one(client, group(range(count), np.tile(place, (count, 1)), seeded=True), seed=9)
    move, act = weights()
    scores = (place @ act)[0]
    for column, part in enumerate((scores[:3], scores[3:])):
        expected = np.exp(part) / np.exp(part).sum()
        share = np.bincount(answer.actions["act"][:, column], minlength=len(part)) / count
        np.testing.assert_allclose(share, expected, atol=5 * np.sqrt(0.25 / count))
    mean = (place @ move)[0, 0]
    drawn = answer.actions["move"][:, 0]
    assert ((drawn >= -1) & (drawn <= 1)).all()
    inside = np.mean((drawn > -1) & (drawn < 1))
    normal = np.random.default_rng(0).normal(mean, 1, 400_000)
    assert abs(inside - np.mean((normal > -1) & (normal < 1))) < 5 * np.sqrt(0.25 / count)


def test_groups_of_a_tick_are_answered_in_their_order_each_by_its_policy(client):
    place = positions(3)
    groups = [group((1, 2, 3), place, name="a"), group((1, 2), place[:2], name="b", model="merchant")]
    both = client.choose_actions(groups)
    alone = [one(client, asked) for asked in groups]
    assert [(answer.model, answer.version) for answer in both] == [("guard", 1), ("merchant", 2)]
    for together, single in zip(both, alone, strict=True):
        for name in single.actions:
            np.testing.assert_array_equal(together.actions[name], single.actions[name])
    assert not np.array_equal(both[0].actions["move"][:2], both[1].actions["move"])


@pytest.mark.parametrize("agents", [1, 2, 1000, 16_384])
def test_a_tick_may_have_many_agents(client, agents):
    answer = one(client, group(range(agents)), session="many")
    assert len(answer.actions["move"]) == agents
    client.end_session("many")


def test_sixteen_thousand_failed_agents_are_answered(client):
    one(client, group(range(16_384)), session="storm")
    answer = one(client, group(range(16_384), np.full((16_384, 3), NAN)), session="storm")
    assert set(answer.sources) == {CACHE}
    client.end_session("storm")


def test_structure_that_is_wrong_fails_the_call_by_its_path(client):
    good = group()
    refused(client, [], "INVALID_ARGUMENT", "groups", "expected at least one")
    refused(client, [group((), np.zeros((0, 3)))], "INVALID_ARGUMENT", "groups[0].agent_ids", "no agent")
    refused(client, [group((5, 6, 5, 6))], "INVALID_ARGUMENT", "groups[0].agent_ids", "agent 5 is there twice")
    refused(client, [good, group()], "INVALID_ARGUMENT", "groups", "expected different ones")
    refused(client, [good], "INVALID_ARGUMENT", "session_id", "has 129 characters", session="s" * 129)
    refused(client, [group(episode_starts=[True])], "INVALID_ARGUMENT", "groups[0].episode_starts", "1 flags for 4 agents")
    refused(client, [good, group(name="x", model="nobody")], "NOT_FOUND", "groups[1].model.name", "there is no model")
    refused(client, [Group("guard", [1], {})], "INVALID_ARGUMENT", "groups[0].observations", "missing")
    wrong = Group("guard", [1], {"place": positions(1)})
    refused(client, [wrong], "INVALID_ARGUMENT", "groups[0].observations[0].name", '"place" is unknown')
    many = [group(range(10_000), name="a"), group(range(6385), name="b")]
    refused(client, many, "RESOURCE_EXHAUSTED", "groups", "16385 agents in one call, expected at most 16384")


def test_the_longest_session_id_and_agent_id_are_taken(client):
    answer = one(client, group((0, 2**64 - 1), positions(2)), session="s" * 128, tick=2**32 - 1, seed=2**64 - 1)
    assert answer.statuses == [OK, OK]
    assert client.end_session("s" * 128)


@pytest.mark.parametrize("sampling", [3, -1, 2**31 - 1])
def test_an_unknown_sampling_is_refused(client, sampling):
    message = group_message(group())
    message.sampling = sampling
    with pytest.raises(ClientError, match="sampling") as caught:
        client._call(client._npcs.ChooseActions, pb.ChooseActionsRequest(groups=[message]))
    assert caught.value.field == "groups[0].sampling"


def test_ending_needs_a_session(client):
    with pytest.raises(ClientError, match="is empty") as caught:
        client.end_session("")
    assert caught.value.field == "session_id"
    assert not client.end_session("never was")
