"""`python -m bench.peers`: the sidecar beside other servers of ONNX files, on the same policy and machine.

Each server runs alone, in rounds: a round measures every one at each number of clients. A server that cannot be installed or
does not serve is reported with the reason and left out of the rounds to come.
"""

from __future__ import annotations

import math
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import tyro
from tqdm import tqdm

from bench.peers.environments import PeerError
from bench.peers.peers import PEERS
from bench.peers.running import Server, ask, peer_server, sidecars
from bench.peers.target import Target, target
from bench.results import RESULTS, origin, write_part


@dataclass(frozen=True)
class PeersConfig:
    """Measure a tick of 64 agents on the sidecar and on its peers."""

    models: Path = Path("models")
    """Folder with the bundles."""
    policy: str = "assistant"
    """Name of the npc bundle: float32 observations, no recurrent state."""
    clients: tuple[int, ...] = (1, 8, 64)
    """Numbers of clients that call at the same time, each without a pause."""
    seconds: float = 3.0
    """Seconds for each number of clients in a round."""
    rounds: int = 3
    """Rounds; the figures are medians over them."""
    only: tuple[str, ...] = ()
    """Beginnings of the names of the servers to measure, in any case; all if none."""
    out: Path = RESULTS
    """File to write."""


@dataclass
class Figures:
    """By number of clients and round: p50 and p99 in milliseconds, ticks a second; and why there are no more."""

    wire: str
    columns: dict[int, list[tuple[float, float, float]]] = field(default_factory=dict)
    reason: str = ""

    def median(self, clients: int) -> tuple[float, ...]:
        """Return the medians over the rounds."""
        return tuple(float(value) for value in np.median(self.columns[clients], axis=0))


def main(config: PeersConfig) -> None:
    """Measure all and write the results."""
    policy, servers = target(config.models, config.policy), chosen(config.only)
    measured = {server.name: Figures(server.wire) for server in servers}
    for _ in range(config.rounds):
        for server in tqdm(servers, unit="server"):
            measure(config, policy, server, measured[server.name])
        write_part(config.out, "bench.peers", report(config, policy, measured))  # after each round: the whole takes long
    print(f"wrote {config.out}")


def chosen(only: tuple[str, ...]) -> list[Server]:
    """Return the servers whose names begin with one of these words, or all."""
    servers = [*sidecars(1), *sidecars(2), *map(peer_server, PEERS)]
    beginnings = tuple(word.lower() for word in only) or ("",)
    found = [server for server in servers if server.name.lower().startswith(beginnings)]
    if not found:
        raise ValueError(f"no server's name begins with {' or '.join(only)}; there are {', '.join(s.name for s in servers)}")
    return found


def measure(config: PeersConfig, policy: Target, server: Server, figures: Figures) -> None:
    """Measure a server once at each number of clients, unless it failed before."""
    if figures.reason:
        return
    try:
        with server.open(policy) as (python, address):
            for clients in config.clients:
                result = ask(python, server.client, address, clients, config.seconds, policy)
                p50, p99 = np.percentile(result["ms"], (50, 99))
                rate = len(result["ms"]) / result["seconds"]
                figures.columns.setdefault(clients, []).append((float(p50), float(p99), rate))
    except PeerError as error:
        figures.reason = str(error)
        tqdm.write(f"{server.name}: {error}")


def report(config: PeersConfig, policy: Target, measured: dict[str, Figures]) -> str:
    """Return this bench's part of RESULTS.md."""
    numbers = sum(math.prod(shape) for shape in policy.spec["observations"].values())
    heads = [f"{n} client{'s' if n > 1 else ''}: p50 / p99 ms | ticks/s" for n in config.clients]
    rows = [
        f"| server | wire | {' | '.join(heads)} |",
        "| --- | --- |" + " ---: | ---: |" * len(config.clients),
        *(_row(config, name, figures) for name, figures in measured.items()),
    ]
    reasons = [f"* {name}: {figures.reason}" for name, figures in measured.items() if figures.reason]
    missing = ["", "Not measured, or not in every round and at every number of clients:", "", *reasons] if reasons else []
    text = HEADER.format(origin=origin("bench.peers"), runtime=onnxruntime.__version__, numbers=numbers, **vars(config))
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

A tick of 64 agents of the policy "{policy}" on the CPU: {numbers} numbers an agent. Everywhere the same ONNX file in ONNX
Runtime {runtime} with one thread, one worker process or replica where not said otherwise, no line of log for a call, and all
other settings as each server has them by default: none waits for a batch to fill; the sidecar and PyTriton join calls that are
there at the same time, the others run each by itself. Each server runs alone on the machine, in an environment of its own, with
the client that its documentation shows: N threads of one process, a connection each, that call without a pause. Server and
clients share the machine's cores. Medians of {rounds} rounds of {seconds:g} s.

The peers are asked for less: an agent's observations come as one row, not as named tensors, noise and mask are made in the
server, and the first action alone goes back. The sidecar checks every value, keeps game sessions, and answers with statuses,
sources and log-probabilities.

"""

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that the server that runs ends too
    main(tyro.cli(PeersConfig))
