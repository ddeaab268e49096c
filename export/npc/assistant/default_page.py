"""The page of a committed default: how it was trained, what was measured, a film of it."""

from __future__ import annotations

from pathlib import Path

from export.npc.assistant.evaluation import Baseline, ablations, evaluate, table
from export.npc.assistant.trained import TrainedPlayer, open_player, read_history, read_weights
from export.npc.render import save_gif
from export.npc.world.draw import record_episode
from export.npc.world.scripted import random_policy, scripted

FILM_SEED, FILM_WORLDS = 2_000_003, (0, 1, 2, 3)


def write_page(weights: Path, *, episodes: int, seeds: int) -> Path:
    """Measure the default in `weights`, film it, and write both beside it; return the page."""
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
        f"## Training\n\n{_history(weights, int(best['steps']))}",
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


def _history(weights: Path, best: int) -> str:
    runs = read_history(weights)
    hours = sum(run["hours"] for run in runs)
    lines = [
        f"{hours:.2f} hours on one thread of a busy machine; the policy after {best:,} steps of the last run was its best."
    ]
    lines += [f"{n}. {run['steps']:,} steps in {run['hours']:.2f} hours: `{run['command']}`" for n, run in enumerate(runs, 1)]
    return "\n".join([lines[0], "", *lines[1:]])
