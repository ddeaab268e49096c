"""Golden trajectories: actions and what they must lead to, by which a port of the world, or a change of it, is judged.

`python -m export npc golden --out FILE` writes them; `replay` gives the numbers again from their actions, and `moments` all
that a port has to reproduce, tick by tick.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.npc.layout import Float64
from export.npc.world.scripted import random_policy, scripted
from export.npc.world.senses import Observation
from export.npc.world.simulation import World
from export.npc.world.spec import SPEED_BINS, TURN_BINS, WorldConfig, world_config_from_json

EVERY = 20
TICKS = 160


def record(config: WorldConfig, seed: int, worlds: int, ticks: int = TICKS) -> dict[str, Any]:
    """Play the scripted policy, every fourth agent the random one, and return a JSON document with every action."""
    world, chance = World(worlds, seed, config), random_policy(seed)
    actions = []
    for _ in range(ticks):
        observation, masks = world.observe(), world.action_masks()
        bins = scripted(observation, masks)
        bins[::4] = chance(observation, masks)[::4]
        actions.append(bins.tolist())
        _step(world, bins)
    document = {"config": config.to_json(), "seed": seed, "worlds": worlds, "every": EVERY, "actions": actions}
    return document | {"samples": replay(document)}


def replay(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the state and the observation of all agents after every `every` ticks of a document's actions."""
    world = _world(document)
    samples = [_sample(world)]
    for tick, bins in enumerate(document["actions"], 1):
        _step(world, np.array(bins))
        if tick % document["every"] == 0:
            samples.append(_sample(world))
    return samples


@dataclass(frozen=True)
class Moment:
    """What N agents of W worlds perceive and may do, and what follows: rewards float64[N], ends of episodes bool[W]."""

    observation: Observation
    masks: npt.NDArray[np.bool_]
    rewards: Float64
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]


def moments(document: dict[str, Any]) -> Iterator[Moment]:
    """Yield every tick of a document's actions; worlds whose episode is over begin the next one."""
    world = _world(document)
    for bins in document["actions"]:
        observation, masks = world.observe(), world.action_masks()
        yield Moment(observation, masks, *_step(world, np.array(bins)))


def states(document: dict[str, Any]) -> Iterator[World]:
    """Yield the worlds as they stand at every tick of a document's actions, before they act: one object, which goes on."""
    world = _world(document)
    for bins in document["actions"]:
        yield world
        _step(world, np.array(bins))


def _world(document: dict[str, Any]) -> World:
    return World(document["worlds"], document["seed"], world_config_from_json(document["config"]))


def _step(world: World, bins: np.ndarray) -> tuple[Float64, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Step under bins [N, 3] and begin the next episode of worlds that are over; return rewards and which were over."""
    shape = world.xz.shape[:2]
    speed, turn = SPEED_BINS[bins[:, 0]] * world.config.top_speed, TURN_BINS[bins[:, 1]]
    rewards = world.step(speed.reshape(shape), turn.reshape(shape), bins[:, 2].reshape(shape))
    terminated, truncated = world.over()
    ended = np.flatnonzero(terminated | truncated)
    if len(ended):
        world.reset(ended)
    return rewards.ravel(), terminated, truncated


def _sample(world: World) -> dict[str, Any]:
    observation = {name: part.astype(np.float64).reshape(world.agents, -1).sum(1) for name, part in world.observe().items()}
    values = {"xz": world.xz, "heading": world.heading, "user_xz": world.user_xz, "return": world.returns, **observation}
    sample: dict[str, Any] = {name: np.round(part, 6).tolist() for name, part in values.items()}
    counts = ("episode", "done", "carrying", "streak")
    return sample | {name: getattr(world, name).tolist() for name in counts}


@dataclass(frozen=True)
class GoldenConfig:
    """Writes golden trajectories of the assistant's world as JSON: actions, and the states that they lead to."""

    out: Path = Path("out/npc-golden.json")
    """File to write."""
    seed: int = 5
    """Seed of the worlds."""
    worlds: int = 4
    """Number of worlds, two agents each."""

    def run(self) -> None:
        """Writes the file and prints its path."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(json.dumps(record(WorldConfig(agents=2), self.seed, self.worlds)) + "\n", "utf-8")
        print(self.out)
