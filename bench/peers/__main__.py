"""`python -m bench.peers`: the sidecar beside other servers of ONNX files, on the same policy and machine.

Each server runs alone, in rounds: a round measures every one at each number of clients. A peer that cannot be installed or does
not serve is reported with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from bench.cases import latest
from bench.peers.environments import PeerError
from bench.peers.peers import OURS, PEERS, Peer, Target, ask, running, sidecars, wait_until_it_answers
from bench.results import RESULTS, origin, write_part


@dataclass(frozen=True)
class PeersConfig:
    """Measure a tick of 64 agents on the sidecar and on its peers."""

    models: Path = Path("models")
    """Folder with the bundles."""
    policy: str = "assistant"
    """Name of the npc bundle: observations float32[N, 17], actions float32[N, 2], as train-follower makes it."""
    clients: tuple[int, ...] = (1, 8, 64)
    """Numbers of clients that call at the same time, each without a pause."""
    seconds: float = 6.0
    """Seconds for each number of clients in a round."""
    rounds: int = 3
    """Rounds; the figures are medians over them."""
    only: tuple[str, ...] = ()
    """Beginnings of the names of the peers to measure; all if none."""
    out: Path = RESULTS
    """File to write."""


@dataclass
class Figures:
    """By number of clients and round: p50 and p99 in milliseconds, ticks a second."""

    wire: str
    columns: dict[int, list[tuple[float, float, float]]] = field(default_factory=dict)
    reason: str = ""

    def median(self, clients: int) -> tuple[float, ...]:
        """Return the medians over the rounds."""
        return tuple(float(value) for value in np.median(self.columns[clients], axis=0))


def main(config: PeersConfig) -> None:
    """Measure all and write the results."""
    bundle = latest(config.models, config.policy)
    spec = json.loads((bundle / "card.json").read_text())["spec"]
    noise = sum(part["size"] for part in spec["noise"])
    target = Target(config.models, config.policy, bundle / "policy.onnx", noise)
    peers = [peer for peer in PEERS if not config.only or peer.name.lower().startswith(config.only)]
    measured: dict[str, Figures] = {}
    jobs = [*_ours(config, target, measured), *(_job(config, target, measured, peer) for peer in peers)]
    for _ in range(config.rounds):
        for job in tqdm(jobs, unit="server"):
            job()
        write_part(config.out, "bench.peers", report(config, measured))  # after each round: the whole takes long
    print(f"wrote {config.out}")


def _ours(config: PeersConfig, target: Target, measured: dict[str, Figures]) -> Iterator[Callable[[], None]]:
    def job(workers: int) -> None:
        suffix = f", {workers} workers" if workers > 1 else ""
        with sidecars(target, workers) as (address, web):
            for name, wire, client, place in (
                (f"Metabridge{suffix}", "gRPC", "sidecar_grpc_client.py", address),
                (f"Metabridge, web port{suffix}", "Connect", "sidecar_web_client.py", web),
            ):
                figures = measured.setdefault(name, Figures(wire))
                for clients in config.clients:
                    result = ask(OURS, client, place, clients, config.seconds, target)
                    figures.columns.setdefault(clients, []).append(_figures(result))

    yield lambda: job(1)
    yield lambda: job(2)


def _job(config: PeersConfig, target: Target, measured: dict[str, Figures], peer: Peer) -> Callable[[], None]:
    def job() -> None:
        figures = measured.setdefault(peer.name, Figures(peer.wire))
        if figures.reason:
            return
        try:
            with running(peer, target) as (address, python):
                wait_until_it_answers(python, peer, address, target)
                for clients in config.clients:
                    result = ask(python, peer.client, address, clients, config.seconds, target)
                    figures.columns.setdefault(clients, []).append(_figures(result))
        except PeerError as error:
            figures.reason = str(error)

    return job


def _figures(result: dict[str, list[float] | float]) -> tuple[float, float, float]:
    times = np.array(result["ms"])
    p50, p99 = np.percentile(times, (50, 99))
    return float(p50), float(p99), len(times) / float(result["seconds"])  # type: ignore[arg-type]


def report(config: PeersConfig, measured: dict[str, Figures]) -> str:
    """Return this bench's part of RESULTS.md."""
    heads = [f"{n} client{'s' if n > 1 else ''}: p50 / p99 ms | ticks/s" for n in config.clients]
    rows = [
        f"| server | wire | {' | '.join(heads)} |",
        "| --- | --- |" + " ---: | ---: |" * len(config.clients),
        *(_row(config, name, figures) for name, figures in measured.items()),
    ]
    reasons = [f"* {name}: {figures.reason}" for name, figures in measured.items() if figures.reason]
    missing = ["", "Not measured, or not at every number of clients:", "", *reasons] if reasons else []
    text = HEADER.format(origin=origin("bench.peers"), rounds=config.rounds, seconds=config.seconds, policy=config.policy)
    return text + "\n".join([*rows, *missing]) + "\n"


def _row(config: PeersConfig, name: str, figures: Figures) -> str:
    cells = []
    for clients in config.clients:
        if clients in figures.columns:
            p50, p99, rate = figures.median(clients)
            cells.append(f"{p50:.2f} / {p99:.2f} | {rate:,.0f}")
        else:
            cells.append("- | -")
    return f"| {name} | {figures.wire} | {' | '.join(cells)} |"


HEADER = """## Beside other servers

{origin}

A tick of 64 agents of the policy "{policy}" on the CPU, the same ONNX file everywhere, one ONNX Runtime thread, one worker
process or replica where not said otherwise, all other settings as each server has them by default. Each server runs alone on
the machine, in an environment of its own, with the client that its documentation shows: N threads of one process, a
connection each, that call without a pause. Server and clients share the machine's cores. Medians of {rounds} rounds of
{seconds:g} s. The sidecar checks every value and keeps game sessions; the peers run the graph.

"""

if __name__ == "__main__":
    main(tyro.cli(PeersConfig))
