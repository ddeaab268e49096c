"""Reloading under load: clients call without a pause while version after version is published, broken ones among them."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import tiny_models
from conftest import LiveSidecar
from family_cases import CASES
from wire import PROTOCOLS, open_wire

from bridge import tensors
from bridge.client import Client
from bridge.v1 import npc_service_pb2 as pb
from bridge.v1.model_service_pb2 import MODEL_STATE_FAILED, MODEL_STATE_SERVING, ModelSelector

CASE = CASES["ChooseActions"]
LOW, HIGH = [-1.0, 0.5], [1.0, 2.0]


@dataclass
class Load:
    """What the clients saw: the number of answers, the versions that gave them, and everything that was wrong."""

    answers: int = 0
    versions: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def clients(live: LiveSidecar, model: str) -> Iterator[Load]:
    """Call `model`, an npc of `tiny_models`, over every protocol until the block ends; check each answer by its weights."""
    load, stop = Load(), threading.Event()
    threads = [threading.Thread(target=_call, args=(live, protocol, model, load, stop)) for protocol in PROTOCOLS]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def publish(models: Path, model: str, version: int) -> None:
    """Put a good version in its place in one step."""
    folder = tiny_models.write_npc(models / ".written", model, version)
    folder.rename(models / model / str(version))


def publish_broken(models: Path, model: str, version: int) -> None:
    """Put a version with a damaged graph in its place."""
    folder = tiny_models.write_npc(models / ".written", model, version)
    graph = folder / "policy.onnx"
    graph.write_bytes(graph.read_bytes()[:-7])
    folder.rename(models / model / str(version))


def reload(live: LiveSidecar, model: str, versions: range, seen: Callable[[int], None] = lambda version: None) -> None:
    """Publish each version, wait until it serves, remove the one before; every fifth is broken and must change nothing."""
    with Client(live.address) as client:
        for version in versions:
            broken = version % 5 == 0
            (publish_broken if broken else publish)(live.models, model, version)
            state = MODEL_STATE_FAILED if broken else MODEL_STATE_SERVING
            _until(lambda state=state, version=version: _states(client, model).get(version) == state)
            serving = [v for v, s in _states(client, model).items() if s == MODEL_STATE_SERVING]
            assert serving, f"nothing serves beside version {version}"
            for old in (live.models / model).iterdir():
                if int(old.name) not in (version, max(serving)):
                    shutil.rmtree(old)
            seen(version)


def resident_mib(live: LiveSidecar) -> float:
    """Return the sidecar's resident memory in MiB."""
    return psutil.Process(live.process.pid).memory_info().rss / 2**20


def _states(client: Client, model: str) -> dict[int, int]:
    return {entry.version: entry.state for entry in client.models() if entry.name == model}


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _call(live: LiveSidecar, protocol: str, model: str, load: Load, stop: threading.Event) -> None:
    seed = 0
    with open_wire(protocol, live.address, live.web) as wire:
        while not stop.is_set():
            seed += 1
            request = asked(model, seed)
            answer = CASE.call(wire, request)
            problem = answer.text if answer.code != "OK" else problem_of(request, CASE.read(answer.message), load)
            load.answers += 1
            if problem:
                load.wrong.append(f"{protocol}, call {seed}: {problem}")
                return


def asked(model: str, seed: int) -> pb.ChooseActionsRequest:
    """Return a request of one to three agents whose answer `problem_of` can check."""
    request = CASE.request(1 + seed % 3, seed)
    request.groups[0].model.CopyFrom(ModelSelector(name=model))
    request.groups[0].sampling = pb.SAMPLING_DETERMINISTIC
    return request


def problem_of(request: pb.ChooseActionsRequest, answer: pb.ChooseActionsResponse, load: Load) -> str:
    """Hold an answer against the weights of the version that it names."""
    (group,), version = answer.groups, answer.groups[0].model.version
    load.versions.add(version)
    place = tensors.to_array(request.groups[0].observations[0].tensor, "position")
    weights = np.random.default_rng(version).normal(size=(3, 2)).astype(np.float32)
    move = next(tensors.to_array(action.tensor, "move") for action in group.actions if action.name == "move")
    expected = np.clip(place @ weights, LOW, HIGH)
    if move.shape != expected.shape or np.abs(move - expected).max() > 1e-4:
        return f"version {version} gave {move.tolist()}, expected {expected.tolist()}"
    return ""
