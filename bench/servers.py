"""`python -m bench.servers`: what a call costs on each kind of server that Python has, and on both ports of the sidecar.

All take turns, call by call, in one run. The echoes answer the sidecar's own answer without doing its work, so that they show
what the server alone costs.
"""

from __future__ import annotations

import contextlib
import http.client
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tyro

from bench.cases import Case, actions
from bench.peers.environments import PeerError, library
from bench.processes import echo_process, sidecar
from bench.results import RESULTS, origin, write_part
from bench.run import VERSIONS, call_of, open_channel
from bridge.v1 import npc_service_pb2 as pb

UVLOOP = "uvloop==0.22.1"
ECHOES = {"asyncio": "grpc.aio on asyncio", "uvloop": "grpc.aio on uvloop", "threads": "grpc.server, 8 threads"}
PATH = "/bridge.v1.NpcService/ChooseActions"


@dataclass(frozen=True)
class ServersConfig:
    """Measure one call on each kind of server."""

    models: Path = Path("models")
    """Folder with the bundles."""
    policy: str = "assistant"
    """Name of the npc bundle."""
    agents: int = 64
    """Agents in the call."""
    seconds: float = 30.0
    """Seconds in all."""
    out: Path = RESULTS
    """File to write."""


@dataclass
class Row:
    """A server: how it is called, and what its calls took."""

    name: str
    call: Callable[[], Any]
    process: psutil.Process
    ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0


def main(config: ServersConfig) -> None:
    """Measure all and write the results."""
    case = actions(config.models, config.policy, config.agents)
    reasons: list[str] = []
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(sidecar(config.models))
        channel = stack.enter_context(open_channel(served.address))
        ours = call_of(channel, case)
        web = http.client.HTTPConnection(served.web.removeprefix("http://"), timeout=30)
        stack.callback(web.close)
        answers = {case.method: ours()}
        rows = []
        for kind, name in ECHOES.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                libraries = library(UVLOOP) if kind == "uvloop" else None
            except PeerError as error:
                reasons.append(str(error))
                continue
            address, process = stack.enter_context(echo_process(answers, folder, kind, libraries))
            rows.append(Row(f"echo: {name}", call_of(stack.enter_context(open_channel(address)), case), process))
        rows.append(Row("sidecar, gRPC port", ours, served.process))
        rows.append(Row("sidecar, web port, Connect", lambda: _post(web, case), served.process))
        _take_turns(rows, config.seconds)
    write_part(config.out, "bench.servers", report(config, rows, reasons))
    print(f"wrote {config.out}")


def _post(web: http.client.HTTPConnection, case: Case) -> pb.ChooseActionsResponse:
    """Call over the web port; a connection that was closed while other servers had their turns is opened again."""
    try:
        return _post_once(web, case)
    except (ConnectionError, http.client.RemoteDisconnected):
        web.close()
        return _post_once(web, case)


def _post_once(web: http.client.HTTPConnection, case: Case) -> pb.ChooseActionsResponse:
    headers = {"content-type": "application/proto", "connect-protocol-version": "1"}
    web.request("POST", PATH, case.request.SerializeToString(), headers)
    answer = web.getresponse()
    data = answer.read()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{PATH} answers {answer.status}: {data[:300]!r}")
    return pb.ChooseActionsResponse.FromString(data)


def _take_turns(rows: list[Row], seconds: float) -> None:
    """Call each in turn, the order drawn anew each time; count the processor time of a row's own calls in blocks of them."""
    generator = np.random.default_rng(0)
    for row in rows * 20:
        row.call()
    end = time.perf_counter() + 0.7 * seconds
    while time.perf_counter() < end:
        for number in generator.permutation(len(rows)):
            start = time.perf_counter()
            rows[number].call()
            rows[number].ms.append((time.perf_counter() - start) * 1000)
    block = max(int(0.3 * seconds * 1000 / sum(float(np.median(row.ms)) for row in rows)), 20)
    for row in rows:
        before = _cpu_ms(row.process)
        for _ in range(block):
            row.call()
        row.cpu_ms = (_cpu_ms(row.process) - before) / block


def _cpu_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(1000 * (times.user + times.system))


def report(config: ServersConfig, rows: list[Row], reasons: list[str]) -> str:
    """Return this bench's part of RESULTS.md."""
    lines = ["| server | p50 ms | p99 ms | processor time a call, ms |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        p50, p99 = np.percentile(row.ms, (50, 99))
        lines.append(f"| {row.name} | {p50:.3f} | {p99:.3f} | {row.cpu_ms:.3f} |")
    missing = ["", *(f"Not measured: {reason}." for reason in reasons)] if reasons else []
    head = HEADER.format(origin=origin("bench.servers"), versions=VERSIONS, calls=len(rows[0].ms), **vars(config))
    return head + "\n".join([*lines, *missing]) + "\n"


HEADER = """## Kinds of servers

{origin}; {versions}.

A tick of {agents} agents, one client, {calls:,} calls each, in turns. An *echo* parses the request and serialises the sidecar's
own answer; the sidecar does all its work. The clients are grpcio's, and http.client for the web port. The processor time is
that of the server's process.

"""

if __name__ == "__main__":
    main(tyro.cli(ServersConfig))
