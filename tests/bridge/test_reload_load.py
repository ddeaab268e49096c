"""Hot reload under load: no failed request, no wrong answer, no growth. `make soak` runs it with a hundred reloads."""

from __future__ import annotations

import os

import pytest
import tiny_models
from conftest import run_sidecar
from reload_load import clients, reload, resident_mib

from bridge.client import Client
from bridge.v1.model_service_pb2 import MODEL_STATE_SERVING

RELOADS = int(os.environ.get("METABRIDGE_SOAK_RELOADS", "12"))
SETTLED = 20
"""Reloads after which memory is expected to stay: allocators and caches have what they need by then."""
GROWTH_MIB = 4.0


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
    print(f"{RELOADS} reloads, {load.answers} answers, {len(load.versions)} versions seen; MiB after reload: {memory}")
    if RELOADS > SETTLED:
        assert memory[RELOADS] - memory[SETTLED] < GROWTH_MIB, memory
