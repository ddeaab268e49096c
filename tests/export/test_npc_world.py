"""Rules of the assistant's world: one world is the same alone or among many, tasks can be fulfilled, senses tell the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from export.npc.world import actions as views
from export.npc.world import tasks
from export.npc.world.draw import CAPTION, draw_world, record_episode
from export.npc.world.env import AssistantEnv, AssistantVectorEnv, register
from export.npc.world.golden import replay
from export.npc.world.language import embed, sentence_table, sentences
from export.npc.world.sb3_env import AssistantVecEnv
from export.npc.world.scripted import random_policy, scripted
from export.npc.world.simulation import World
from export.npc.world.spec import (
    ABSENT,
    GIVE,
    HALF_SIZE,
    ITEMS,
    KINDS,
    LANDMARKS,
    MASK_SIZE,
    NPC_RADIUS,
    OWN,
    PICK,
    POINT,
    SIGHTS,
    SPEAK,
    SPEED_BINS,
    STREAK_TICKS,
    TASKS,
    TURN_BINS,
    WorldConfig,
    observation_space,
)

GOLDEN = Path(__file__).parent / "golden" / "npc_world.json"
STAND, STRAIGHT = 1, 3


def step(world: World, bins: np.ndarray) -> np.ndarray:
    shape = world.xz.shape[:2]
    speed, turn = SPEED_BINS[bins[:, 0]] * world.config.top_speed, TURN_BINS[bins[:, 1]]
    return world.step(speed.reshape(shape), turn.reshape(shape), bins[:, 2].reshape(shape))


def play(world: World, policy: Any, ticks: int) -> None:
    for _ in range(ticks):
        step(world, policy(world.observe(), world.action_masks()))


def still(world: World, act: int = 0) -> np.ndarray:
    return np.tile([STAND, STRAIGHT, act], (world.agents, 1))


def empty_world(task: str, target: str = "", *, user: tuple[float, float] = (0.0, 5.0)) -> World:
    """One world by day whose agent stands in the middle and looks along +Z; nothing stands in the way."""
    world = World(1, 1, WorldConfig(people=0, obstacles=0))
    layout = world.layout
    layout.night[:] = False
    layout.solid_xz[0] = [[-8.0 + 2.5 * place, -8.0] for place in range(7)]
    layout.way_amplitude[:] = 0.0
    layout.way_centre[:] = world.user_xz[:] = user
    world.xz[:], world.heading[:] = 0.0, 0.0
    layout.task[:] = TASKS.index(task)
    layout.target[:] = world.config.places.index(KINDS.index(target)) if target else -1
    layout.sentence[:] = next(
        place
        for place, said in enumerate(sentences())
        if said.task == TASKS.index(task) and (not target or said.target == KINDS.index(target))
    )
    world.remaining = tasks.remaining(world)
    return world


@pytest.mark.parametrize("view", views.VIEWS)
def test_gymnasium_accepts_the_environment_in_every_view(view: str) -> None:
    check_env(AssistantEnv(action_view=view), skip_render_check=True)
    pictured = AssistantEnv(render_mode="rgb_array", image_size=96)
    _, info = pictured.reset(seed=1)
    assert info["request"] in [sentence.text for sentence in sentences()]
    assert pictured.render().shape == (96 + CAPTION, 96, 3)


def test_gymnasium_makes_one_and_many() -> None:
    register()
    single = gym.make("Metabridge/Assistant-v0")
    many = gym.make_vec("Metabridge/Assistant-v0", num_envs=6, config=WorldConfig(agents=2, seconds=2.0))
    assert single.observation_space == many.single_observation_space
    observation, _ = many.reset(seed=3)
    alone = World(3, 3, WorldConfig(agents=2, seconds=2.0))
    np.testing.assert_array_equal(observation["vision"], alone.observe()["vision"])
    many.action_space.seed(0)
    for _ in range(20):
        observation, _, _, truncated, infos = many.step(many.action_space.sample())
    assert truncated.all()
    assert infos["_final_obs"].all()
    assert (infos["episode"]["l"] == 20).all()
    assert many.observation_space.contains(observation)
    assert observation_space().contains(infos["final_obs"][0])
    with pytest.raises(ValueError, match="num_envs is 5, expected a multiple of the 2 agents"):
        AssistantVectorEnv(5, WorldConfig(agents=2))


@pytest.mark.parametrize("agents", [1, 3])
def test_a_world_is_the_same_alone_and_among_others(agents: int) -> None:
    config = WorldConfig(agents=agents, seconds=4.0)
    together = AssistantVecEnv(5, 11, config)
    alone = [AssistantVecEnv(1, 11, config, first_world=world) for world in range(5)]
    for environment in (together, *alone):
        environment.seed(11)
        environment.reset()
    choose = random_policy(3)
    for _ in range(90):
        rows = together.rows.world
        bins = choose(rows.observe(), rows.action_masks())
        observation, rewards, dones, _ = together.step(bins)
        parts = [one.step(bins[i * agents : (i + 1) * agents]) for i, one in enumerate(alone)]
        np.testing.assert_array_equal(rewards, np.concatenate([part[1] for part in parts]))
        np.testing.assert_array_equal(dones, np.concatenate([part[2] for part in parts]))
        for name, values in observation.items():
            np.testing.assert_array_equal(values, np.concatenate([part[0][name] for part in parts]))
    assert together.rows.world.episode.min() == 2


def test_golden_trajectories_come_out_again() -> None:
    document = json.loads(GOLDEN.read_text("utf-8"))
    for expected, sample in zip(document["samples"], replay(document), strict=True):
        for name, values in expected.items():
            np.testing.assert_allclose(np.array(sample[name], float), np.array(values, float), atol=2e-5, err_msg=name)


def test_a_saved_state_goes_on_the_same_through_new_episodes() -> None:
    config = WorldConfig(agents=2, seconds=3.0)
    first = AssistantVecEnv(3, 8, config)
    first.seed(8)
    first.reset()
    choose = random_policy(1)
    for _ in range(20):
        first.step(choose(first.rows.world.observe(), first.rows.world.action_masks()))
    second = AssistantVecEnv(3, 99, config)
    second.load_state_dict(first.state_dict())
    for _ in range(40):
        bins = choose(first.rows.world.observe(), first.rows.world.action_masks())
        np.testing.assert_array_equal(first.step(bins)[1], second.step(bins)[1])
    assert first.rows.world.episode.min() == 2
    with pytest.raises(ValueError, match=r"\(3, 2\) worlds and agents, expected \(1, 1\)"):
        AssistantVecEnv(1).load_state_dict(first.state_dict())


def test_nobody_is_left_inside_anything_and_values_stay_in_their_ranges() -> None:
    world, choose, space = World(24, 2, WorldConfig(agents=2)), random_policy(0), observation_space()
    for tick in range(120):
        step(world, choose(world.observe(), world.action_masks()))
        assert np.abs(world.xz).max() <= HALF_SIZE - NPC_RADIUS + 1e-9
        if tick % 40 == 39:
            for row in range(world.agents):
                assert space.contains({name: part[row] for name, part in world.observe().items()})
    assert world.contacts.sum() > 0


def test_the_scripted_policy_fulfils_nearly_all_requests_of_every_task_and_the_random_one_hardly_any() -> None:
    world = World(200, 1_000_003)
    play(world, scripted, world.config.ticks)
    assert world.done.mean() > 0.95
    for task in range(len(TASKS)):
        assert world.done[world.layout.task == task].mean() > 0.9, TASKS[task]
    chance = World(200, 1_000_003)
    play(chance, random_policy(1), chance.config.ticks)
    assert chance.done.mean() < 0.1
    assert world.returns.mean() > chance.returns.mean() + 10.0


def test_bring_needs_the_right_item_at_the_right_hands() -> None:
    world = empty_world("bring", "flower", user=(0.0, 1.2))
    world.layout.solid_xz[0, world.config.places.index(KINDS.index("book"))] = 1.2, 0.6
    world.heading[:] = np.pi / 4
    assert world.action_masks()[0, -len(views.ACTS) :].tolist() == [True, True, True, True, False]
    step(world, still(world, PICK))
    assert ITEMS[world.carrying[0, 0]] == "book"
    assert world.observe()["own"][0, OWN.index("carries_book")] == 1.0
    wrong = step(world, still(world, GIVE))
    assert world.carrying[0, 0] == -1
    assert not world.done.any()
    assert wrong[0, 0] < -tasks.WRONG_GIFT
    world.carrying[:] = ITEMS.index("flower")
    world.remaining = tasks.remaining(world)
    right = step(world, still(world, GIVE))
    assert world.done.all()
    assert right[0, 0] > tasks.SUCCESS - 0.5
    assert world.over()[0].all()
    assert not world.observe()["language"].any()
    assert step(world, still(world))[0, 0] == 0.0


def test_a_guided_user_follows_once_spoken_to_and_is_shown_the_place() -> None:
    world = empty_world("guide", "gate", user=(0.0, 2.0))
    gate = world.config.places.index(KINDS.index("gate"))
    world.layout.solid_xz[0, gate] = 0.0, 3.5
    step(world, still(world, POINT))
    assert not world.engaged.any()
    assert not world.done.any()
    step(world, still(world, SPEAK))
    assert world.engaged.all()
    before = world.user_xz.copy()
    step(world, still(world))
    assert world.user_xz[0, 0, 1] < before[0, 0, 1]
    world.heading[:] = np.pi
    step(world, still(world, POINT))
    assert not world.done.any()
    world.heading[:] = 0.0
    step(world, still(world, POINT))
    assert world.done.all()


@pytest.mark.parametrize(("task", "target", "place"), [("follow", "", 1.5), ("keep", "", 4.0), ("wait", "tree", 5.0)])
def test_four_unbroken_seconds_of_service_fulfil_a_request(task: str, target: str, place: float) -> None:
    world = empty_world(task, target, user=(0.0, place))
    world.layout.solid_xz[0, LANDMARKS.index("tree")] = 1.0, 1.0
    for _ in range(STREAK_TICKS - 1):
        step(world, still(world))
    assert not world.done.any()
    assert world.observe()["own"][0, OWN.index("streak")] == pytest.approx(39 / 40)
    step(world, still(world))
    assert world.done.all()


def test_a_break_begins_the_service_anew() -> None:
    world = empty_world("follow", user=(0.0, 1.5))
    for _ in range(20):
        step(world, still(world))
    world.user_xz[:] = world.layout.way_centre[:] = 0.0, 3.0
    step(world, still(world))
    assert world.streak[0, 0] == 0


def test_rays_see_what_stands_left_ahead_and_nothing_behind() -> None:
    world = empty_world("follow", user=(5.0, 0.0))
    world.layout.solid_xz[0, 0] = 0.0, 4.0
    vision = world.observe()["vision"][0]
    sight = {name: vision[:, 1 + channel] > 0 for channel, name in enumerate(SIGHTS)}
    angles = np.arange(-120, 121, 12)
    assert abs(float(angles[sight["user"]].mean()) - 90.0) < 7.0
    assert float(angles[sight["place"]].mean()) == 0.0
    assert vision[10, 0] == pytest.approx(1.0 - (4.0 - 0.4 - NPC_RADIUS) / 8.0)
    world.layout.solid_xz[0, 0] = 0.0, -2.0
    assert not world.observe()["vision"][0, :, 1 + SIGHTS.index("place")].any()
    world.layout.night[:] = True
    assert not world.observe()["vision"][0, :, 1 + SIGHTS.index("user")].any()


def test_the_user_is_heard_from_where_they_are_and_falls_silent_when_served() -> None:
    world = empty_world("follow", user=(3.0, 0.0))
    world.layout.bend_phase[:] = 0.0
    level, sine, cosine = world.observe()["audio"][0, 0]
    assert level == pytest.approx(1 / (1 + 9 / 16))
    assert (sine, cosine) == (pytest.approx(1.0, abs=1e-6), pytest.approx(0.0, abs=1e-6))
    world.done[:] = True
    assert not world.observe()["audio"][0, 0].any()


def test_touch_tells_where_the_push_comes_from() -> None:
    world = empty_world("follow", user=(0.65, 0.0))
    step(world, still(world))
    pressure = world.observe()["touch"][0, :8]
    assert pressure.argmax() == 2
    assert pressure[2] == pytest.approx(0.5, abs=0.02)
    assert world.xz[0, 0, 0] == pytest.approx(-0.05)
    assert world.contacts[0, 0] == 1


def test_agents_feel_one_another_and_see_other_users_as_people() -> None:
    world = World(1, 4, WorldConfig(agents=2, people=0, obstacles=0))
    world.layout.solid_xz[:] = ABSENT
    world.xz[0], world.heading[0] = [[0.0, 0.0], [0.0, 0.7]], [0.0, 0.0]
    world.layout.way_amplitude[:] = 0.0
    world.layout.way_centre[:] = world.user_xz[:] = [[0.0, 5.0], [3.0, 0.0]]
    world.layout.night[:] = False
    vision = world.observe()["vision"]
    assert vision[0, 10, 1 + SIGHTS.index("person")] == 1.0
    assert vision[1, 10, 1 + SIGHTS.index("user")] == 0.0
    step(world, still(world))
    assert world.contacts[0].tolist() == [1, 1]


def test_sentences_are_told_apart_and_case_does_not_matter() -> None:
    table = sentence_table()[:-1]
    likeness = table @ table.T
    assert (likeness.argmax(axis=1) == np.arange(len(table))).all()
    assert np.allclose(np.linalg.norm(table, axis=1), 1.0)
    np.testing.assert_array_equal(embed("Bring me the BOOK!"), embed("bring me the book"))
    assert not embed("").any()
    assert float(embed("please bring me the book now") @ embed("bring me the book")) > 0.6


def test_views_of_the_action_mean_the_same_moves() -> None:
    bins = np.array([[speed, turn, 0] for speed in range(5) for turn in range(7)])
    masks = np.ones((len(bins), MASK_SIZE), bool)
    expected = views.commands("multi_discrete", bins, masks, 1.5)
    for view in ("discrete", "box"):
        given = views.commands(view, views.from_bins(view, bins), masks, 1.5)
        for want, got in zip(expected, given, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-6)
    every = views.split_discrete(np.arange(views.DISCRETE_SIZE))
    np.testing.assert_array_equal(views.join_discrete(every), np.arange(views.DISCRETE_SIZE))
    forbidden = masks.copy()
    forbidden[:, -len(views.ACTS) + GIVE] = False
    wishes = np.tile(np.array([0, 0, -1, -1, -1, -1, 1], np.float32), (len(bins), 1))
    assert (views.commands("box", wishes, masks, 1.5)[2] == GIVE).all()
    assert (views.commands("box", wishes, forbidden, 1.5)[2] != GIVE).all()


def test_what_can_not_be_done_is_refused_with_the_reason() -> None:
    environment = AssistantVecEnv(2)
    environment.reset()
    with pytest.raises(ValueError, match=r"outside its branches \[5, 7, 5\]: 0 .. 9"):
        environment.step(np.array([[0, 0, 0], [9, 0, 0]]))
    with pytest.raises(ValueError, match="3 actions, expected 2"):
        environment.step(np.zeros((3, 3), int))
    with pytest.raises(ValueError, match='view is "keyboard", expected one of multi_discrete, box, discrete'):
        AssistantEnv(action_view="keyboard")
    with pytest.raises(ValueError, match=r"items are .*, expected different ones of"):
        WorldConfig(items=("sword",))
    with pytest.raises(RuntimeError, match="before its first reset"):
        AssistantEnv().step([0, 0, 0])
    with pytest.raises(ValueError, match="not finite"):
        World(1, 1).step(np.full((1, 1), np.nan), np.zeros((1, 1)), np.zeros((1, 1), int))


def test_pictures_show_the_agent_the_user_and_the_night() -> None:
    world = empty_world("follow", user=(-6.0, -6.0))
    world.xz[:] = 6.0, 6.0
    day = draw_world(world, 0, size=240)
    corner, other = day[:100, :100].astype(int), day[140:240, 140:].astype(int)
    assert (corner[..., 2] - corner[..., 0]).max() > 60
    assert (other[..., 0] - other[..., 2]).max() > 100
    world.layout.night[:] = True
    assert draw_world(world, 0, size=240)[:240].mean() < 0.75 * day[:240].mean()
    frames = record_episode(scripted, 5, size=64, config=WorldConfig(seconds=2.0), linger=2)
    assert len(frames) == 13
    assert not np.array_equal(frames[0], frames[-1])
