"""Golden trajectories: actions and what they must lead to, by which a port of the world, or a change of it, is judged.

`python -m export npc golden --out FILE` writes them; `replay` gives the numbers again from their actions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.npc.world.scripted import random_policy, scripted
from export.npc.world.simulation import World
from export.npc.world.spec import SPEED_BINS, TURN_BINS, WorldConfig, world_config_from_json

EVERY = 20
TICKS = 160


def record(config: WorldConfig, seed: int, worlds: int) -> dict[str, Any]:
    """Play the scripted policy, every fourth agent the random one, and return a JSON document with every action."""
    world, chance = World(worlds, seed, config), random_policy(seed)
    actions = []
    for _ in range(TICKS):
        observation, masks = world.observe(), world.action_masks()
        bins = scripted(observation, masks)
        bins[::4] = chance(observation, masks)[::4]
        actions.append(bins.tolist())
        _step(world, bins)
    document = {"config": config.to_json(), "seed": seed, "worlds": worlds, "every": EVERY, "actions": actions}
    return document | {"samples": replay(document)}


def replay(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the state and the observation of all agents after every `every` ticks of a document's actions."""
    world = World(document["worlds"], document["seed"], world_config_from_json(document["config"]))
    samples = [_sample(world)]
    for tick, bins in enumerate(document["actions"], 1):
        _step(world, np.array(bins))
        if tick % document["every"] == 0:
            samples.append(_sample(world))
    return samples


def _step(world: World, bins: np.ndarray) -> None:
    shape = world.xz.shape[:2]
    speed, turn = SPEED_BINS[bins[:, 0]] * world.config.top_speed, TURN_BINS[bins[:, 1]]
    world.step(speed.reshape(shape), turn.reshape(shape), bins[:, 2].reshape(shape))


def _sample(world: World) -> dict[str, Any]:
    observation = {name: part.astype(np.float64).reshape(world.agents, -1).sum(1) for name, part in world.observe().items()}
    values = {"xz": world.xz, "heading": world.heading, "user_xz": world.user_xz, "return": world.returns, **observation}
    sample: dict[str, Any] = {name: np.round(part, 6).tolist() for name, part in values.items()}
    return sample | {"done": world.done.tolist(), "carrying": world.carrying.tolist(), "streak": world.streak.tolist()}


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
