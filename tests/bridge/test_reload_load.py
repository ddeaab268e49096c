"""Hot reload under load: no failed request, no wrong answer, no growth. `make soak` runs it with a hundred reloads."""

from __future__ import annotations

import os
import re

import pytest
import tiny_models
from conftest import run_sidecar
from reload_load import clients, reload, resident_mib

from bench.results import RESULTS, origin, write_part
from bridge.client import Client
from bridge.v1.model_service_pb2 import MODEL_STATE_SERVING

RELOADS = int(os.environ.get("METABRIDGE_SOAK_RELOADS", "12"))
SETTLED = 20
"""Reloads after which memory is expected to stay: allocators and caches have what they need by then."""
GROWTH_MIB = 4.0


def report(answers, versions, memory):
    """Return what `make soak` found, for the record."""
    where = re.sub("`[^`]*`", "`make soak`", origin(""), count=1)
    return f"""## Reloads under load

{where}; a sidecar with a tiny policy and a tiny avatar generator,
three clients that call without a pause over gRPC, gRPC-Web and Connect, `--latest 1 --watch-seconds 0.1`; every fifth version
is damaged.

| figure | value |
| --- | ---: |
| reloads | {RELOADS} |
| answers, each held against the weights of the version that it names | {answers:,} |
| versions that answered | {versions} |
| failed calls, wrong answers | 0 |
| resident memory after {SETTLED} reloads | {memory[SETTLED]:.1f} MiB |
| resident memory after {RELOADS} reloads | {memory[RELOADS]:.1f} MiB |
"""


@pytest.mark.timeout(1800)
def test_reloads_under_load_fail_no_request_and_give_no_wrong_answer(tmp_path):
    tiny_models.write_npc(tmp_path, "guard", 1)
    tiny_models.write_avatar(tmp_path)
    memory = {}
    with run_sidecar(tmp_path, "--watch-seconds", "0.1", "--latest", "1") as live:
        with clients(live, "guard") as load:
            reload(live, "guard", range(2, 2 + RELOADS), lambda version: memory.update({version - 1: resident_mib(live)}))
        with Client(live.address) as client:
            serving = {entry.name: entry.version for entry in client.models() if entry.state == MODEL_STATE_SERVING}
    good = [version for version in range(2, 2 + RELOADS) if version % 5]
    assert load.wrong == []
    assert load.versions <= {1, *good}
    assert len(load.versions) > RELOADS / 2, "the clients saw too few of the versions to have been in the way"
    assert serving == {"guard": good[-1], "face": 1}
    if RELOADS > SETTLED:
        write_part(RESULTS, "soak.reloads", report(load.answers, len(load.versions), memory))
        assert memory[RELOADS] - memory[SETTLED] < GROWTH_MIB, memory
