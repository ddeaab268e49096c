"""Layouts of the plaza: where the obstacles stand, how the user strolls and where the NPC starts.

Space is glTF's: right-handed, +Y up, +Z forward, metres; the plaza is the square |x|, |z| <= `HALF_SIZE` of the x-z
plane. Positions are written (x, z). A layout is drawn from counter-based random numbers addressed by (seed, world,
episode), so it is the same whether its world is drawn alone or among a thousand, and in any order.

The user strolls on a closed curve, an ellipse or a figure of eight, at a pace that swells and ebbs:

    strolled(t) = t - pause * sin(gait * t) / gait
    user(t)     = centre + amplitude * sin(frequency * strolled(t) + phase)        for x and for z
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bridge.seeds import philox

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

HALF_SIZE = 10.0
NPC_RADIUS = 0.4
USER_RADIUS = 0.3
MAX_OBSTACLES = 8
ABSENT = 1000.0

_CANDIDATES = 24
_STARTS = 8
_CURVES = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 1.0]])
_STREAM = 0x50
_LOW = np.uint64(0xFFFFFFFF)


@dataclass
class Layout:
    """Layouts of W worlds, one row a world, float64; an absent obstacle has radius 0 and stands at (ABSENT, ABSENT)."""

    centre: Float64
    amplitude: Float64
    frequency: Float64
    phase: Float64
    pause: Float64
    gait: Float64
    obstacle_xz: Float64
    obstacle_radius: Float64
    start_xz: Float64
    start_heading: Float64

    def __len__(self) -> int:
        return len(self.pause)

    def arrays(self) -> dict[str, Float64]:
        """Return the arrays by name, not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, worlds: npt.NDArray[Any]) -> Self:
        """Return a copy of some worlds, chosen by index or mask."""
        return type(self)(**{name: array[worlds] for name, array in self.arrays().items()})

    def put(self, worlds: npt.NDArray[Any], other: Layout) -> None:
        """Overwrite some worlds, chosen by index or mask, with those of `other`."""
        for name, array in self.arrays().items():
            array[worlds] = getattr(other, name)


def user_position(layout: Layout, time: Float64) -> Float64:
    """Return the user's position (x, z), float64[W, 2], at `time` float64[W] in seconds; negative times are fine."""
    strolled = time - layout.pause * np.sin(layout.gait * time) / layout.gait
    return layout.centre + layout.amplitude * np.sin(layout.frequency * strolled[:, None] + layout.phase)


def draw_layouts(
    seed: int,
    worlds: npt.ArrayLike,
    episodes: npt.ArrayLike,
    *,
    path_clearance: float = 1.2,
    start_clearance: float = 0.8,
    peak_speed: tuple[float, float] = (0.5, 1.5),
) -> Layout:
    """Draw one layout for each pair of world and episode number (uint64[W], uint32[W]).

    Obstacles keep `path_clearance` metres from the whole of the user's curve, `start_clearance` from the NPC's start,
    and
    from each other and the walls so much that the NPC passes between. `peak_speed` bounds the user's highest speed in m/s.
    """
    count = 12 + 3 * _STARTS + 3 * _CANDIDATES
    uniform = uniforms(seed, np.asarray(worlds, np.uint64), np.asarray(episodes, np.uint64), count, _STREAM)
    path, start, candidates = np.split(uniform, [12, 12 + 3 * _STARTS], axis=1)
    layout = _draw_path(path, peak_speed)
    _draw_start(layout, start.reshape(len(uniform), _STARTS, 3))
    _draw_obstacles(layout, candidates.reshape(len(uniform), _CANDIDATES, 3), path_clearance, start_clearance)
    return layout


