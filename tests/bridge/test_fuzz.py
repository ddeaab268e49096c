"""No message of anybody makes the sidecar fail: spoilt ones of every method over every protocol. `make soak` sends 10⁵.

Frames of HTTP/2 that gRPC's core answers by itself are test_grpc_faults'.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import psutil
import pytest
from conftest import run_sidecar
from family_cases import CASES
from fuzz_load import EDGES, OPTIONS, Tally, by_code, fuzz, write_models
from wire import PROTOCOLS, open_wire

from bench.results import RESULTS, origin, write_part

SOAK = int(os.environ.get("METABRIDGE_SOAK_MESSAGES", "0"))
MESSAGES = SOAK or 3000


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory):
    """A sidecar with every family and an open admin service."""
    models: Path = tmp_path_factory.mktemp("models")
    write_models(models)
    with run_sidecar(models, "--admin-token-file", str(models / ".admin"), *OPTIONS) as sidecar:
        yield sidecar


def report(tally: Tally, before: float, after: float) -> str:
    """Return what `make soak` found, for the record."""
    where = re.sub("`[^`]*`", "`make soak`", origin(""), count=1)
    rows = [f"| {code} | {' | '.join(f'{count:,}' for count in counts)} |" for code, counts in by_code(tally)]
    table = "\n".join(rows)
    return f"""## Spoilt messages

{where}; a sidecar with a tiny model of each family. {sum(tally.codes.values()):,} messages that were good and then spoilt
by their fields, their bytes, their envelopes or as JSON, and random ones, to every method of every service over every protocol.
Answers by code; a message can be spoilt and good.

| code | {" | ".join(EDGES)} |
| --- | {" | ".join(["---:"] * len(EDGES))} |
{table}

UNKNOWN, INTERNAL, crashes and lost connections: {len(tally.wrong)}. Resident memory: {before:.0f} MiB before, {after:.0f} MiB
after.
"""


def resident_mib(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


@pytest.mark.timeout(7200)
def test_no_message_makes_the_sidecar_fail(live) -> None:
    good = {name: case.request(2, 5).SerializeToString() for name, case in CASES.items()}
    with open_wire("grpc", live.address, live.web) as wire:
        expected = {name: CASES[name].call(wire, data).message for name, data in good.items()}
    before = resident_mib(live.process.pid)
    tally = fuzz(live, MESSAGES, seed=int(bool(SOAK)))
    after = resident_mib(live.process.pid)
    if SOAK:
        write_part(RESULTS, "soak.fuzz", report(tally, before, after))
    assert tally.wrong == []
    assert {edge for edge, code in tally.codes if code == "OK"} == set(EDGES), "some edge let nothing through"
    assert all(tally.codes[edge, "INVALID_ARGUMENT"] for edge in EDGES), "some edge refused nothing"
    for protocol in PROTOCOLS:
        with open_wire(protocol, live.address, live.web) as wire:
            for name, data in good.items():
                assert CASES[name].call(wire, data).message == expected[name]
