"""`python -m bench.remote_training`: how fast a trainer steps an engine in C#, and how long CartPole takes to learn there.

The trainer is this process, the engine the C# client on .NET 8 in a process of its own, on one machine.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from bench.results import RESULTS, origin, write_part
from export.npc.remote_env.config import RemoteTrainConfig
from export.npc.remote_env.engines import Engines
from export.npc.remote_env.env import RemoteVectorEnv
from export.npc.remote_env.server import EngineServer, ListenConfig
from export.npc.remote_env.train import train_remote

sys.path.append(str(Path(__file__).resolve().parents[1] / "unity_sample" / "headless"))
import dotnet_program

LINKS = {"stream": "one stream (HTTP/2)", "unary": "a call a tick (HTTP/2)"}
TRAINING_SECONDS = 3600.0
WARM_UP = 50


@dataclass(frozen=True)
class RemoteBenchConfig:
    """Measure steps of an engine and a whole training, and write the figures with the machine and the command."""

    rows: tuple[int, ...] = (1, 16, 256)
    """Numbers of rows that are stepped."""
    ticks: int = 2000
    """Ticks of each measurement."""
    steps: int = 60_000
    """Steps of rows of the training, with 16 rows; 0 leaves it out."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of trainings."""
    out: Path = RESULTS
    """File to write."""


def step_times(rows: int, link: str, ticks: int, folder: Path) -> np.ndarray:
    """Return the milliseconds of each of so many ticks of CartPole, by drawn pushes."""
    rng = np.random.default_rng(0)
    with (
        EngineServer(ListenConfig(port=0)) as server,
        dotnet_program.running("environment", folder, server.address, str(rows), link) as program,
    ):
        env = RemoteVectorEnv(Engines(server, wait_seconds=60.0))
        env.reset(seed=0)
        times = []
        for _ in range(WARM_UP + ticks):
            pushes, start = rng.integers(0, 2, rows), time.perf_counter()
            env.step(pushes)
            times.append(1000 * (time.perf_counter() - start))
        env.close()
        program.reported()
    return np.array(times[WARM_UP:])


@dataclass(frozen=True)
class Trained:
    """One training: seconds from the engine's start to the end of the evaluation, processor seconds of the trainer, figures."""

    seed: int
    seconds: float
    processor_seconds: float
    figures: dict[str, float]


def training(seed: int, steps: int, folder: Path) -> Trained:
    """Train and evaluate PPO in CartPole with the options that the family's README gives."""
    config = RemoteTrainConfig(
        run=f"cartpole-{seed}",
        runs=folder,
        steps=steps,
        seed=seed,
        rollout_ticks=32,
        epochs=20,
        learning_rate=1e-3,
        learning_rate_half_life=30_000,
        gamma=0.98,
        gae_lambda=0.8,
        listen=ListenConfig(port=0),
    )
    with ThreadPoolExecutor(1) as thread:
        games: list[Future[dict[str, str]]] = []

        def play(address: str) -> dict[str, str]:
            with dotnet_program.running("environment", folder, address, "16", "stream") as program:
                return program.reported(TRAINING_SECONDS)

        start, processor = time.perf_counter(), time.process_time()
        run = train_remote(config, lambda line: games.append(thread.submit(play, line["address"])))
        seconds, spent = time.perf_counter() - start, time.process_time() - processor
        games[0].result()
    return Trained(seed, seconds, spent, json.loads((run / "evaluation.json").read_text()))


def report(config: RemoteBenchConfig, folder: Path) -> str:
    """Return the part of RESULTS.md."""
    dotnet_program.prepared()
    lines = ["## Training in a running engine", "", origin("bench.remote_training"), ""]
    lines += ["CartPole in the C# client on .NET 8, stepped by the trainer; milliseconds a tick of all rows, drawn pushes.", ""]
    lines += ["| rows | carried by | p50 / p99 | row steps a second |", "| ---: | --- | ---: | ---: |"]
    for rows in config.rows:
        for link, name in LINKS.items():
            times = step_times(rows, link, config.ticks, folder)
            p50, p99 = np.percentile(times, (50, 99))
            lines.append(f"| {rows} | {name} | {p50:.3f} / {p99:.3f} | {1000 * rows / times.mean():,.0f} |")
    if config.steps:
        lines += [
            "",
            f"PPO, {config.steps:,} steps of 16 rows over one stream, then 100 episodes by the likeliest actions:",
            "",
        ]
        lines += [
            "| seed | return | least | seconds in all | the trainer's processor seconds |",
            "| ---: | ---: | ---: | ---: | ---: |",
        ]
        for seed in config.seeds:
            trained = training(seed, config.steps, folder)
            mean = f"{trained.figures['mean_return']:.1f} ± {trained.figures['return_spread']:.1f}"
            times_said = f"{trained.seconds:.0f} | {trained.processor_seconds:.0f}"
            lines.append(f"| {seed} | {mean} | {trained.figures['shortest_return']:.0f} | {times_said} |")
    return "\n".join(lines)


def main(config: RemoteBenchConfig) -> None:
    """Measure, write the file and print the part."""
    with tempfile.TemporaryDirectory() as folder:
        text = report(config, Path(folder))
    write_part(config.out, "bench.remote_training", text)
    print(text)


if __name__ == "__main__":
    main(tyro.cli(RemoteBenchConfig))
