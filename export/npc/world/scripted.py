"""Two policies without learning: the scripted one, which is the teacher and the measure, and the random one.

Like every policy of the assistant's world they map observations (float32 [N, ...] by modality) and masks bool[N, MASK_SIZE]
to bins int64[N, 3]: speed, turn, act.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from export.npc.layout import NPC_RADIUS, USER_RADIUS, Float64
from export.npc.world import tasks
from export.npc.world.language import sentence_table, sentences
from export.npc.world.senses import HEARING, MAP_SCALE, Observation
from export.npc.world.spec import (
    ACTS,
    GIVE,
    ITEMS,
    KINDS,
    LANDMARKS,
    MAP_START,
    NONE,
    PICK,
    POINT,
    RAY_DEGREES,
    RAY_RANGE,
    SIGHTS,
    SPEAK,
    SPEED_BINS,
    TURN_BINS,
)

Bins = npt.NDArray[np.int64]
Policy = Callable[[Observation, npt.NDArray[np.bool_]], Bins]

_RAYS = np.deg2rad(RAY_DEGREES)
_TASK = np.array([sentence.task for sentence in sentences()] + [-1])
_TARGET = np.array([sentence.target for sentence in sentences()] + [-1])
_AVOID = 1.5
_NOMINAL_SPEED = 1.8


def scripted(observation: Observation, masks: npt.NDArray[np.bool_]) -> Bins:
    """Understand the request, go where it wants the agent, around what the rays meet, and act when it is time.

    It takes an agent's top speed to be 1.8 m/s.
    """
    heard = _understand(observation["language"])
    task, target = _TASK[heard], _TARGET[heard]
    user = _locate_user(observation)
    place = _on_map(observation["own"], target)
    engaged = observation["own"][:, 2] > 0.5
    hand = observation["own"][:, 6 : 6 + len(ITEMS)]
    item = np.clip(target - len(LANDMARKS), 0, len(ITEMS) - 1)
    holds = hand[np.arange(len(hand)), item] > 0.5
    to_place = ((task == tasks.GUIDE) & engaged) | ((task == tasks.BRING) & ~holds) | (task == tasks.WAIT)
    goal = np.where(to_place[:, None], place, user)
    stop = _stop_distance(task, engaged, holds)
    speed, turn = _steer(observation["vision"], goal, stop, to_place, task == tasks.KEEP)
    speed = np.where((task == tasks.GUIDE) & engaged & (_length(user) > 2.4), 0.0, speed)
    idle = task < 0
    speed, turn = np.where(idle, 0.0, speed), np.where(idle, 0.0, turn)
    act = _choose_act(task, engaged, holds, place, user, masks)
    return np.stack((_nearest(SPEED_BINS * _NOMINAL_SPEED, speed), _nearest(TURN_BINS, turn), act), axis=1)


def random_policy(seed: int) -> Policy:
    """Return a policy that draws every bin uniformly, acts among those that the mask allows."""
    generator = np.random.default_rng(seed)

    def choose(observation: Observation, masks: npt.NDArray[np.bool_]) -> Bins:
        allowed = masks[:, -len(ACTS) :]
        act = np.where(allowed, generator.random(allowed.shape), -1.0).argmax(axis=1)
        speed, turn = (generator.integers(0, size, len(masks)) for size in (len(SPEED_BINS), len(TURN_BINS)))
        return np.stack((speed, turn, act), axis=1)

    return choose


def _understand(language: npt.NDArray[np.float32]) -> Bins:
    """Return the sentence each embedding is nearest to; silence is the last one."""
    table = sentence_table()
    return np.where(np.abs(language).sum(axis=1) > 1e-6, (language @ table[:-1].T).argmax(axis=1), len(table) - 1)


def _length(vector: Float64) -> Float64:
    return np.sqrt(vector[:, 0] ** 2 + vector[:, 1] ** 2)


def _locate_user(observation: Observation) -> Float64:
    """Return where the user is, (left, forward) float64[N, 2] in metres: seen where a ray meets it, else heard."""
    level, sine, cosine = (observation["audio"][:, 0, channel].astype(np.float64) for channel in range(3))
    distance = HEARING * np.sqrt(np.maximum(1.0 / np.maximum(level, 1e-3) - 1.0, 0.0))
    heard = np.stack((sine * distance, cosine * distance), axis=1)
    sees = observation["vision"][..., 1 + SIGHTS.index("user")] > 0.5
    slide = np.where(sees, (1.0 - observation["vision"][..., 0]) * RAY_RANGE, np.inf)
    nearest = slide.argmin(axis=1)
    weight = sees / np.maximum(sees.sum(axis=1, keepdims=True), 1)
    angle = (weight * _RAYS).sum(axis=1)
    away = np.where(np.isfinite(slide), slide, 0.0)[np.arange(len(slide)), nearest] + NPC_RADIUS + USER_RADIUS
    seen = np.stack((np.sin(angle) * away, np.cos(angle) * away), axis=1)
    return np.where(sees.any(axis=1)[:, None], seen, heard)


def _on_map(own: npt.NDArray[np.float32], target: Bins) -> Float64:
    known = own[:, MAP_START:].reshape(len(own), len(KINDS), 3)
    return known[np.arange(len(own)), np.maximum(target, 0), 1:].astype(np.float64) * MAP_SCALE


def _stop_distance(task: Bins, engaged: npt.NDArray[np.bool_], holds: npt.NDArray[np.bool_]) -> Float64:
    guide = np.where(engaged, 1.6, 1.5)
    bring = np.where(holds, 1.3, 1.4)
    fixed = np.ones_like(guide)
    return np.choose(np.maximum(task, 0), (guide, bring, 1.5 * fixed, 4.0 * fixed, 1.4 * fixed))


def _steer(
    vision: npt.NDArray[np.float32], goal: Float64, stop: Float64, to_place: npt.NDArray[np.bool_], keep: npt.NDArray[np.bool_]
) -> tuple[Float64, Float64]:
    """Return speed and turn towards goals [N, 2] (left, forward), pushed aside by what is near, slower before it."""
    distance = _length(goal)
    nearness, sights = vision[..., 0].astype(np.float64), vision[..., 1:]
    wanted = SIGHTS.index("user"), SIGHTS.index("place")
    is_goal = np.where(to_place[:, None], sights[..., wanted[1]] * (distance < 3.0)[:, None], sights[..., wanted[0]]) > 0.5
    slide = np.where((nearness > 0.0) & ~is_goal, (1.0 - nearness) * RAY_RANGE, RAY_RANGE)
    towards = np.arctan2(goal[:, 0], goal[:, 1])
    arrived = (np.abs(distance - stop) < 0.35) | keep & (distance < stop)
    bearing = np.where(arrived, towards, _open_way(slide, towards, np.clip(distance - stop + 0.3, 0.3, _AVOID)))
    speed = np.clip(1.5 * (distance - stop), -0.63, _NOMINAL_SPEED)
    front = slide[:, len(_RAYS) // 2 - 1 : len(_RAYS) // 2 + 2].min(axis=1)
    speed = np.where(speed > 0.0, np.minimum(speed, 0.1 + 1.5 * front) * np.maximum(0.0, np.cos(bearing)), speed)
    return np.where(np.abs(distance - stop) < 0.25, 0.0, speed), 2.2 * bearing


def _open_way(slide: Float64, towards: Float64, need: Float64) -> Float64:
    """Return the bearing [N] nearest to `towards` in which the body can slide `need` metres, with a margin at its sides."""
    beside = np.pad(slide, ((0, 0), (1, 1)), constant_values=RAY_RANGE)
    room = np.minimum(slide, np.minimum(beside[:, :-2], beside[:, 2:]) + 0.5)
    turned = np.abs((_RAYS - towards[:, None] + np.pi) % (2.0 * np.pi) - np.pi)
    short = np.maximum(0.0, need[:, None] - room)
    cost = turned + 0.15 * np.abs(_RAYS) + np.where(short > 0.0, 1.5 + 2.0 * short, 0.0)
    best = cost.argmin(axis=1)
    nearest = turned.argmin(axis=1)
    straight = (turned.min(axis=1) > np.deg2rad(7)) | (short[np.arange(len(short)), nearest] == 0.0)
    return np.where(straight, towards, _RAYS[best])


def _choose_act(
    task: Bins,
    engaged: npt.NDArray[np.bool_],
    holds: npt.NDArray[np.bool_],
    place: Float64,
    user: Float64,
    masks: npt.NDArray[np.bool_],
) -> Bins:
    allowed = masks[:, -len(ACTS) :]
    facing = np.abs(np.arctan2(place[:, 0], place[:, 1])) < np.deg2rad(28)
    speak = (task == tasks.GUIDE) & ~engaged & allowed[:, SPEAK]
    arrived = _length(place - user) < tasks.ARRIVED
    point = (task == tasks.GUIDE) & engaged & allowed[:, POINT] & facing & (_length(place) < tasks.POINT_REACH) & arrived
    pick = (task == tasks.BRING) & ~holds & allowed[:, PICK] & (_length(place) < tasks.PICK_REACH + 0.05)
    give = (task == tasks.BRING) & holds & allowed[:, GIVE]
    return np.select([speak, point, pick, give], [SPEAK, POINT, PICK, GIVE], NONE)


def _nearest(bins: Float64, wanted: Float64) -> Bins:
    return np.abs(bins - wanted[:, None]).argmin(axis=1)
