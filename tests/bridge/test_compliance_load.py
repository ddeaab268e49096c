"""The rules of every family's calls when many come at once: batches, queues, deadlines and limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import sidecar_in_thread
from family_cases import CASES, Case, same, write_models
from wire import PROTOCOLS, open_wire

from bridge.client import Client
from bridge.config import Limits

ADMIN_TOKEN = "compliance-admin-token"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with good and damaged bundles of every family."""
    folder = tmp_path_factory.mktemp("families")
    write_models(folder)
    return folder


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """What the rules need to know of each call."""
    return CASES[request.param]


@pytest.fixture
def family(case: Case) -> str:
    """The family of the call."""
    return case.family


def to(sidecar: Any, protocol: str) -> Any:
    return open_wire(protocol, f"127.0.0.1:{sidecar.port}", f"http://127.0.0.1:{sidecar.web_port}")


def waiting(sidecar) -> int:
    return sum(len(b._queue) for model in list(sidecar.registry.served.values()) for b in model.batchers.values())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_in_a_batch_is_answered_as_it_is_alone(models, family, case, protocol) -> None:
    requests = [case.request(1 + seed % 3, seed).SerializeToString() for seed in range(16)]
    with sidecar_in_thread(models) as sidecar, to(sidecar, protocol) as wire:
        alone = [case.call(wire, data).message for data in requests]
    with sidecar_in_thread(models, max_wait_ms=200.0) as sidecar, ThreadPoolExecutor(16) as pool:
        with to(sidecar, protocol) as wire:
            together = list(pool.map(lambda data: case.call(wire, data).message, requests))
        sizes = [max(b.batch_sizes) for b in sidecar.registry.served[family, 2].batchers.values() if b.batch_sizes]
        batched = all(size > 3 for size in sizes)
        assert set(sizes) == {1} if case.runs_alone else batched, "nothing was batched, so nothing was tested"
    for expected, answer in zip(alone, together, strict=True):
        same(case, expected, answer)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_past_its_deadline_leaves_the_queue(models, case, protocol) -> None:
    with sidecar_in_thread(models) as sidecar, ThreadPoolExecutor(1) as pool, to(sidecar, protocol) as wire:
        held = hold(sidecar, case)
        running = pool.submit(case.call, wire, case.request(1, 5))
        assert held.running.wait(30)
        answer = case.call(wire, case.request(1, 6), timeout_s=0.3)
        waited = answer.code
        until(lambda: not waiting(sidecar))
        held.gate.set()
        assert (waited, running.result().code) == ("DEADLINE_EXCEEDED", "OK")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_too_many_is_refused_at_once(models, protocol) -> None:
    case, limits = CASES["ChooseActions"], Limits(max_concurrent_calls=2)
    data = case.request(2, 5).SerializeToString()
    with (
        sidecar_in_thread(models, max_wait_ms=60_000.0, limits=limits) as sidecar,
        ThreadPoolExecutor(2) as pool,
        to(sidecar, protocol) as wire,
    ):
        slow = [pool.submit(case.call, wire, data, timeout_s=4.0) for _ in range(2)]
        until(lambda: waiting(sidecar) == 2)
        assert case.call(wire, data).code == "RESOURCE_EXHAUSTED"
        assert [call.result().code for call in slow] == ["DEADLINE_EXCEEDED"] * 2
        assert case.call(wire, b"\xff").code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reload_in_the_middle_of_calls_changes_no_answer(models, family, case, protocol) -> None:
    data = [case.request(1 + seed % 2, seed).SerializeToString() for seed in range(4)]
    with (
        sidecar_in_thread(models, admin_token_file=token_file(models)) as sidecar,
        ThreadPoolExecutor(4) as pool,
        Client(f"127.0.0.1:{sidecar.port}", token=ADMIN_TOKEN) as client,
        to(sidecar, protocol) as wire,
    ):
        expected = [case.call(wire, one).message for one in data]
        before = sidecar.registry.served[family, 2].digest, sidecar.reloader.counts.loaded
        calls = [pool.submit(case.call, wire, one) for one in data * 6]
        for _ in range(3):
            client.load_model(family, 2)
        answers = [call.result() for call in calls]
        assert (sidecar.registry.served[family, 2].digest, sidecar.reloader.counts.loaded) == (before[0], before[1] + 3)
    for wanted, answer in zip(expected * 6, answers, strict=True):
        same(case, wanted, answer.message)


def token_file(folder: Path) -> Path:
    """Write the admin token beside the bundles, where the registry passes over it."""
    path = folder / ".admin-token"
    path.write_text(ADMIN_TOKEN)
    return path


@pytest.fixture(scope="module")
def guarded(models: Path):
    """A sidecar that wants a token."""
    path = models / ".token"
    path.write_text("compliance-token-01")
    with sidecar_in_thread(models, token_file=path) as sidecar:
        yield sidecar


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_without_the_token_runs_nothing(guarded, family, case, protocol) -> None:
    with to(guarded, protocol) as wire:
        answer = case.call(wire, case.request(2, 5))
        assert (answer.code, answer.reasons) == ("UNAUTHENTICATED", ["UNAUTHENTICATED"])
        assert "authorization: Bearer" in answer.text
    assert not any(b.batch_sizes for b in guarded.registry.served[family, 2].batchers.values())


class Held:
    """A session whose runs wait for a gate."""

    def __init__(self, session: Any) -> None:
        self.session, self.gate, self.running = session, threading.Event(), threading.Event()

    def run(self, feeds: Any) -> Any:
        self.running.set()
        assert self.gate.wait(60)
        return self.session.run(feeds)

    def inline(self, rows: int) -> bool:
        return False


def hold(sidecar: Any, case: Case) -> Held:
    """Make the graph that a call runs first wait for a gate."""
    batchers = sidecar.registry.served[case.family, 2].batchers
    first = batchers[case.first_graph or next(iter(batchers))]
    first._session = Held(first._session)
    return first._session


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_full_queue_is_refused_at_once_and_those_in_it_are_answered(models, case, protocol) -> None:
    data = [case.request(1, seed).SerializeToString() for seed in range(4)]
    with (
        sidecar_in_thread(models, queue_capacity=2) as sidecar,
        ThreadPoolExecutor(3) as pool,
        to(sidecar, protocol) as wire,
    ):
        held = hold(sidecar, case)
        calls = [pool.submit(case.call, wire, data[0])]
        assert held.running.wait(30)
        calls += [pool.submit(case.call, wire, one) for one in data[1:3]]
        until(lambda: waiting(sidecar) == 2)
        answer = case.call(wire, data[3])
        held.gate.set()
        assert (answer.code, answer.reasons) == ("RESOURCE_EXHAUSTED", ["RESOURCE_EXHAUSTED"])
        assert answer.retries == [0.05]
        assert [call.result().code for call in calls] == ["OK"] * 3
