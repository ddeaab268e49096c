"""`python -m bench.npc_memory`: measures what a session's memory and a frame budget add to `ChooseActions`.

The calls of each size take turns in one run, so that a change of the machine's speed reaches each alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tyro

from bench.cases import AGENTS, cases
from bench.processes import sidecar
from bench.results import RESULTS, origin, write_part
from bridge.v1 import npc_service_pb2 as pb
from bridge.v1.npc_service_pb2_grpc import NpcServiceStub

BUDGET_MS = 60_000.0


@dataclass(frozen=True)
class BenchConfig:
    """Measure memory and budget and write the figures with the machine and the command."""

    models: Path = Path("models")
    """Folder with the bundles."""
    policy: str = "assistant"
    """Name of the npc bundle."""
    avatar: str = "pixel"
    """Name of an avatar bundle, which is not called."""
    seconds: float = 8.0
    """Seconds for each number of agents."""
    out: Path = RESULTS
    """File to write."""


def variants(request: pb.ChooseActionsRequest) -> dict[str, pb.ChooseActionsRequest]:
    """Return the same agents without a session, in one, and in one with a budget that is never used up."""
    changes: dict[str, dict[str, Any]] = {
        "no session": {"session_id": ""},
        "session": {"session_id": "bench"},
        "session and frame budget": {"session_id": "budget", "frame_budget_ms": BUDGET_MS},
    }
    asked = {}
    for name, change in changes.items():
        asked[name] = pb.ChooseActionsRequest()
        asked[name].CopyFrom(request)
        for field, value in change.items():
            setattr(asked[name], field, value)
    return asked


def measure(call: Callable[[Any], Any], asked: dict[str, pb.ChooseActionsRequest], seconds: float) -> dict[str, np.ndarray]:
    """Call all variants in turn for `seconds` after a short warm-up; return the milliseconds of each call by variant."""
    times: dict[str, list[float]] = {name: [] for name in asked}
    for request in list(asked.values()) * 20:
        call(request)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, request in asked.items():
            start = time.perf_counter()
            call(request)
            times[name].append((time.perf_counter() - start) * 1000)
    return {name: np.array(column) for name, column in times.items()}


def main(config: BenchConfig) -> None:
    """Run every number of agents and write the results."""
    planned = [case for case in cases(config.models, config.policy, config.avatar) if case.method.endswith("ChooseActions")]
    lines = ["| agents | calls | variant | p50 | p99 |", "| ---: | ---: | --- | ---: | ---: |"]
    with sidecar(config.models) as process, grpc.insecure_channel(process.address) as channel:
        stub = NpcServiceStub(channel)  # type: ignore[no-untyped-call]
        for agents, case in zip(AGENTS, planned, strict=True):
            assert isinstance(case.request, pb.ChooseActionsRequest)
            times = measure(lambda r: stub.ChooseActions(r, timeout=30), variants(case.request), config.seconds)
            for name, column in times.items():
                p50, p99 = np.percentile(column, [50, 99])
                lines.append(f"| {agents:,} | {len(column):,} | {name} | {p50:.3f} | {p99:.3f} |")
    write_part(config.out, "bench.npc_memory", HEADER.format(origin=origin("bench.npc_memory")) + "\n".join(lines) + "\n")
    print(f"wrote {config.out}")


HEADER = """## Memory and frame budgets of ChooseActions

{origin}.

Milliseconds a call, one client. *session*: last actions (and recurrent state, if the policy has any) are kept. *frame budget*:
one that is never used up. The variants take turns call by call.

"""


if __name__ == "__main__":
    main(tyro.cli(BenchConfig))
