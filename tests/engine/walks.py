"""The assistant's episodes in Python's world, each tick one `ChooseActions` call to a sidecar, as the engine plays them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.client import Client, Group
from export.npc.world.simulation import World
from export.npc.world.spec import SPEED_BINS, TASKS, TURN_BINS, WorldConfig


@dataclass(frozen=True)
class Episode:
    """An episode that is over: which it was, what was asked for, and what became of it."""

    plaza: int
    episode: int
    task: str
    done: bool
    ticks: int
    total: float


@dataclass(frozen=True)
class Walk:
    """Where the assistants stand at the end, float64[N, 2] in glTF's space, and the episodes that are over."""

    xz: npt.NDArray[np.float64]
    episodes: list[Episode]


def walk(client: Client, model: str, *, plazas: int, seed: int, ticks: int, config: WorldConfig | None = None) -> Walk:
    """Play worlds of one agent each; those that are over begin the next episode."""
    world = World(plazas, seed, config)
    starts = np.ones(plazas, bool)
    episodes: list[Episode] = []
    for tick in range(ticks):
        group = Group(
            model, range(1, plazas + 1), world.observe(), episode_starts=starts.tolist(), action_mask=world.action_masks()
        )
        bins = client.choose_actions([group], tick=tick)[0].actions["action"][:, None]
        world.step(SPEED_BINS[bins[..., 0]] * world.config.top_speed, TURN_BINS[bins[..., 1]], bins[..., 2])
        terminated, truncated = world.over()
        starts = terminated | truncated
        ended = np.flatnonzero(starts)
        episodes += [_episode(world, plaza) for plaza in ended]
        if len(ended):
            world.reset(ended)
    return Walk(world.xz[:, 0].copy(), episodes)


def _episode(world: World, plaza: int) -> Episode:
    task = TASKS[world.layout.task[plaza, 0]]
    done, total = bool(world.done[plaza, 0]), float(world.returns[plaza, 0])
    return Episode(int(plaza), int(world.episode[plaza]), task, done, int(world.tick[plaza]), total)
