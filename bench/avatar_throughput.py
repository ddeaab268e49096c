"""`python -m bench.avatar_throughput`: images a second of the sidecar, with calls in flight, beside ONNX Runtime's own.

ONNX Runtime runs the same graphs on the same inputs in a loop in this process, and takes turns with the callers, which are
threads of this process on one connection. Everything shares the machine's cores: what a caller takes, the sidecar has not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import tyro
from tqdm import tqdm

from bench.cases import Case, avatars
from bench.processes import sidecar
from bench.results import RESULTS, origin, write_part
from bench.run import call_of, open_channel


@dataclass(frozen=True)
class ThroughputConfig:
    """Measure images a second and write the figures with the machine and the command."""

    models: Path = Path("models")
    """Folder with the bundles."""
    avatar: str = "pixel"
    """Name of the avatar bundle."""
    images: tuple[int, ...] = (1, 4, 16)
    """Images in one call."""
    in_flight: tuple[int, ...] = (1, 2, 4)
    """Calls in flight at the same time."""
    threads: int = 0
    """ONNX Runtime's threads in one run, of the sidecar and of the loop beside it; 0 takes all cores."""
    instances: int = 1
    """The sidecar's runs of one graph at the same time."""
    turns: int = 8
    """Turns of each."""
    turn_seconds: float = 0.5
    """Seconds of a turn."""
    out: Path = RESULTS
    """File to write."""


@dataclass(frozen=True)
class Rates:
    """Images a second, one figure a turn: of ONNX Runtime alone, and of the sidecar by the number of calls in flight."""

    case: Case
    bare: np.ndarray
    served: dict[int, np.ndarray]


def rate(function: Callable[[], Any], images: int, callers: int, seconds: float) -> float:
    """Return the images a second of so many callers together, each of which calls again as soon as it is answered."""

    def own_rate(_: int) -> float:
        start, calls, elapsed = time.perf_counter(), 0, 0.0
        while elapsed < seconds:
            function()
            calls += 1
            elapsed = time.perf_counter() - start
        return calls / elapsed

    with ThreadPoolExecutor(callers) as pool:
        return images * sum(pool.map(own_rate, range(callers)))


def measure(channel: grpc.Channel, images: int, config: ThroughputConfig) -> Rates:
    """Let ONNX Runtime and each number of callers take turns, after a turn each that does not count."""
    case = avatars(config.models, config.avatar, images, config.threads)
    call = call_of(channel, case)
    turns: list[tuple[Callable[[], Any], int]] = [(case.bare, 1), *((call, callers) for callers in config.in_flight)]
    rates = [
        [rate(function, images, callers, config.turn_seconds) for function, callers in turns] for _ in range(config.turns + 1)
    ]
    bare, *served = np.array(rates[1:]).T
    return Rates(case, bare, dict(zip(config.in_flight, served, strict=True)))


def report(config: ThroughputConfig, measured: list[Rates]) -> str:
    """Return this bench's part of RESULTS.md."""
    threads = {0: "threads on all cores", 1: "one thread"}.get(config.threads, f"{config.threads} threads")
    callers = [f"{count} in flight" for count in config.in_flight]
    lines = [
        "## Throughput of avatars",
        f"{origin('bench.avatar_throughput')}; ONNX Runtime {ort.__version__} (CPUExecutionProvider), {threads} a run, "
        f"{config.instances} at a time in the sidecar.",
        f"Images a second, and beside them the share of ONNX Runtime's own: medians of {config.turns} turns of "
        f"{config.turn_seconds:g} s. *ONNX Runtime* runs the same graphs on the same inputs in a loop in the callers' process; "
        "all take turns. Callers are threads that call again as soon as they are answered, on the sidecar's own cores.",
        "\n".join(
            [
                f"| call | ONNX Runtime | {' | '.join(callers)} |",
                "| --- " + "| ---: " * (len(callers) + 1) + "|",
                *(_row(rates) for rates in measured),
            ]
        ),
    ]
    return "\n\n".join(lines)


def _row(rates: Rates) -> str:
    cells = [f"{np.median(served):,.0f}; {np.median(served / rates.bare):.2f}" for served in rates.served.values()]
    return f"| {rates.case.title} | {np.median(rates.bare):,.0f} | {' | '.join(cells)} |"


def main(config: ThroughputConfig) -> None:
    """Measure every number of images and write the results."""
    options = ("--threads", str(config.threads), "--instances", str(config.instances))
    with sidecar(config.models, *options) as served, open_channel(served.address) as channel:
        measured = [measure(channel, images, config) for images in tqdm(config.images, unit="case")]
    write_part(config.out, "bench.avatar_throughput", report(config, measured))
    print(f"wrote {config.out}")


if __name__ == "__main__":
    main(tyro.cli(ThroughputConfig))
