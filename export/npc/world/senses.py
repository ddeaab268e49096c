"""What agents perceive: float32 arrays by modality, [W * A, ...], everything between -1 and 1.

vision [21, 5]: one ray every 12 degrees from -120 (right) to +120 (left). `nearness` = 1 - s / RAY_RANGE, where s is how far
the agent's body could slide before it touches what the ray meets; then one of solid (obstacles, walls), place, person
(people, other users, other agents), user (the own one). 0 where nothing is met within RAY_RANGE by day, NIGHT_SIGHT by
night. Behind the agent nothing is seen.

audio [4, 3]: for each band the level (0 to 1) and the sine and cosine of the direction it comes from (left is +1); 0, 0, 0
in silence. A source of gain g at d metres is heard at g / (1 + (d / 4)^2); a band sums its sources, the direction is that
of the sum of vectors. user: the own user calls until the request is fulfilled, gain 1. voices: people, 0.8 by day and 0.2 by
night. water: the fountain, 0.7. ambience: music from the stage by day, 0.6, crickets from a hedge by night, 0.4. Echoes bend
the direction of the call by BEND * (1 by day, 0.4 by night) * d / (d + 6) * sin(0.7 t + phase) radians.

language [64]: the embedding of the request, 0 when done. touch [9]: pressure by sector of 45 degrees, counter-clockwise from
ahead, 1 at an overlap of 0.1 m; whether something is in the hand. own [42]: speed / 2, turn rate / 2, engaged, share of the
streak, share of the time left, daylight, the item in hand (one hot), and what the agent knows of its plaza as from a map:
for every kind of place whether there is one and where, left and forward in units of 20 m.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from export.npc.layout import Float32, Float64
from export.npc.world.language import sentence_table
from export.npc.world.spec import (
    AUDIO_CHANNELS,
    BANDS,
    DT,
    HALF_SIZE,
    ITEMS,
    KINDS,
    LANDMARKS,
    MAP_START,
    NIGHT_SIGHT,
    NPC_RADIUS,
    OWN,
    RAY_DEGREES,
    RAY_RANGE,
    SIGHTS,
    STREAK_TICKS,
    TOUCH,
    TOUCH_SECTORS,
    USER_RADIUS,
    VISION_CHANNELS,
    WorldConfig,
)

if TYPE_CHECKING:
    from export.npc.world.simulation import World

Observation = dict[str, Float32]

MAP_SCALE = 20.0
HEARING = 4.0
BEND = 0.35
_RAY_ANGLES = np.deg2rad(RAY_DEGREES)
_OWN_SCALE = 2.0
_SOLID, _PLACE, _PERSON, _USER = range(len(SIGHTS))


def forward(heading: Float64) -> Float64:
    """Return the unit vectors (x, z) that headings look along."""
    return np.stack((np.sin(heading), np.cos(heading)), axis=-1)


def length(vectors: Float64) -> Float64:
    """Return the lengths of vectors [..., 2]."""
    x, z = vectors[..., 0], vectors[..., 1]
    return np.sqrt(x * x + z * z)


def in_frame(vectors: Float64, heading: Float64) -> tuple[Float64, Float64]:
    """Return the left and the forward part of world vectors [..., 2] for agents with these headings."""
    sine, cosine = np.sin(heading), np.cos(heading)
    x, z = vectors[..., 0], vectors[..., 1]
    return x * cosine - z * sine, x * sine + z * cosine


def observe(world: World) -> Observation:
    """Return the observations of all agents, rows in the order of worlds, then agents."""
    parts = {
        "vision": vision(world),
        "audio": audio(world),
        "language": sentence_table()[np.where(world.done, -1, world.layout.sentence)],
        "touch": touch(world),
        "own": own(world),
    }
    return {name: part.reshape(world.agents, *part.shape[2:]) for name, part in parts.items()}


@cache
def _sights(config: WorldConfig) -> npt.NDArray[np.int64]:
    """Return what each circle of a world looks like to each agent, int64[A, C], -1 for its own body.

    Circles are solids (places, obstacles), people, users, agents.
    """
    row = [_PLACE] * len(config.places) + [_SOLID] * config.obstacles + [_PERSON] * (config.people + 2 * config.agents)
    sights = np.tile(np.array(row, np.int64), (config.agents, 1))
    agent = np.arange(config.agents)
    users = len(row) - 2 * config.agents
    sights[agent, users + agent] = _USER
    sights[agent, users + config.agents + agent] = -1
    return sights


def vision(world: World) -> Float32:
    """Return float32[W, A, 21, 5]."""
    config = world.config
    bodies = np.concatenate((world.people_xz, world.user_xz, world.xz), axis=1)
    centre = np.concatenate((world.layout.solid_xz, bodies), axis=1)
    radius = np.empty(centre.shape[:2])
    solids = world.layout.solid_radius.shape[1]
    radius[:, :solids] = world.layout.solid_radius
    radius[:, solids:] = USER_RADIUS
    radius[:, -config.agents :] = NPC_RADIUS
    sights = _sights(config)
    reach, met = _slide(world, centre, radius, sights < 0)
    seen = np.where(met < 0, _SOLID, np.take_along_axis(sights[None, :, None], np.maximum(met, 0)[..., None], 3)[..., 0])
    sight = np.where(world.layout.night, NIGHT_SIGHT, RAY_RANGE)[:, None, None]
    visible = reach < sight
    picture = np.zeros((*reach.shape, len(VISION_CHANNELS)), np.float32)
    picture[..., 0] = np.where(visible, 1.0 - reach / RAY_RANGE, 0.0)
    picture[..., 1:] = visible[..., None] & (seen[..., None] == np.arange(len(SIGHTS)))
    return picture


def _slide(world: World, centre: Float64, radius: Float64, own: npt.NDArray[np.bool_]) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Return how far each body can slide along each ray [W, A, R], and which circle stops it (-1: a wall)."""
    direction = forward(world.heading[..., None] + _RAY_ANGLES)
    x = (centre[:, None, :, 0] - world.xz[:, :, None, 0])[:, :, None]
    z = (centre[:, None, :, 1] - world.xz[:, :, None, 1])[:, :, None]
    along = x * direction[..., None, 0] + z * direction[..., None, 1]
    inflated = np.where(own, 0.0, (radius[:, None] + NPC_RADIUS) ** 2)
    beside = (inflated - (x * x + z * z)[:, :, 0])[:, :, None] + along * along
    hit = (along > 0.0) & (beside > 0.0)
    reach = np.where(hit, along - np.sqrt(np.maximum(beside, 0.0)), RAY_RANGE)
    met = reach.argmin(axis=3)
    reach = np.take_along_axis(reach, met[..., None], 3)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        wall = (np.sign(direction) * (HALF_SIZE - NPC_RADIUS) - world.xz[:, :, None]) / direction
    wall = np.where(np.abs(direction) > 1e-9, wall, RAY_RANGE).min(axis=3)
    met = np.where(wall < reach, -1, met)
    return np.clip(np.minimum(reach, wall), 0.0, RAY_RANGE), met


