"""Several workers follow one models folder: each tries what is new by itself, at the same time, and all end with the same."""

from __future__ import annotations

import contextlib
import string
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest
import tiny_models
from bad_bundles import CRASH, write_bad
from conftest import LiveSidecar, run_sidecar
from reload_load import Load, asked, problem_of, publish
from worker_channels import PATIENCE_S, channels_to_all, pids

from bridge.probe import CACHE_FILE, CACHE_VARIABLE
from bridge.v1 import model_service_pb2
from bridge.v1.model_service_pb2 import MODEL_STATE_FAILED, MODEL_STATE_SERVING
from bridge.v1.model_service_pb2_grpc import ModelServiceStub
from bridge.v1.npc_service_pb2_grpc import NpcServiceStub

VERSIONS = range(2, 6)
"""New versions; the odd ones crash the process that loads them."""
OPTIONS = ("--workers", "2", "--watch-seconds", "0.1", "--latest", "1")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The folders that a sidecar may write into, each empty and its own: its cache and its temporary files."""
    folders = {"cache": tmp_path / "cache", "temporary": tmp_path / "temporary"}
    for variable, folder in zip((CACHE_VARIABLE, "TMPDIR"), folders.values(), strict=True):
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    return folders


@pytest.mark.timeout(1200)
def test_workers_that_try_new_versions_at_the_same_time_end_on_the_same_good_one(tmp_path: Path, places) -> None:
    models = tmp_path / "models"
    tiny_models.write_npc(models)
    with run_sidecar(models, *OPTIONS) as live, channels_to_all(live) as channels:
        workers, together = pids(live), False
        with calling(channels) as load:
            for version in VERSIONS:
                if version % 2:
                    write_bad(models / ".written", CRASH, "guard", version).rename(models / "guard" / str(version))
                else:
                    publish(models, "guard", version)
                together |= watched(live, lambda version=version: all(is_settled(each, version) for each in channels))
        served = [serving(channel) for channel in channels]
        until(lambda: not any(probes(pid) for pid in workers))
        assert pids(live) == workers, "a worker has ended"
    assert load.wrong == []
    assert load.versions == {1, 2, 4}
    assert served == [4] * len(channels)
    assert together, "the workers never tried a bundle at the same time, so that nothing was seen of it"
    keys = (places["cache"] / CACHE_FILE).read_text("ascii").splitlines()
    assert len(set(keys)) == 3, "not those of the three good versions"
    assert all(len(key) == 64 and set(key) <= set(string.hexdigits) for key in keys), "workers wrote into each other's lines"
    assert [path.name for path in places["cache"].iterdir()] == [CACHE_FILE]
    assert list(places["temporary"].iterdir()) == []
    assert sorted(path.name for path in models.iterdir()) == [".written", "guard"]
    assert sorted(int(path.name) for path in (models / "guard").iterdir()) == [1, *VERSIONS]


@contextlib.contextmanager
def calling(channels: list[grpc.Channel]) -> Iterator[Load]:
    """Call "guard" over every channel again and again until the block ends; check each answer by its version's weights."""
    load, stop = Load(), threading.Event()
    threads = [threading.Thread(target=call, args=(channel, load, stop)) for channel in channels]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)


def call(channel: grpc.Channel, load: Load, stop: threading.Event) -> None:
    seed = 0
    while not stop.is_set():
        seed += 1
        request = asked("guard", seed)
        try:
            answer = NpcServiceStub(channel).ChooseActions(request, timeout=PATIENCE_S)
            problem = problem_of(request, answer, load)
        except grpc.RpcError as error:
            problem = str(error)
        load.answers += 1
        if problem:
            load.wrong.append(f"call {seed}: {problem}")
            return
        time.sleep(0.005)  # leaves room for the loads, also on a busy machine


def listed(channel: grpc.Channel) -> dict[int, model_service_pb2.Model]:
    answer = ModelServiceStub(channel).ListModels(model_service_pb2.ListModelsRequest(), timeout=PATIENCE_S)
    return {model.version: model for model in answer.models}


def serving(channel: grpc.Channel) -> int:
    (version,) = [version for version, model in listed(channel).items() if model.state == MODEL_STATE_SERVING]
    return version


def is_settled(channel: grpc.Channel, version: int) -> bool:
    """Return whether a worker serves a good version, or has refused a crashing one and says how it ended its process."""
    model = listed(channel).get(version)
    if version % 2 == 0:
        return model is not None and model.state == MODEL_STATE_SERVING
    return model is not None and model.state == MODEL_STATE_FAILED and "SIGFPE" in model.reason


def probes(pid: int) -> list[psutil.Process]:
    """Return the processes in which a worker tries bundles."""
    return psutil.Process(pid).children(recursive=True)


def watched(live: LiveSidecar, true: Callable[[], bool]) -> bool:
    """Return when something has become true: whether all workers were seen to try a bundle at the same time meanwhile."""
    together = False

    def looked() -> bool:
        nonlocal together
        together |= all(probes(pid) for pid in pids(live))
        return true()

    until(looked)
    return together


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5 * PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
