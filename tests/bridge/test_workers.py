"""Several workers on the same ports: clients see one sidecar, one that dies is replaced, all end together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import grpc
import httpx
import numpy as np
import psutil
import pytest
import tiny_models
from conftest import run_sidecar
from worker_channels import MOST_CONNECTIONS, PATIENCE_S, channels_to_all, connections, names, pids, port_of

from bridge import tensors, top
from bridge.__main__ import main
from bridge.errors import NotFound, Unavailable
from bridge.metrics_sum import sum_of
from bridge.v1 import admin_service_pb2, model_service_pb2, npc_service_pb2
from bridge.v1.admin_service_pb2_grpc import AdminServiceStub
from bridge.v1.npc_service_pb2_grpc import NpcServiceStub
from bridge.worker_link import WorkerLink

ADMIN = (("authorization", "Bearer workers-admin-token"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A models folder with a policy, a recurrent policy, and the admin token."""
    models = tmp_path_factory.mktemp("workers")
    tiny_models.write_npc(models)
    tiny_models.write_scout(models)
    (models / ".admin-token").write_text("workers-admin-token")
    return models


@contextlib.contextmanager
def two_workers(folder):
    with run_sidecar(folder, "--workers", "2", "--admin-token-file", str(folder / ".admin-token")) as live:
        yield live


@pytest.fixture(scope="module")
def shared(folder):
    """A sidecar of two workers that no test harms."""
    with two_workers(folder) as live:
        yield live


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


def look(channel, session, starts):
    """Return the status of an agent of the recurrent policy after a tick."""
    given = {"picture": np.full((1, 2, 2, 3), 8, np.uint8), "door": np.zeros(1, np.int64)}
    group = npc_service_pb2.PolicyGroup(
        model=model_service_pb2.ModelSelector(name="scout"),
        agent_ids=[5],
        observations=tensors.from_arrays(given),
        episode_starts=[starts],
    )
    request = npc_service_pb2.ChooseActionsRequest(session_id=session, groups=[group])
    return NpcServiceStub(channel).ChooseActions(request, timeout=PATIENCE_S).groups[0].statuses[0]


def test_each_worker_serves_both_ports_and_metrics_are_those_of_all(shared):
    def answered(snapshot, protocol):
        return snapshot.value("metabridge_calls_total", method="bridge.v1.ModelService.ListModels", protocol=protocol)

    before = top.fetch(shared.web, "", PATIENCE_S)
    with channels_to_all(shared) as channels, contextlib.ExitStack() as stack:
        posted = 0
        while posted < MOST_CONNECTIONS and not all(connections(pid, port_of(shared.web)) for pid in pids(shared)):
            web = stack.enter_context(httpx.Client(trust_env=False, timeout=PATIENCE_S))
            assert web.post(f"{shared.web}/bridge.v1.ModelService/ListModels", json={}).status_code == 200
            posted += 1
        assert posted < MOST_CONNECTIONS
        now = top.fetch(shared.web, "", PATIENCE_S)
    assert answered(now, "grpc") - answered(before, "grpc") == len(channels)
    assert answered(now, "connect") - answered(before, "connect") == posted
    assert now.value("metabridge_workers") == 2
    assert now.value("metabridge_bundles", state="serving") == 2
    assert now.value("metabridge_model_info", model="guard") == 1


def test_what_the_admin_service_does_is_done_by_all_workers(shared):
    with channels_to_all(shared) as channels:
        admin = AdminServiceStub(channels[0])
        guard = model_service_pb2.ModelSelector(name="guard")
        admin.UnloadModel(admin_service_pb2.UnloadModelRequest(model=guard), metadata=ADMIN, timeout=PATIENCE_S)
        assert [names(channel) for channel in channels] == [["scout"]] * len(channels)
        answer = admin.LoadModel(admin_service_pb2.LoadModelRequest(model=guard), metadata=ADMIN, timeout=PATIENCE_S)
        assert (answer.model.name, answer.model.version) == ("guard", 1)
        assert [names(channel) for channel in channels] == [["guard", "scout"]] * len(channels)
        unknown = admin_service_pb2.UnloadModelRequest(model=model_service_pb2.ModelSelector(name="nobody"))
        with pytest.raises(grpc.RpcError, match="there is no model") as caught:
            admin.UnloadModel(unknown, metadata=ADMIN, timeout=PATIENCE_S)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "model.name" in caught.value.details()
        admin.ReloadModels(admin_service_pb2.ReloadModelsRequest(), metadata=ADMIN, timeout=PATIENCE_S)