def uniforms(seed: int, worlds: npt.NDArray[np.uint64], episodes: npt.NDArray[np.uint64], count: int, stream: int) -> Float64:
    """Return float64[W, count] in (0, 1), addressed by seed, world and episode; `stream` (8 bits) separates purposes."""
    block = np.arange(-(-count // 4), dtype=np.uint64)[None] | np.uint64(stream << 24)
    world, episode = worlds[:, None], episodes[:, None]
    words = np.broadcast_arrays(block, episode & _LOW, world & _LOW, world >> np.uint64(32))
    key = np.array([[seed & 0xFFFFFFFF, seed >> 32]], np.uint32)
    drawn = philox(np.stack(words, axis=-1).astype(np.uint32), key)
    return ((drawn.astype(np.float64) + 0.5) * 2.0**-32).reshape(len(worlds), 4 * drawn.shape[1])[:, :count]


def _draw_path(u: Float64, peak_speed: tuple[float, float]) -> Layout:
    count = len(u)
    amplitude = 1.5 + 5.0 * u[:, 0:2]
    centre = (2.0 * u[:, 2:4] - 1.0) * (HALF_SIZE - 2.0 - amplitude)
    multiple = _CURVES[(u[:, 6] * len(_CURVES)).astype(int)]
    pause = u[:, 7]
    peak = peak_speed[0] + (peak_speed[1] - peak_speed[0]) * u[:, 9]
    top = np.linalg.norm(amplitude * multiple, axis=1) * (1.0 + pause)
    return Layout(
        centre=centre,
        amplitude=amplitude,
        frequency=multiple * (peak / top)[:, None],
        phase=2.0 * np.pi * u[:, 4:6],
        pause=pause,
        gait=2.0 * np.pi / (6.0 + 8.0 * u[:, 8]),
        obstacle_xz=np.full((count, MAX_OBSTACLES, 2), ABSENT),
        obstacle_radius=np.zeros((count, MAX_OBSTACLES)),
        start_xz=np.zeros((count, 2)),
        start_heading=2.0 * np.pi * u[:, 10],
    )


def _draw_start(layout: Layout, u: Float64) -> None:
    """Start at the first candidate 3 m or more from the user, or the farthest if none is."""
    places = (2.0 * u[:, :, :2] - 1.0) * (HALF_SIZE - 1.0)
    distance = np.linalg.norm(places - user_position(layout, np.zeros(len(u)))[:, None], axis=2)
    far = distance >= 3.0
    chosen = np.where(far.any(axis=1), far.argmax(axis=1), distance.argmax(axis=1))
    layout.start_xz = places[np.arange(len(u)), chosen]


def _draw_obstacles(layout: Layout, u: Float64, path_clearance: float, start_clearance: float) -> None:
    """Accept candidates in turn where they keep their distances, up to a number drawn for each world."""
    radius = 0.5 + 0.9 * u[:, :, 2]
    passage = 2.0 * NPC_RADIUS + 0.1
    places = (2.0 * u[:, :, :2] - 1.0) * (HALF_SIZE - radius - passage)[:, :, None]
    to_path = _distance_to_curve(layout, places)
    to_start = np.linalg.norm(places - layout.start_xz[:, None], axis=2)
    clear = (to_path >= radius + path_clearance) & (to_start >= radius + NPC_RADIUS + start_clearance)
    count = np.zeros(len(u), int)
    for i in range(u.shape[1]):
        apart = np.linalg.norm(layout.obstacle_xz - places[:, i, None], axis=2)
        free = (apart - layout.obstacle_radius - radius[:, i, None] >= passage).all(axis=1)
        worlds = np.flatnonzero(clear[:, i] & free & (count < MAX_OBSTACLES))
        layout.obstacle_xz[worlds, count[worlds]] = places[worlds, i]
        layout.obstacle_radius[worlds, count[worlds]] = radius[worlds, i]
        count[worlds] += 1


def _distance_to_curve(layout: Layout, places: Float64, samples: int = 128) -> Float64:
    """Return the distance float64[W, M] of places float64[W, M, 2] to the closed curve, sampled all round."""
    base = layout.frequency.min(axis=1, keepdims=True)
    turn = 2.0 * np.pi * np.arange(samples) / samples
    angle = turn[None, :, None] * (layout.frequency / base)[:, None] + layout.phase[:, None]
    curve = layout.centre[:, None] + layout.amplitude[:, None] * np.sin(angle)
    squared = np.full(places.shape[:2], np.inf)
    for i in range(samples):
        offset = places - curve[:, i, None]
        np.minimum(squared, offset[..., 0] ** 2 + offset[..., 1] ** 2, out=squared)
    return np.sqrt(squared)
