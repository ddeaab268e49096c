"""The sidecar's life: NOT_SERVING until it can answer, a stop that finishes what was accepted, and clear refusals to start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import tiny_models
from conftest import run_sidecar, sidecar_in_thread
from family_cases import CASES
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from wire import PROTOCOLS, open_wire

from bridge import server
from bridge.__main__ import main
from bridge.client import Client
from bridge.config import ServeConfig
from bridge.server import Sidecar
from bridge.v1 import model_service_pb2

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ["bridge.v1.AvatarService", "bridge.v1.ModelService", "bridge.v1.NpcService"]


@pytest.fixture
def explained(capsys):
    """Run `serve`, which must end with code 1 and one line that says why."""

    def run(*arguments, texts):
        assert main(["serve", *map(str, arguments)]) == 1
        said = capsys.readouterr()
        assert not said.out
        line = said.err.splitlines()[-1]
        assert line.startswith("error: ")
        for text in texts:
            assert text in line, line

    return run


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check(channel, service=""):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status


def test_health_is_serving_for_every_service(client):
    assert [check(client.channel, service) for service in ("", *SERVICES)] == [SERVING] * 4
    with pytest.raises(grpc.RpcError) as caught:
        check(client.channel, "bridge.v1.Nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_is_not_serving_before_the_models_are_warm_and_calls_say_so(tiny_folder):
    gate, port = threading.Event(), free_port()
    sidecar = Sidecar(ServeConfig(models=tiny_folder, port=port, web_port=-1))
    load = sidecar.reloader.load

    def held(folder):
        assert gate.wait(60)
        return load(folder)

    sidecar.reloader.load = held

    async def life():
        async with sidecar:
            assert await asyncio.to_thread(done.wait, 60)

    done = threading.Event()
    with ThreadPoolExecutor(1) as thread, Client(f"127.0.0.1:{port}") as client:
        running = thread.submit(asyncio.run, life())
        grpc.channel_ready_future(client.channel).result(30)
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == NOT_SERVING
        assert {model.state for model in client.models()} == {model_service_pb2.MODEL_STATE_LOADING}
        with open_wire("grpc", f"127.0.0.1:{port}", "http://127.0.0.1:1") as wire:
            answer = wire.call(CASES["ChooseActions"].method, CASES["ChooseActions"].request(1, 1).SerializeToString())
        assert (answer.code, answer.retries) == ("UNAVAILABLE", [1.0])
        gate.set()
        assert next(watch).status == SERVING
        assert len(client.models()) == 3
        watch.cancel()
        done.set()
        running.result(60)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services_and_describes_them(client, version):
    call = client.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    asked += [reflection_pb2.ServerReflectionRequest(file_containing_symbol=service) for service in SERVICES]
    listed, *files = call(iter(asked), timeout=30)
    names = [service.name for service in listed.list_services_response.service]
    assert {*SERVICES, "grpc.health.v1.Health"} <= set(names)
    assert all(file.file_descriptor_response.file_descriptor_proto for file in files)


def test_a_stop_finishes_the_calls_that_were_accepted(tmp_path):
    case = CASES["ChooseActions"]
    tiny_models.write_npc(tmp_path, "npc")
    with ThreadPoolExecutor(3) as pool, contextlib.ExitStack() as wires:
        with sidecar_in_thread(tmp_path, max_wait_ms=3000.0) as sidecar:
            address, web = f"127.0.0.1:{sidecar.port}", f"http://127.0.0.1:{sidecar.web_port}"
            opened = [wires.enter_context(open_wire(protocol, address, web)) for protocol in PROTOCOLS]
            data = case.request(2, 5).SerializeToString()
            calls = [pool.submit(wire.call, case.method, data) for wire in opened]
            queue = sidecar.registry.served["npc", 1].batchers["policy"]._queue
            while len(queue) < 3:
                assert not any(call.done() for call in calls)
                time.sleep(0.005)
        assert [call.result(30).code for call in calls] == ["OK"] * 3
        assert opened[0].call(case.method, data, timeout_s=5.0).code == "UNAVAILABLE"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_sidecar_with_code_0(tmp_path, signum):
    command = [sys.executable, "-m", "bridge", "serve", "--models", tmp_path, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert json.loads(process.stdout.readline())["models"] == []
            process.send_signal(signum)
            assert process.wait(30) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


def test_the_ready_line_names_both_ports_the_models_and_the_process(tmp_path):
    tiny_models.write_npc(tmp_path)
    (tiny_models.write_npc(tmp_path, "broken") / "policy.onnx").unlink()
    with run_sidecar(tmp_path) as live:
        assert live.address.startswith("127.0.0.1:")
        assert live.web.startswith("http://127.0.0.1:")
    sidecar = Sidecar(ServeConfig(models=tmp_path, port=0))

    async def line():
        async with sidecar:
            return json.loads(sidecar.ready_line())

    ready = asyncio.run(line())
    assert (ready["models"], ready["refused"]) == (["guard:1"], ["broken:1"])
    assert set(ready) == {"address", "tls", "web", "models", "refused", "pid"}


def test_a_named_port_takes_the_next_one_for_the_web(tiny_folder):
    for _ in range(20):
        port = free_port()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + 1)):
                break
    with sidecar_in_thread(tiny_folder, port=port) as sidecar:
        assert (sidecar.port, sidecar.web_port) == (port, port + 1)


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_the_ipv6_loopback_is_served_too(tiny_folder):
    with sidecar_in_thread(tiny_folder, host="::1") as sidecar:
        ready = json.loads(sidecar.ready_line())
        assert ready["address"] == f"[::1]:{sidecar.port}"
        for protocol in PROTOCOLS:
            with open_wire(protocol, ready["address"], ready["web"]) as wire:
                assert wire.call("bridge.v1.ModelService/ListModels", b"").code == "OK"


def test_an_empty_folder_is_served(tmp_path):
    with sidecar_in_thread(tmp_path) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        client.wait_until_serving()
        assert client.models() == []


def test_a_folder_that_is_not_there_is_refused(tmp_path, explained):
    explained("--models", tmp_path / "nothing", "--port", 0, texts=["there is no folder", "nothing", "--models"])


def test_a_refusal_to_start_is_one_line_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "bridge", "serve", "--models", tmp_path / "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: there is no folder")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_an_address_that_others_can_reach_is_refused(tmp_path, explained, host):
    explained(
        "--models",
        tmp_path,
        "--port",
        0,
        "--host",
        host,
        texts=["no TLS (--tls-cert and --tls-key) and no token (--token-file"],
    )


@pytest.mark.parametrize("flag", ["--port", "--web-port"])
def test_a_busy_port_is_said_with_what_to_do(tmp_path, explained, flag):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        number = busy.getsockname()[1]
        others = () if flag == "--port" else ("--port", 0)
        explained(
            "--models", tmp_path, *others, flag, number, texts=[f"cannot bind 127.0.0.1:{number}", f"choose another {flag}"]
        )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--port", -1), "--port is -1, expected 0 to 65535"),
        (("--port", 70_000), "--port is 70000"),
        (("--port", 65_535), "--web-port is 65536"),
        (("--port", 0, "--web-port", -2), "--web-port is -2"),
        (("--max-batch", 0), "--max-batch is 0, expected 1 to 1048576"),
        (("--max-wait-ms", "nan"), "--max-wait-ms is nan"),
        (("--queue-capacity", 0), "--queue-capacity is 0, expected 1 to 1048576"),
        (("--instances", 0), "--instances is 0, expected 1 to 64"),
        (("--latest", -1), "--latest is -1, expected at least 0"),
        (("--watch-seconds", "inf"), "--watch-seconds is inf, expected 0 to 3600"),
        (("--pin", "guard"), '--pin: "guard" pins nothing, expected MODEL=VERSION'),
        (("--pin", "guard=0"), '"guard=0" pins nothing'),
        (("--model-settings", "guard=3"), '"guard=3" is no setting, expected MODEL.SETTING=VALUE'),
        (("--model-settings", "guard.colour=3"), 'sets "colour", expected one of'),
        (("--model-settings", "guard.max_batch=0"), "--model-settings: guard: Expected `int` >= 1"),
        (("--model-settings", "guard.max_batch=many"), "--model-settings: guard: Expected `int"),
        (("--drain-seconds", -1), "--drain-seconds is -1"),
        (("--limits.max-agents", 0), "--limits.max-agents is 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_at_the_start(tmp_path, explained, arguments, text):
    explained("--models", tmp_path, *arguments, texts=[text])


def test_a_failed_start_frees_the_grpc_port(tiny_folder):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = free_port()
        sidecar = Sidecar(ServeConfig(models=tiny_folder, port=port, web_port=busy.getsockname()[1]))

        async def life():
            async with sidecar:
                raise AssertionError("the web port is busy")

        with pytest.raises(RuntimeError, match="choose another --web-port"):
            asyncio.run(life())
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))


def test_two_sidecars_do_not_share_a_port(tiny_folder, explained):
    with sidecar_in_thread(tiny_folder) as first:
        explained("--models", tiny_folder, "--port", first.port, texts=["choose another --port"])


def test_a_signal_ends_a_start_that_still_loads(tmp_path, monkeypatch):
    tiny_models.write_npc(tmp_path)
    loading, gate = threading.Event(), threading.Event()

    def hang(*arguments):
        loading.set()
        gate.wait(60)

    def kill():
        assert loading.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(server, "load_bundle", hang)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        asyncio.run(asyncio.wait_for(server.serve(ServeConfig(models=tmp_path, port=0)), 30))
    finally:
        gate.set()
        killer.join()