def test_a_worker_that_is_killed_is_replaced_by_one_that_serves_the_same_and_says_that_state_is_lost(folder):
    with two_workers(folder) as live, channels_to_all(live) as channels:
        selector = model_service_pb2.ModelSelector(name="guard")
        AdminServiceStub(channels[0]).UnloadModel(
            admin_service_pb2.UnloadModelRequest(model=selector), metadata=ADMIN, timeout=PATIENCE_S
        )
        before = {pid: connections(pid, port_of(live.address)) for pid in pids(live)}
        assert all(look(channel, f"session {i}", True) == npc_service_pb2.AGENT_STATUS_OK for i, channel in enumerate(channels))
        assert all(
            look(channel, f"session {i}", False) == npc_service_pb2.AGENT_STATUS_OK for i, channel in enumerate(channels)
        )
        victim = next(iter(before))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in pids(live) and top.fetch(live.web, "", PATIENCE_S).value("metabridge_workers") == 2)
        assert [names(channel) for channel in channels] == [["scout"]] * len(channels)
        states = [look(channel, f"session {i}", False) for i, channel in enumerate(channels)]
        lost = states.count(npc_service_pb2.AGENT_STATUS_STATE_LOST)
        assert lost == before[victim]
        assert states.count(npc_service_pb2.AGENT_STATUS_OK) == len(channels) - lost
        with channels_to_all(live) as fresh:
            assert [names(channel) for channel in fresh] == [["scout"]] * len(fresh)


def test_all_workers_end_with_their_supervisor_however_it_ends(folder):
    with two_workers(folder) as live:
        workers = pids(live)
        assert len(workers) == 2
        live.process.terminate()
        assert live.process.wait(PATIENCE_S) == 0
        assert not any(map(psutil.pid_exists, workers))
    command = [sys.executable, "-m", "bridge", "serve", "--models", str(folder), "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline()
        workers = [child.pid for child in psutil.Process(process.pid).children()]
        process.kill()
    wait_until(lambda: not any(map(psutil.pid_exists, workers)))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ports_of_others_are_not_shared(folder, shared, capsys, workers):
    port = port_of(shared.address)
    assert main(["serve", "--models", str(folder), "--workers", workers, "--port", str(port), "--web-port", "-1"]) == 1
    assert re.search(rf"error: cannot bind .*:{port}: .*choose another --port, or 0", capsys.readouterr().err)


def test_a_unix_socket_has_one_owner(folder, capsys):
    assert main(["serve", "--models", str(folder), "--workers", "2", "--unix-socket", str(folder / "socket")]) == 1
    assert "error: --unix-socket and --workers do not go together" in capsys.readouterr().err


def test_a_worker_that_cannot_start_ends_the_start(tmp_path):
    command = [sys.executable, "-m", "bridge", "serve", "--models", str(tmp_path), "--port", "0", "--workers", "2"]
    done = subprocess.run([*command, "--providers", "strict"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert re.search(r"error: worker \d ended with 1 before it served", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_link_carries_answers_and_errors_both_ways_and_says_when_the_other_end_is_gone():
    async def main():
        async def left(question, value):
            return [question, value]

        async def right(question, value):
            raise NotFound(f"no {value}", field="model.name")

        ends = socket.socketpair()
        one, other = [await WorkerLink.open(end, answer) for end, answer in zip(ends, (left, right), strict=True)]
        running = [asyncio.create_task(link.run()) for link in (one, other)]
        assert await other.ask("twice", {"a": 1}) == ["twice", {"a": 1}]
        with pytest.raises(NotFound, match="no fish") as caught:
            await one.ask("find", "fish")
        assert caught.value.field == "model.name"
        running[0].cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for link in (one, other):
            with pytest.raises(Unavailable, match="the process at the other end has ended"):
                await link.ask("anything")

    asyncio.run(main())


def test_sums_of_metrics_add_what_adds_and_show_once_what_all_have():
    text = (
        '# HELP metabridge_calls_total Calls.\n# TYPE metabridge_calls_total counter\nmetabridge_calls_total{code="OK"} %d\n'
        '# HELP metabridge_bundles B.\n# TYPE metabridge_bundles gauge\nmetabridge_bundles{state="serving"} %d\n'
        "# HELP process_start_time_seconds S.\n# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %d\n"
    )
    summed = sum_of([(text % (3, 2, 100)).encode(), (text % (4, 2, 90)).encode()]).decode()
    lines = [line for line in summed.splitlines() if not line.startswith("#")]
    assert lines == [
        "metabridge_workers 2.0",
        'metabridge_calls_total{code="OK"} 7.0',
        'metabridge_bundles{state="serving"} 2.0',
        "process_start_time_seconds 90.0",
    ]
