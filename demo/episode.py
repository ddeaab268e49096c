"""`npc.gif`: assistants do what five users ask of them, each tick one `ChooseActions` call to the sidecar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.client import Client, Group
from demo.film import Film
from export.npc.world.rows import AgentRows
from export.npc.world.spec import WorldConfig

DEFAULT, MINUTE = "assistant", "apprentice"
SEED, EPISODES = 2_026, 64
Bins = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Episodes:
    """How many requests there were, and how many the default and the policy of the one-minute run fulfilled."""

    requests: int
    fulfilled: int
    fulfilled_after_a_minute: int


def play_episodes(client: Client, path: Path) -> Episodes:
    """Play the same episodes with both policies through the sidecar; film the default's first of each kind of request."""
    film = Film()
    fulfilled = _play(client, DEFAULT, film)
    film.save(path)
    return Episodes(EPISODES, fulfilled, _play(client, MINUTE))


def _play(client: Client, model: str, film: Film | None = None) -> int:
    """Play the first episode of every world to its end; return how many requests were fulfilled."""
    rows = AgentRows(EPISODES, SEED, WorldConfig(), "multi_discrete")
    world = rows.world
    while not np.logical_or(*world.over()).all():
        bins = _choose(client, model, rows)
        rows.advance(bins)
        if film:
            film.take(world, bins)
    client.end_session(model)
    return int(world.done.sum())


def _choose(client: Client, model: str, rows: AgentRows) -> Bins:
    tick, agents = int(rows.world.tick[0]), len(rows)
    starts = [tick == 0] * agents
    group = Group(model, range(agents), rows.world.observe(), episode_starts=starts, action_mask=rows.masks())
    (answer,) = client.choose_actions([group], session=model, tick=tick)
    return answer.actions["action"]