def audio(world: World) -> Float32:
    """Return float32[W, A, 4, 3]."""
    places = world.layout.solid_xz
    night = world.layout.night[:, None]
    hum = np.where(night, world.layout.cricket_xz, places[:, LANDMARKS.index("stage")])
    heard = np.zeros((*world.xz.shape[:2], len(BANDS), len(AUDIO_CHANNELS)), np.float32)
    level, left, ahead = _loudness(world, world.user_xz[:, :, None])
    distance = HEARING * np.sqrt(np.maximum(1.0 / np.maximum(level, 1e-9) - 1.0, 0.0))
    swing = np.sin(0.7 * DT * world.tick + world.layout.bend_phase)[:, None]
    bend = BEND * np.where(night, 0.4, 1.0) * distance / (distance + 6.0) * swing
    angle = np.arctan2(left, ahead) + bend
    _write(heard[:, :, 0], np.where(world.done, 0.0, level), np.sin(angle), np.cos(angle))
    gain = np.where(night, 0.2, 0.8)
    for band, (sources, loud) in enumerate(
        ((world.people_xz[:, None], gain), (places[:, None, :1], 0.7), (hum[:, None, None], np.where(night, 0.4, 0.6))), 1
    ):
        level, left, ahead = _loudness(world, sources)
        _write(heard[:, :, band], level * loud, left, ahead)
    return heard


def _loudness(world: World, sources: Float64) -> tuple[Float64, Float64, Float64]:
    """Return the summed level and the left and forward parts of the summed directions of sources [W, 1 or A, N, 2]."""
    left, ahead = in_frame(sources - world.xz[:, :, None], world.heading[..., None])
    squared = left * left + ahead * ahead
    level = 1.0 / (1.0 + squared / HEARING**2)
    share = level / np.maximum(np.sqrt(squared), 1e-9)
    return level.sum(axis=2), (left * share).sum(axis=2), (ahead * share).sum(axis=2)


def _write(band: Float32, level: Float64, left: Float64, ahead: Float64) -> None:
    size = np.sqrt(left * left + ahead * ahead)
    audible = (level > 1e-3) & (size > 1e-9)
    band[..., 0] = np.where(audible, np.minimum(level, 1.0), 0.0)
    band[..., 1] = np.where(audible, left / np.maximum(size, 1e-9), 0.0)
    band[..., 2] = np.where(audible, ahead / np.maximum(size, 1e-9), 0.0)


def touch(world: World) -> Float32:
    """Return float32[W, A, 9]."""
    felt = np.zeros((*world.xz.shape[:2], len(TOUCH)), np.float32)
    felt[..., :TOUCH_SECTORS] = world.pressure
    felt[..., TOUCH_SECTORS] = world.carrying >= 0
    return felt


def own(world: World) -> Float32:
    """Return float32[W, A, 42]."""
    config = world.config
    state = np.zeros((*world.xz.shape[:2], len(OWN)), np.float32)
    state[..., 0] = np.clip(world.speed / _OWN_SCALE, -1.0, 1.0)
    state[..., 1] = np.clip(world.turn_rate / _OWN_SCALE, -1.0, 1.0)
    state[..., 2] = world.engaged
    state[..., 3] = np.minimum(world.streak / STREAK_TICKS, 1.0)
    state[..., 4] = np.maximum(0.0, 1.0 - world.tick / config.ticks)[:, None]
    state[..., 5] = ~world.layout.night[:, None]
    state[..., 6 : 6 + len(ITEMS)] = world.carrying[..., None] == np.arange(len(ITEMS))
    places = list(config.places)
    offset = world.layout.solid_xz[:, None, : len(places)] - world.xz[:, :, None]
    left, ahead = in_frame(offset, world.heading[..., None])
    known = state[..., MAP_START:].reshape(*state.shape[:2], len(KINDS), 3)
    known[..., places, 0] = 1.0
    known[..., places, 1] = np.clip(left / MAP_SCALE, -1.0, 1.0)
    known[..., places, 2] = np.clip(ahead / MAP_SCALE, -1.0, 1.0)
    state[..., MAP_START:] = known.reshape(*state.shape[:2], -1)
    return state
