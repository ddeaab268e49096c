"""The page of a committed default: how it was trained, what was measured, a film of it."""

from __future__ import annotations

import shlex
from pathlib import Path

from export import checkpoint
from export.npc.assistant.config import TrainConfig
from export.npc.assistant.evaluation import Baseline, ablations, evaluate, table
from export.npc.assistant.trained import CHECKPOINT, KIND, TrainedPlayer, open_player, read_weights
from export.npc.render import save_gif
from export.npc.world.draw import record_episode
from export.npc.world.scripted import random_policy, scripted

FILM_SEED, FILM_WORLDS = 2_000_003, (0, 1, 2, 3)


def training_command(config: TrainConfig) -> str:
    """Return the command that trains with a configuration: the options that differ from their defaults."""
    parts = ["python", "-m", "export", "npc", "train"]
    standard = TrainConfig()
    pairs = [(name, getattr(config, name), getattr(standard, name)) for name in config.to_json() if name != "world"]
    pairs += [(f"world.{name}", getattr(config.world, name), getattr(standard.world, name)) for name in config.world.to_json()]
    for name, value, usual in pairs:
        if value != usual and name not in ("runs", "resume"):
            values = value if isinstance(value, tuple) else (value,)
            parts += [f"--{name.replace('_', '-')}", *(str(each) for each in values)]
    return shlex.join(parts)


def write_page(source: Path, weights: Path, *, episodes: int, seeds: int) -> Path:
    """Measure the default in `weights`, which came from `source`, film it, and write both beside it; return the page."""
    player = open_player(weights)
    config, world = player.config, player.config.world
    film = weights.with_suffix(".gif")
    save_gif(_film(player), film, seconds_each=0.3)
    players = {"trained": player, "scripted": Baseline(lambda _: scripted), "random": Baseline(random_policy)}
    measured = {name: evaluate(each, world, episodes=episodes, seeds=seeds) for name, each in players.items()}
    masked = ablations(player, world, episodes=episodes, seeds=seeds)
    best = read_weights(weights)[2]
    parameters = sum(weight.numel() for weight in player.model.policy.parameters())
    lines = [
        f"# The default `{weights.stem}`",
        f"![Requests that it fulfils, seen from above]({film.name})",
        "| | |\n| --- | --- |\n"
        "| data | the assistant's world, simulated by `export/npc/world/` |\n"
        "| licence | Apache-2.0, as the code that simulates it |\n"
        f"| policy | {config.algorithm}, {parameters:,} parameters with its critic |\n"
        f"| file | {weights.stat().st_size / 1e6:.2f} MB, float32 |",
        f"## Training\n\n`{training_command(config)}`\n\n{_history(source, config, int(best['steps']))}",
        f"## Measured\n\n{seeds} seeds of {episodes} episodes each, on worlds that training never saw. Intervals of 95 %: of "
        f"returns Student's over the seeds, of success Wilson's.\n\n{table(measured)}",
        f"With each sense masked:\n\n{table(masked, 'senses')}",
    ]
    page = weights.with_suffix(".md")
    page.write_text("\n\n".join(lines) + "\n", "utf-8")
    return page


def _film(player: TrainedPlayer) -> list:
    frames = []
    for index in FILM_WORLDS:
        player.start(1)
        frames += record_episode(player.act, FILM_SEED, config=player.config.world, index=index, every=3, size=320)
    return frames


def _history(source: Path, config: TrainConfig, best: int) -> str:
    text = f"{config.cloning_steps:,} steps of imitation, then learning; the policy after {best:,} steps was its best."
    if source.is_dir():
        state = checkpoint.load(source / CHECKPOINT, KIND)
        hours = state["seconds"] / 3600
        text += f" The run went on to {state['steps']:,} steps in {hours:.2f} hours on one thread of a busy machine."
    return text
