"""Rules of the plaza: one world is the same alone or among many, nothing is ever walked through, left is left."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import DummyVecEnv

from export.npc import env
from export.npc.baselines import random_policy, scripted
from export.npc.course import ContactError, constants, course, plaza_from, simulate, world_states
from export.npc.env import ACTION_HIGH, ACTION_LOW, ELEMENTS, OBSERVATION_HIGH, OBSERVATION_LOW, Plaza, PlazaEnv
from export.npc.layout import HALF_SIZE, MAX_OBSTACLES, NPC_RADIUS, USER_RADIUS, Layout, draw_layouts, user_position
from export.npc.render import draw_world, record_episode
from export.npc.vec_env import PlazaVecEnv, engine_actions

SEEDS = st.integers(0, 2**64 - 1)


def empty_layout(
    *, start: tuple[float, float] = (0.0, 0.0), heading: float = 0.0, user: tuple[float, float] = (0.0, 5.0)
) -> Layout:
    """One world without obstacles whose user stands still."""
    return Layout(
        centre=np.array([user]),
        amplitude=np.zeros((1, 2)),
        frequency=np.ones((1, 2)),
        phase=np.zeros((1, 2)),
        pause=np.zeros(1),
        gait=np.ones(1),
        obstacle_xz=np.full((1, MAX_OBSTACLES, 2), 1000.0),
        obstacle_radius=np.zeros((1, MAX_OBSTACLES)),
        start_xz=np.array([start]),
        start_heading=np.array([heading]),
    )


def mirrored(layout: Layout) -> Layout:
    """The layout seen in a mirror: x changes its sign."""
    flip = np.array([-1.0, 1.0])
    mirror = layout.take(np.arange(len(layout)))
    mirror.centre, mirror.start_xz = layout.centre * flip, layout.start_xz * flip
    mirror.amplitude, mirror.obstacle_xz = layout.amplitude * flip, layout.obstacle_xz * flip
    mirror.start_heading = -layout.start_heading
    return mirror


def element(observations: np.ndarray, name: str) -> np.ndarray:
    return observations[..., ELEMENTS.index(name)]


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space")
def test_gymnasium_accepts_the_environment() -> None:
    check_env(PlazaEnv(), skip_render_check=True)
    pictured = PlazaEnv(render_mode="rgb_array", image_size=64)
    pictured.reset(seed=1)
    assert pictured.render().shape == (64, 64, 3)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, worlds=st.integers(1, 12))
def test_a_world_is_the_same_alone_and_among_others(seed: int, worlds: int) -> None:
    together = Plaza(worlds, seed)
    alone = [Plaza(1, seed, first_world=world) for world in range(worlds)]
    choose = random_policy(3)
    for tick in range(30):
        actions = choose(together.observe())
        rewards = together.step(actions)
        np.testing.assert_array_equal(rewards, [world.step(actions[i, None])[0] for i, world in enumerate(alone)])
        np.testing.assert_array_equal(together.observe(), np.concatenate([world.observe() for world in alone]))
        if tick == 10:
            odd = np.arange(1, worlds, 2)
            together.reset(odd)
            for world in odd:
                alone[world].reset(np.array([0]))


def test_the_vectorised_environment_is_the_single_one() -> None:
    many = PlazaVecEnv(5, seed=9)
    many.seed(9)
    observations = many.reset()
    singles = [PlazaEnv(world=world) for world in range(5)]
    np.testing.assert_array_equal(observations, np.stack([single.reset(seed=9)[0] for single in singles]))
    generator = np.random.default_rng(0)
    for _ in range(env.EPISODE_TICKS + 20):
        actions = generator.uniform(-1.2, 1.2, (5, 2)).astype(np.float32)
        observations, rewards, dones, infos = many.step(actions)
        for world, single in enumerate(singles):
            observation, reward, terminated, truncated, info = single.step(engine_actions(actions)[world])
            assert reward == pytest.approx(rewards[world], abs=1e-6)
            assert dones[world] == truncated
            assert not terminated
            if truncated:
                np.testing.assert_array_equal(infos[world]["terminal_observation"], observation)
                assert infos[world]["TimeLimit.truncated"]
                assert infos[world]["is_success"] == info["is_success"]
                assert infos[world]["episode"]["l"] == env.EPISODE_TICKS
                observation, _ = single.reset()
            np.testing.assert_array_equal(observations[world], observation)


def test_it_runs_under_stable_baselines_own_vectorisation() -> None:
    dummy = DummyVecEnv([PlazaEnv, PlazaEnv])
    dummy.seed(4)
    observations = dummy.reset()
    assert isinstance(observations, np.ndarray)
    np.testing.assert_array_equal(observations[0], Plaza(1, 4).observe()[0])


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_nothing_is_ever_walked_through(seed: int) -> None:
    plaza = Plaza(16, seed)
    generator = np.random.default_rng(seed % 2**32)
    turn = generator.uniform(-1.0, 1.0, 16)
    for _ in range(200):
        plaza.step(np.stack((np.full(16, 2.0), turn), axis=1))
        offset = plaza.xz[:, None] - plaza.layout.obstacle_xz
        gap = np.sqrt((offset**2).sum(axis=2)) - plaza.layout.obstacle_radius - NPC_RADIUS
        assert gap.min() > -1e-9
        assert np.abs(plaza.xz).max() <= HALF_SIZE - NPC_RADIUS
    assert plaza.contacts.sum() > 0


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_observations_are_finite_and_within_their_bounds(seed: int) -> None:
    plaza = Plaza(16, seed)
    choose = random_policy(seed % 2**32)
    for _ in range(100):
        observations = plaza.observe()
        assert observations.dtype == np.float32
        assert (observations >= OBSERVATION_LOW).all()
        assert (observations <= OBSERVATION_HIGH).all()
        assert np.isfinite(plaza.step(choose(observations))).all()


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_the_mirrored_world_is_observed_mirrored(seed: int) -> None:
    layout = draw_layouts(seed, np.arange(6), np.zeros(6))
    plaza, mirror = Plaza.from_layout(layout), Plaza.from_layout(mirrored(layout))
    sideways = np.array([-1.0 if name.endswith(("left", "sin", "turn_rate")) else 1.0 for name in ELEMENTS])
    rays = [f"ray_{-degrees % 360:03d}" for degrees in env.RAY_DEGREES]
    order = [ELEMENTS.index(name) for name in (*ELEMENTS[:9], *rays)]
    for _ in range(20):
        seen, seen_mirrored = plaza.observe(), mirror.observe()
        np.testing.assert_allclose(seen_mirrored, (seen * sideways)[:, order], atol=1e-4)
        actions = scripted(seen)
        rewards = plaza.step(actions)
        np.testing.assert_allclose(mirror.step(actions * [1.0, -1.0]), rewards, atol=1e-9)


def test_left_is_positive_x_when_looking_along_z() -> None:
    observation = Plaza.from_layout(empty_layout(user=(2.0, 0.0))).observe()[0]
    assert element(observation, "user_left") == 2.0
    assert element(observation, "user_forward") == 0.0
    assert element(observation, "user_bearing_sin") == 1.0


def test_a_positive_turn_goes_from_z_towards_x() -> None:
    plaza = Plaza.from_layout(empty_layout())
    for _ in range(10):
        plaza.step([[1.0, 1.0]])
    assert plaza.heading[0] > 0.5
    assert plaza.xz[0, 0] > 0.0
    assert plaza.xz[0, 1] > 0.0


def test_one_tick_is_the_documented_formula() -> None:
    plaza = Plaza.from_layout(empty_layout(heading=0.3))
    plaza.step([[9.0, -1.0]])
    assert plaza.speed[0] == 1.0
    assert plaza.turn_rate[0] == -0.5
    assert plaza.heading[0] == 0.3 - 0.05
    np.testing.assert_allclose(plaza.xz[0], [0.1 * np.sin(0.25), 0.1 * np.cos(0.25)], rtol=1e-15)


def test_rays_measure_the_way_of_the_body() -> None:
    layout = empty_layout(start=(0.0, 6.0))
    layout.obstacle_xz[0, 0], layout.obstacle_radius[0, 0] = (3.0, 6.0), 1.0
    observation = Plaza.from_layout(layout).observe()[0]
    assert element(observation, "ray_000") == pytest.approx(HALF_SIZE - NPC_RADIUS - 6.0)
    assert element(observation, "ray_090") == pytest.approx(3.0 - 1.0 - NPC_RADIUS)
    assert element(observation, "ray_180") == env.RAY_RANGE
    assert element(observation, "ray_270") == env.RAY_RANGE


def test_an_npc_that_walks_into_the_user_stops_at_them() -> None:
    plaza = Plaza.from_layout(empty_layout(user=(0.0, 2.0)))
    for _ in range(20):
        plaza.step([[2.0, 0.0]])
    assert plaza.contacts[0] > 0
    np.testing.assert_allclose(plaza.xz[0], [0.0, 2.0 - NPC_RADIUS - USER_RADIUS])


def test_five_seconds_of_unbroken_service_are_a_success() -> None:
    plaza = Plaza.from_layout(empty_layout(user=(0.0, 1.5)))
    for _ in range(env.SERVED_TICKS - 1):
        plaza.step([[0.0, 0.0]])
    assert not plaza.served[0]
    plaza.step([[0.0, 0.0]])
    assert plaza.served[0]
    behind = Plaza.from_layout(empty_layout(user=(0.0, -1.5)))
    for _ in range(env.SERVED_TICKS):
        behind.step([[0.0, 0.0]])
    assert behind.streak[0] == 0


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_users_never_cross_obstacles_and_keep_their_pace(seed: int) -> None:
    layout = draw_layouts(seed, np.arange(32), np.zeros(32))
    times = np.linspace(-1.0, 200.0, 900)
    path = np.stack([user_position(layout, np.full(32, time)) for time in times], axis=1)
    gap = np.linalg.norm(path[:, :, None] - layout.obstacle_xz[:, None], axis=3) - layout.obstacle_radius[:, None]
    assert gap.min() > USER_RADIUS + 2.0 * NPC_RADIUS
    assert np.abs(path).max() < HALF_SIZE - 1.0
    pace = np.linalg.norm(np.diff(path, axis=1), axis=2) / (times[1] - times[0])
    assert pace.max() <= 1.5 + 1e-9


def test_the_same_seed_is_the_same_episode_and_another_is_not() -> None:
    first, second = Plaza(8, 5), Plaza(8, 5)
    np.testing.assert_array_equal(first.observe(), second.observe())
    assert not np.array_equal(first.observe(), Plaza(8, 6).observe())
    first.reset(np.arange(8))
    assert not np.array_equal(first.observe(), second.observe())


def test_a_saved_state_goes_on_as_if_never_saved() -> None:
    plaza = PlazaVecEnv(6, seed=2)
    plaza.reset()
    choose = random_policy(1)
    actions = [choose(np.zeros((6, env.OBSERVATION_SIZE), np.float32)) for _ in range(300)]
    for action in actions[:240]:
        plaza.step(action)
    other = PlazaVecEnv(6, seed=77)
    other.load_state_dict(plaza.state_dict())
    for action in actions[240:]:
        for one, two in zip(plaza.step(action)[:3], other.step(action)[:3], strict=True):
            np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="the state has 6 worlds, this plaza has 2"):
        PlazaVecEnv(2).load_state_dict(plaza.state_dict())


def test_bad_actions_are_refused() -> None:
    plaza = Plaza(2, 0)
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        plaza.step(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="not finite"):
        plaza.step([[0.0, np.nan], [0.0, 0.0]])
    with pytest.raises(RuntimeError, match="reset"):
        PlazaEnv().step(ACTION_LOW)
    with pytest.raises(ValueError, match='render_mode is "human"'):
        PlazaEnv(render_mode="human")


def test_a_course_is_free_of_contact_and_survives_json() -> None:
    states = course(3, 8)
    positions = simulate(states, scripted)
    assert positions.shape == (201, 8, 2)
    assert np.linalg.norm(positions[-1] - positions[0], axis=1).mean() > 1.0
    assert sum(len(state["obstacles"]) for state in states) > 0
    np.testing.assert_array_equal(simulate(states, scripted), positions)
    assert world_states(plaza_from(states)) == states
    assert len(constants()["observation_elements"]) == env.OBSERVATION_SIZE


def test_a_course_notices_contact_and_incomplete_states() -> None:
    states = course(3, 4)
    with pytest.raises(ContactError, match="touches something at tick"):
        simulate(states, lambda observations: np.tile(ACTION_HIGH * [1.0, 0.0], (len(observations), 1)).astype(np.float32))
    del states[2]["user_gait"]
    with pytest.raises(ValueError, match="no 'user_gait'"):
        plaza_from(states)


def test_a_state_taken_in_the_middle_goes_on_the_same() -> None:
    plaza = Plaza(4, 8)
    for _ in range(30):
        plaza.step(scripted(plaza.observe()))
    again = plaza_from(world_states(plaza))
    np.testing.assert_array_equal(again.observe(), plaza.observe())
    for _ in range(30):
        actions = scripted(plaza.observe())
        np.testing.assert_array_equal(again.step(actions), plaza.step(actions))


def test_pictures_show_who_stands_where() -> None:
    plaza = Plaza.from_layout(empty_layout(start=(4.0, 6.0), user=(-4.0, -6.0)))
    picture = draw_world(plaza, 0, size=210, rays=True)
    assert picture.shape == (210, 210, 3)
    assert picture.dtype == np.uint8
    upper_left, lower_right = picture[:105, :105].astype(int), picture[105:, 105:].astype(int)
    assert (upper_left[..., 2] - upper_left[..., 0]).max() > 60
    assert (lower_right[..., 0] - lower_right[..., 2]).max() > 100
    frames = record_episode(scripted, 1, ticks=10, size=64)
    assert len(frames) == 5
    assert not np.array_equal(frames[0], frames[-1])
