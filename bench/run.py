"""`python -m bench.run`: measures the sidecar against bare ONNX Runtime and a bare gRPC echo, and writes RESULTS.md.

All three take turns, call by call, in one run, so that a change of the machine's speed reaches each alike. The client is
this process; the sidecar and the echo are processes of their own. Batch wait is 0.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import tyro
from google.protobuf.message import Message
from tqdm import tqdm

from bench.cases import Case, cases
from bench.processes import SidecarProcess, echo, idle_cpu_percent, sidecar
from bench.results import RESULTS, origin, write_part
from bridge.services import family_modules


@dataclass(frozen=True)
class BenchConfig:
    """Measure the sidecar and write the figures with the machine and the command."""

    models: Path = Path("models")
    """Folder with the bundles."""
    policy: str = "assistant"
    """Name of the npc bundle."""
    avatar: str = "pixel"
    """Name of the avatar bundle."""
    seconds: float = 8.0
    """Seconds for each case."""
    idle_seconds: float = 10.0
    """Seconds over which the idle sidecar is watched."""
    out: Path = RESULTS
    """File to write."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each call, one array for each of the three."""

    case: Case
    bare: np.ndarray
    echo: np.ndarray
    sidecar: np.ndarray


def measure(case: Case, echo_address: str, sidecar_address: str, seconds: float) -> Timing:
    """Call all three in turn for `seconds` after a short warm-up."""
    with open_channel(echo_address) as echo_channel, open_channel(sidecar_address) as sidecar_channel:
        echo_call, sidecar_call = call_of(echo_channel, case), call_of(sidecar_channel, case)
        turns: list[Callable[[], Any]] = [case.bare, echo_call, sidecar_call]
        for turn in turns * 20:
            turn()
        times: list[list[float]] = [[], [], []]
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for turn, column in zip(turns, times, strict=True):
                start = time.perf_counter()
                turn()
                column.append((time.perf_counter() - start) * 1000)
    bare, echoed, served = (np.array(column) for column in times)
    return Timing(case, bare, echoed, served)


def beside_echo(case: Case, address: str, folder: Path, seconds: float) -> Timing:
    """Measure a case on a sidecar and on an echo that gives the sidecar's own answer."""
    with open_channel(address) as channel:
        answer = call_of(channel, case)()
    with echo({case.method: answer}, folder) as echo_address:
        return measure(case, echo_address, address, seconds)


def main(config: BenchConfig) -> None:
    """Run every case and write the results."""
    planned = cases(config.models, config.policy, config.avatar)
    timings = []
    with sidecar(config.models) as process, tempfile.TemporaryDirectory() as folder:
        idle = idle_cpu_percent(process.process, config.idle_seconds)
        for case in tqdm(planned, unit="case"):
            timings.append(beside_echo(case, process.address, Path(folder), config.seconds))
        write_part(config.out, "bench.run", report(config, timings, process, idle, process.process.memory_info().rss))
    print(f"wrote {config.out}")


def report(config: BenchConfig, timings: list[Timing], process: SidecarProcess, idle: float, rss: int) -> str:
    """Return this bench's part of RESULTS.md."""
    rows = table(timings)
    facts = [
        "| figure | value |",
        "| --- | ---: |",
        f"| start of the process to SERVING | {process.start_seconds:.2f} s |",
        f"| resident memory after the run | {rss / 2**20:.0f} MiB |",
        f"| CPU of the idle sidecar over {config.idle_seconds:.0f} s | {idle:.2f} % of one core |",
    ]
    return HEADER.format(origin=origin("bench.run"), versions=VERSIONS) + "\n".join(rows) + FACTS + "\n".join(facts) + "\n"


VERSIONS = (
    f"Python {platform.python_version()}, ONNX Runtime {ort.__version__} (CPUExecutionProvider), grpcio {grpc.__version__}"
)
HEADER = """## Overhead of the sidecar

{origin}; {versions}.

Milliseconds a call, one client, batch wait 0. *ONNX Runtime* is the same graphs on the same inputs in the client's process;
*gRPC echo* is a grpc.aio server in a process of its own that parses the same request and serialises the same answer.
Overhead = sidecar / (echo + ONNX Runtime) of the same column; the three take turns call by call.

"""
FACTS = "\n\n### Life beside a game\n\n"


def table(timings: Sequence[Timing]) -> list[str]:
    """Return the lines of a table of cases."""
    return [
        "| call | calls | request bytes | ONNX Runtime p50 / p99 | gRPC echo p50 / p99 | sidecar p50 / p99 "
        "| overhead p50 | overhead p99 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(timing) for timing in timings),
    ]


def _row(timing: Timing) -> str:
    p50, p99 = ([float(np.percentile(column, q)) for column in (timing.bare, timing.echo, timing.sidecar)] for q in (50, 99))
    pairs = [f"{a:.3f} / {b:.3f}" for a, b in zip(p50, p99, strict=True)]
    overheads = [f"{column[2] / (column[0] + column[1]):.2f}" for column in (p50, p99)]
    sizes = f"{timing.case.request.ByteSize():,}"
    return f"| {timing.case.title} | {len(timing.bare):,} | {sizes} | {' | '.join(pairs)} | {' | '.join(overheads)} |"


def open_channel(address: str) -> grpc.Channel:
    """Return a channel that takes answers of any size."""
    return grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)])


def call_of(channel: grpc.Channel, case: Case) -> Callable[[], Message]:
    """Return a function that makes the case's call."""
    service, method = case.method.split("/")
    module = next(m for m in family_modules().values() if m.DESCRIPTOR.name == service)
    answer = getattr(module.pb, module.DESCRIPTOR.methods_by_name[method].output_type.name)
    path = f"/{module.DESCRIPTOR.full_name}/{method}"
    stub = channel.unary_unary(path, type(case.request).SerializeToString, answer.FromString)
    return lambda: stub(case.request, timeout=30)


if __name__ == "__main__":
    main(tyro.cli(BenchConfig))
