"""`npc.gif`: four assistants play an episode, each tick one `ChooseActions` call to the sidecar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bridge.client import Client, Group
from export.npc.env import EPISODE_TICKS, Plaza
from export.npc.render import draw_world, save_gif

WORLDS, SEED, EVERY, SIZE_PX = 4, 2_026, 3, 256


@dataclass(frozen=True)
class Episode:
    """What happened: ticks, assistants, how many served their user, and the mean return."""

    ticks: int
    agents: int
    served: int
    mean_return: float


def play_episode(client: Client, path: Path) -> Episode:
    """Play one episode of every world through the sidecar and film it."""
    plaza = Plaza(WORLDS, SEED)
    users, npcs, frames = [plaza.user_xz.copy()], [plaza.xz.copy()], []
    returns = np.zeros(WORLDS)
    for tick in range(EPISODE_TICKS):
        if tick % EVERY == 0:
            frames.append(_tile(plaza, users, npcs))
        returns += plaza.step(_choose(client, plaza, tick))
        users.append(plaza.user_xz.copy())
        npcs.append(plaza.xz.copy())
    client.end_session("episode")
    save_gif(frames, path, seconds_each=EVERY * 0.1)
    return Episode(EPISODE_TICKS, WORLDS, int(plaza.served.sum()), float(returns.mean()))


def _choose(client: Client, plaza: Plaza, tick: int) -> np.ndarray:
    group = Group(
        model="assistant",
        name="assistants",
        agents=range(WORLDS),
        observations={"observation": plaza.observe()},
        episode_starts=[tick == 0] * WORLDS,
    )
    (answer,) = client.choose_actions([group], session="episode", tick=tick)
    return answer.actions["move"]


def _tile(plaza: Plaza, users: list[np.ndarray], npcs: list[np.ndarray]) -> np.ndarray:
    """Draw the four worlds as a square of two by two."""
    pictures = []
    for world in range(WORLDS):
        trails = ([xz[world] for xz in users], [xz[world] for xz in npcs])
        pictures.append(draw_world(plaza, world, size=SIZE_PX, trails=trails))
    return np.concatenate([np.concatenate(pictures[:2], axis=1), np.concatenate(pictures[2:], axis=1)], axis=0)
