"""What the assistant's world is made of: its options, vocabulary, sizes and the spaces of observations and actions.

Space is glTF's (right-handed, +Y up, +Z forward), metres, radians, seconds, seen on the x-z plane. An agent's frame has
*forward* along its heading and *left* a quarter turn counter-clockwise of it, seen from above.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from export.npc.layout import ABSENT as ABSENT
from export.npc.layout import HALF_SIZE as HALF_SIZE
from export.npc.layout import NPC_RADIUS as NPC_RADIUS
from export.npc.layout import USER_RADIUS as USER_RADIUS

DT = 0.1
RESPONSE = 0.5
STREAK_TICKS = 40
"""Ticks of unbroken service that fulfil a request to follow, to keep away or to wait."""
TASKS = ("guide", "bring", "follow", "keep", "wait")
LANDMARKS = ("fountain", "stage", "gate", "tree")
ITEMS = ("flower", "book", "drink", "lamp", "apple", "map")
KINDS = (*LANDMARKS, *ITEMS)
PLACE_RADIUS = 0.4

ACTS = ("none", "speak", "point", "pick", "give")
NONE, SPEAK, POINT, PICK, GIVE = range(len(ACTS))
SPEED_BINS = np.array([-0.35, 0.0, 0.35, 0.7, 1.0])
"""Shares of the agent's top speed."""
TURN_BINS = np.array([-2.0, -0.9, -0.3, 0.0, 0.3, 0.9, 2.0])
"""Turn rates in rad/s, positive to the left."""
MASK_SIZE = len(SPEED_BINS) + len(TURN_BINS) + len(ACTS)

RAY_DEGREES = np.arange(-120, 121, 12)
RAY_RANGE = 8.0
NIGHT_SIGHT = 4.0
SIGHTS = ("solid", "place", "person", "user")
VISION_CHANNELS = ("nearness", *SIGHTS)
BANDS = ("user", "voices", "water", "ambience")
AUDIO_CHANNELS = ("level", "sine", "cosine")
LANGUAGE_SIZE = 64
TOUCH_SECTORS = 8
TOUCH = (*(f"pressure_{360 * i // TOUCH_SECTORS:03d}" for i in range(TOUCH_SECTORS)), "hand")
OWN = (
    "speed",
    "turn_rate",
    "engaged",
    "streak",
    "time_left",
    "daylight",
    *(f"carries_{item}" for item in ITEMS),
    *(f"{kind}_{part}" for kind in KINDS for part in ("known", "left", "forward")),
)
MAP_START = OWN.index(f"{KINDS[0]}_known")
MODALITIES = ("vision", "audio", "language", "touch", "own")


@dataclass(frozen=True)
class WorldConfig:
    """A plaza: how many agents, people and obstacles, what is asked for, and how fast an agent is."""

    agents: int = 1
    """Agents of a world, each with a user of its own; they see and touch one another."""
    people: int = 4
    """People who stroll through a world and push agents out of their way."""
    obstacles: int = 6
    """Most obstacles of a world; fewer where they would stand in a way."""
    tasks: tuple[str, ...] = TASKS
    """What users ask for: guide, bring, follow, keep, wait."""
    items: tuple[str, ...] = ("flower", "book", "drink")
    """The items on offer, each at a stand of its own: flower, book, drink, lamp, apple, map."""
    top_speed: float = 1.8
    """Fastest speed of an agent in m/s; the speed bins are shares of it."""
    user_speed: float = 0.9
    """Fastest pace of a strolling user in m/s."""
    seconds: float = 30.0
    """Longest episode in seconds."""

    def __post_init__(self) -> None:
        for name, known in (("tasks", TASKS), ("items", ITEMS)):
            given = getattr(self, name)
            if not given or len(set(given)) != len(given) or not set(given) <= set(known):
                raise ValueError(f"{name} are {given}, expected different ones of {known}, at least one")
        for name, lowest in (("agents", 1), ("people", 0), ("obstacles", 0)):
            if not lowest <= getattr(self, name) <= 64:
                raise ValueError(f"{name} is {getattr(self, name)}, expected {lowest} .. 64")
        for name in ("top_speed", "user_speed", "seconds"):
            if not 0.0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a positive number")

    @property
    def places(self) -> tuple[int, ...]:
        """The kinds of the places of a world, indices into KINDS: every landmark and one stand an item."""
        return (*range(len(LANDMARKS)), *(len(LANDMARKS) + ITEMS.index(item) for item in self.items))

    @property
    def ticks(self) -> int:
        """Ticks of the longest episode."""
        return round(self.seconds / DT)

    def to_json(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        return dataclasses.asdict(self) | {"tasks": list(self.tasks), "items": list(self.items)}


def world_config_from_json(values: dict[str, Any]) -> WorldConfig:
    """Return the options that `to_json` wrote."""
    return WorldConfig(**values | {"tasks": tuple(values["tasks"]), "items": tuple(values["items"])})


def observation_space() -> gym.spaces.Dict:
    """One Box a modality, float32: vision [21, 5], audio [4, 3], language [64], touch [9], own [42]."""
    boxes = {
        "vision": gym.spaces.Box(0.0, 1.0, (len(RAY_DEGREES), len(VISION_CHANNELS)), np.float32),
        "audio": gym.spaces.Box(-1.0, 1.0, (len(BANDS), len(AUDIO_CHANNELS)), np.float32),
        "language": gym.spaces.Box(-1.0, 1.0, (LANGUAGE_SIZE,), np.float32),
        "touch": gym.spaces.Box(0.0, 1.0, (len(TOUCH),), np.float32),
        "own": gym.spaces.Box(-1.0, 1.0, (len(OWN),), np.float32),
    }
    return gym.spaces.Dict(boxes)
