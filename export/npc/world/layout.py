"""Layouts of the assistant's world: places, obstacles, the ways of people and users, starts, requests, day or night.

A layout is drawn from counter-based random numbers addressed by (seed, world, episode), so it is the same whether its
world is drawn alone or among a thousand, and in any order. Everybody strolls on an ellipse,

    position(t) = centre + amplitude * sin(frequency * t + phase)        for x and for z

that keeps clear of obstacles and places.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from export.npc.layout import Float64, uniforms
from export.npc.world.language import NO_TARGET, PHRASES, first_sentence
from export.npc.world.spec import (
    ABSENT,
    DT,
    HALF_SIZE,
    LANDMARKS,
    NPC_RADIUS,
    PLACE_RADIUS,
    TASKS,
    USER_RADIUS,
    WorldConfig,
)

_STREAM = 0x57
_PLACE_TRIES, _OBSTACLE_TRIES, _WAY_TRIES, _START_TRIES = 10, 6, 6, 10
_WAY_SAMPLES = 16
_PASSAGE = 2.0 * NPC_RADIUS + 0.5


@dataclass
class Layout:
    """Layouts of W worlds with A agents, one row a world; the absent stand at (ABSENT, ABSENT).

    solid_xz, solid_radius: places first, in the order of `WorldConfig.places`, then obstacles, [W, S, 2] and [W, S].
    way_*: ellipses of the people, then of the users, [W, people + A, 2]. start_xz [W, A, 2], start_heading [W, A].
    task (into TASKS), target (place index, NO_TARGET for none), sentence (into `sentences()`): int64[W, A].
    night: bool[W]. cricket_xz [W, 2]: the sound of the night. bend_phase [W]: phase of the echo.
    """

    solid_xz: Float64
    solid_radius: Float64
    way_centre: Float64
    way_amplitude: Float64
    way_frequency: Float64
    way_phase: Float64
    start_xz: Float64
    start_heading: Float64
    task: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    sentence: npt.NDArray[np.int64]
    night: npt.NDArray[np.bool_]
    cricket_xz: Float64
    bend_phase: Float64

    def __len__(self) -> int:
        return len(self.night)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name, not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, worlds: npt.NDArray[Any]) -> Self:
        """Return a copy of some worlds, chosen by index or mask."""
        return type(self)(**{name: array[worlds] for name, array in self.arrays().items()})

    def put(self, worlds: npt.NDArray[Any], other: Layout) -> None:
        """Overwrite some worlds, chosen by index or mask, with those of `other`."""
        for name, array in self.arrays().items():
            array[worlds] = getattr(other, name)


class _Draws:
    """Hands out the uniform numbers of each layout in order, [W, ...] at a time."""

    def __init__(self, numbers: Float64) -> None:
        self._numbers, self._next = numbers, 0

    def take(self, *shape: int) -> Float64:
        count = int(np.prod(shape))
        drawn = self._numbers[:, self._next : self._next + count]
        self._next += count
        return drawn.reshape(len(drawn), *shape)


def way_position(layout: Layout, time: Float64) -> Float64:
    """Return where people and users would be on their ways at `time` float64[W] in seconds: float64[W, people + A, 2]."""
    angle = layout.way_frequency * time[:, None, None] + layout.way_phase
    return layout.way_centre + layout.way_amplitude * np.sin(angle)


def draw_layouts(config: WorldConfig, seed: int, worlds: npt.ArrayLike, episodes: npt.ArrayLike) -> Layout:
    """Draw one layout for each pair of world and episode number (uint64[W], uint32[W])."""
    places, people, agents = len(config.places), config.people, config.agents
    count = 2 * _PLACE_TRIES * places + 3 * _OBSTACLE_TRIES * config.obstacles
    count += 7 * _WAY_TRIES * (people + agents) + 2 * _START_TRIES * agents + 4 * agents + 4
    draws = _Draws(uniforms(seed, np.asarray(worlds, np.uint64), np.asarray(episodes, np.uint64), count, _STREAM))
    solid_xz, solid_radius = _draw_solids(config, draws)
    ways = _draw_ways(config, draws, solid_xz, solid_radius)
    start_xz = _draw_starts(config, draws, solid_xz, solid_radius, ways)
    heading, asked, named, phrase = (draws.take(agents) for _ in range(4))
    night, cricket, bend = draws.take(1)[:, 0] < 0.5, draws.take(2), draws.take(1)[:, 0]
    task, target, sentence = _draw_requests(config, asked, named, phrase)
    return Layout(
        solid_xz,
        solid_radius,
        *ways,
        start_xz,
        2.0 * np.pi * heading,
        task,
        target,
        sentence,
        night,
        (2.0 * cricket - 1.0) * HALF_SIZE,
        2.0 * np.pi * bend,
    )


def _draw_requests(config: WorldConfig, asked: Float64, named: Float64, phrase: Float64) -> tuple[Any, Any, Any]:
    tasks = np.array([TASKS.index(name) for name in config.tasks])
    task = tasks[(asked * len(tasks)).astype(np.int64)]
    landmark = (named * len(LANDMARKS)).astype(np.int64)
    stand = len(LANDMARKS) + (named * len(config.items)).astype(np.int64)
    to_landmark = (task == TASKS.index("guide")) | (task == TASKS.index("wait"))
    target = np.where(to_landmark, landmark, np.where(task == TASKS.index("bring"), stand, NO_TARGET))
    kind = np.where(target == NO_TARGET, NO_TARGET, np.array(config.places)[target])
    return task, target, first_sentence()[task, kind] + (phrase * PHRASES).astype(np.int64)


def _first_clear(clear: npt.NDArray[np.bool_], room: Float64) -> npt.NDArray[np.int64]:
    """Return for each world the first clear candidate, or the one with most room if none is."""
    return np.where(clear.any(axis=1), clear.argmax(axis=1), room.argmax(axis=1))


def _gaps(places: Float64, xz: Float64, radius: Float64) -> Float64:
    """Return how far candidates [W, C, 2] are from the nearest circle of [W, S]: float64[W, C]; infinite without any."""
    if xz.shape[1] == 0:
        return np.full(places.shape[:2], np.inf)
    x, z = places[:, :, None, 0] - xz[:, None, :, 0], places[:, :, None, 1] - xz[:, None, :, 1]
    return (np.sqrt(x * x + z * z) - radius[:, None]).min(axis=2)


def _draw_solids(config: WorldConfig, draws: _Draws) -> tuple[Float64, Float64]:
    places = len(config.places)
    at = (2.0 * draws.take(places, _PLACE_TRIES, 2) - 1.0) * (HALF_SIZE - 1.5)
    drawn = draws.take(config.obstacles, _OBSTACLE_TRIES, 3)
    rows = np.arange(len(at))
    xz = np.full((len(at), places + config.obstacles, 2), ABSENT)
    radius = np.zeros((len(at), places + config.obstacles))
    for i in range(places):
        room = _gaps(at[:, i], xz[:, :i], radius[:, :i])
        xz[:, i] = at[rows, i, _first_clear(room >= 2.6, room)]
        radius[:, i] = PLACE_RADIUS
    for i in range(config.obstacles):
        size = 0.5 + 0.7 * drawn[:, i, :, 2]
        spot = (2.0 * drawn[:, i, :, :2] - 1.0) * (HALF_SIZE - _PASSAGE - size)[:, :, None]
        clear = _gaps(spot, xz[:, : places + i], radius[:, : places + i]) >= size + _PASSAGE
        chosen, found = clear.argmax(axis=1), clear.any(axis=1)
        xz[found, places + i] = spot[rows, chosen][found]
        radius[found, places + i] = size[rows, chosen][found]
    return xz, radius


def _draw_ways(config: WorldConfig, draws: _Draws, solid_xz: Float64, solid_radius: Float64) -> tuple[Float64, ...]:
    """Return centre, amplitude, frequency and phase; ways shrink from try to try until one is clear."""
    walkers = config.people + config.agents
    u = draws.take(walkers, _WAY_TRIES, 7)
    shrink = 0.6 ** np.arange(_WAY_TRIES)[:, None]
    amplitude = (0.8 + 4.2 * u[..., 0:2]) * shrink
    centre = (2.0 * u[..., 2:4] - 1.0) * (HALF_SIZE - 1.0 - amplitude)
    phase = 2.0 * np.pi * u[..., 4:6]
    pace = np.full(walkers, 1.2)
    pace[config.people :] = config.user_speed
    peak = pace[:, None] * (0.4 + 0.6 * u[..., 6])
    frequency = peak / np.sqrt((amplitude**2).sum(axis=-1))
    turn = 2.0 * np.pi * np.arange(_WAY_SAMPLES) / _WAY_SAMPLES
    rows = np.arange(len(u))
    chosen = []
    for i in range(walkers):
        angle = turn[:, None] + phase[:, i, :, None]
        points = centre[:, i, :, None] + amplitude[:, i, :, None] * np.sin(angle)
        gaps = _gaps(points.reshape(len(u), -1, 2), solid_xz, solid_radius).reshape(len(u), _WAY_TRIES, _WAY_SAMPLES)
        room = gaps.min(axis=2)
        best = _first_clear(room >= USER_RADIUS + 0.45, room)
        parts = [part[rows, i, best] for part in (centre, amplitude, frequency, phase)]
        if i < config.people:
            blocked = room[rows, best] < USER_RADIUS + 0.05
            parts[0] = np.where(blocked[:, None], ABSENT, parts[0])
        chosen.append(parts)
    stacked = [np.stack(part, axis=1) for part in zip(*chosen, strict=True)]
    return stacked[0], stacked[1], np.repeat(stacked[2][..., None], 2, axis=2), stacked[3]


def _draw_starts(
    config: WorldConfig, draws: _Draws, solid_xz: Float64, solid_radius: Float64, ways: tuple[Float64, ...]
) -> Float64:
    """Starts keep clear of solids, of people, 2.5 m from the own user and 1.5 m from earlier agents."""
    at = (2.0 * draws.take(config.agents, _START_TRIES, 2) - 1.0) * (HALF_SIZE - 1.0)
    centre, amplitude, frequency, phase = ways
    walkers = centre + amplitude * np.sin(phase - DT * frequency)
    starts = np.zeros((len(at), config.agents, 2))
    rows = np.arange(len(at))
    for i in range(config.agents):
        user = config.people + i
        room = _gaps(at[:, i], solid_xz, solid_radius) - NPC_RADIUS - 0.3
        room = np.minimum(room, _gaps(at[:, i], walkers, np.full(walkers.shape[:2], 1.0)))
        room = np.minimum(room, _gaps(at[:, i], walkers[:, user : user + 1], np.full((len(at), 1), 2.5)))
        room = np.minimum(room, _gaps(at[:, i], starts[:, :i], np.full((len(at), i), 1.5)))
        starts[:, i] = at[rows, i, _first_clear(room >= 0.0, room)]
    return starts


@cache
def item_of_place(config: WorldConfig) -> npt.NDArray[np.int64]:
    """Return the item (into ITEMS) that each place offers, int64[places]; -1 for landmarks."""
    offered = np.maximum(np.array(config.places) - len(LANDMARKS), -1)
    offered.setflags(write=False)
    return offered
