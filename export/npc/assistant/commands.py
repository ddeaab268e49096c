"""The commands for policies of the assistant's world: evaluate, film, default (train is in train.py)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from export.npc.assistant.default_page import write_page
from export.npc.assistant.evaluation import EVALUATION_SEED, Baseline, ablations, evaluate, table
from export.npc.assistant.trained import DEFAULT, open_player, write_default
from export.npc.render import save_gif
from export.npc.world.draw import record_episode
from export.npc.world.scripted import random_policy, scripted

Source = Annotated[Path, tyro.conf.arg(name="from")]


@dataclass(frozen=True)
class EvaluateConfig:
    """Measures a trained policy beside the scripted and the random one, on worlds it never saw."""

    source: Source = Path("default")
    """A run folder, a checkpoint file, or "default"."""
    episodes: int = 200
    """Episodes of a seed."""
    seeds: int = 5
    """Seeds; intervals of returns are over them."""
    ablate: bool = False
    """Also measure the policy with each sense masked."""
    sampled: bool = False
    """Draw actions from the policy instead of taking the likeliest."""
    items: tuple[str, ...] = ()
    """Items on offer instead of those of training."""
    top_speed: float = 0.0
    """Top speed of agents in m/s instead of that of training; 0 keeps it."""

    def run(self) -> None:
        """Prints the tables."""
        player = open_player(self.source, deterministic=not self.sampled)
        world = player.config.world
        world = dataclasses.replace(world, items=self.items or world.items, top_speed=self.top_speed or world.top_speed)
        players = {"trained": player, "scripted": Baseline(lambda _: scripted), "random": Baseline(random_policy)}
        sizes = {"episodes": self.episodes, "seeds": self.seeds}
        print(table({name: evaluate(each, world, **sizes) for name, each in players.items()}))
        if self.ablate:
            print("\n" + table(ablations(player, world, **sizes), "senses"))


@dataclass(frozen=True)
class FilmConfig:
    """Draws episodes of a trained policy, or of the scripted one, as a GIF seen from above."""

    source: Source = Path("default")
    """A run folder, a checkpoint file, "default" or "scripted"."""
    out: Path = Path("out/assistant.gif")
    """File to write."""
    seed: int = EVALUATION_SEED
    """Seed of the worlds."""
    worlds: tuple[int, ...] = (0, 1, 2)
    """Numbers of the worlds that are played, one after another."""
    size: int = 384
    """Width of the picture."""

    def run(self) -> None:
        """Writes the film and prints its path."""
        if str(self.source) == "scripted":
            frames = [
                frame for index in self.worlds for frame in record_episode(scripted, self.seed, index=index, size=self.size)
            ]
        else:
            player = open_player(self.source)
            if player.view != "multi_discrete":
                raise ValueError(f"films show policies that choose bins, this one acts through a {player.view} view")
            frames = []
            for index in self.worlds:
                player.start(1)
                frames += record_episode(player.act, self.seed, config=player.config.world, index=index, size=self.size)
        save_gif(frames, self.out)
        print(self.out)


@dataclass(frozen=True)
class DefaultConfig:
    """Writes a run's best policy as the committed default, with a page of what was measured and a film."""

    source: Source = Path("runs/npc/maskable-ppo")
    """A run folder or a checkpoint file."""
    out: Path = DEFAULT
    """File to write; page and film go beside it."""
    episodes: int = 200
    """Episodes of a seed that the page is measured on."""
    seeds: int = 5
    """Seeds that the page is measured on."""

    def run(self) -> None:
        """Writes the default and prints the path of its page."""
        print(write_page(write_default(self.source, self.out), episodes=self.episodes, seeds=self.seeds))
