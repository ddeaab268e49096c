"""What a machine and its network do to a sidecar: processes that die, disks that fill, connections that go silent."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import tiny_models
from conftest import run_sidecar, sidecar_in_thread
from family_cases import CASES, FAMILIES, write_models
from raw_http2 import PREFACE, SETTINGS, frame
from wire import PROTOCOLS, open_wire

from bridge import ports, tensors
from bridge.client import Client, ClientError
from bridge.models_folder import scan
from bridge.probe import CACHE_FILE, CACHE_VARIABLE
from bridge.v1 import npc_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

IDLE = 1000


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A models folder with good and damaged bundles of every family."""
    folder = tmp_path_factory.mktemp("families")
    write_models(folder)
    return folder


@pytest.fixture
def policies(tmp_path) -> Path:
    """A models folder with a policy, and one that remembers."""
    folder = tmp_path / "models"
    tiny_models.write_npc(folder, "npc")
    tiny_models.write_scout(folder)
    return folder


def free_ports() -> tuple[str, str]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1]), str(two.getsockname()[1])


@contextlib.contextmanager
def until_killed(models: Path, *options: str):
    """Run a sidecar that ends by SIGKILL."""
    ends = run_sidecar(models, *options)
    live = ends.__enter__()
    try:
        yield live
        assert live.process.wait(30) == -signal.SIGKILL
    finally:
        live.process.kill()
        live.process.wait(30)
        live.process.stdout.close()


def memory_request(session: str) -> pb.ChooseActionsRequest:
    """Ask the policy that remembers what it saw; its `turn` says what it remembers."""
    picture, door = np.full((1, 2, 2, 3), 100, np.uint8), np.array([0], np.int64)
    group = pb.PolicyGroup(
        name="scouts",
        model=ModelSelector(name="scout"),
        agent_ids=[7],
        observations=tensors.from_arrays({"picture": picture, "door": door}),
    )
    return pb.ChooseActionsRequest(session_id=session, groups=[group])


def turn(answer: pb.ChooseActionsResponse) -> float:
    action = next(action for action in answer.groups[0].actions if action.name == "turn")
    return float(tensors.to_array(action.tensor, "turn")[0, 0])


def ask(client: Client, session: str) -> float:
    data = memory_request(session).SerializeToString()
    answer = client.channel.unary_unary("/bridge.v1.NpcService/ChooseActions")(data, timeout=30, wait_for_ready=True)
    return turn(pb.ChooseActionsResponse.FromString(answer))


def test_clients_come_back_by_themselves_after_a_kill_and_sessions_begin_anew(policies) -> None:
    port, web = free_ports()
    options = ("--port", port, "--web-port", web)
    with Client(f"127.0.0.1:{port}") as client:
        with until_killed(policies, *options) as live:
            first, second = ask(client, "game"), ask(client, "game")
            assert first != second, "nothing is remembered, so nothing can be forgotten"
            live.process.kill()
            live.process.wait(30)
            with pytest.raises(ClientError) as caught:
                client.models()
            assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        with run_sidecar(policies, *options):
            assert [ask(client, "game"), ask(client, "game")] == [first, second]
            client.channel.unary_unary("/bridge.v1.NpcService/EndSession")(
                pb.EndSessionRequest(session_id="game").SerializeToString(), timeout=30
            )
            assert ask(client, "game") == first


def test_a_kill_in_the_midst_of_calls_ends_each_at_once_and_the_next_are_answered(models) -> None:
    port, web = free_ports()
    options = ("--port", port, "--web-port", web)
    case = CASES["ChooseActions"]
    data = case.request(2, 5).SerializeToString()
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(open_wire(p, f"127.0.0.1:{port}", f"http://127.0.0.1:{web}")) for p in PROTOCOLS]
        pool = stack.enter_context(ThreadPoolExecutor(3))
        with until_killed(models, *options, "--max-wait-ms", "60000") as live:
            calls = [pool.submit(outcome, wire, case, data) for wire in wires]
            until_waiting(live, 3)
            live.process.kill()
            assert [call.result(20) for call in calls] == ["UNAVAILABLE", "lost", "lost"]
        with run_sidecar(models, *options):
            Client(f"127.0.0.1:{port}").wait_until_serving()
            for each in CASES.values():
                answers = {each.call(wire, each.request(2, 5)).message for wire in wires}
                assert len(answers) == 1


def until_waiting(live, count: int) -> None:
    """Wait until so many calls are in the sidecar's queues."""
    end = time.monotonic() + 30
    with httpx.Client(base_url=live.web, trust_env=False, timeout=30) as http:
        while True:
            lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith("metabridge_queue_depth{")]
            if sum(float(line.split()[-1]) for line in lines) == count:
                return
            assert time.monotonic() < end, lines
            time.sleep(0.02)


def outcome(wire, case, data) -> str:
    try:
        return case.call(wire, data).code
    except OSError:
        return "lost"
    except Exception as error:
        return "lost" if "httpx" in type(error).__module__ or "httpcore" in type(error).__module__ else repr(error)


def test_sigterm_answers_what_runs_and_then_ends(models) -> None:
    case = CASES["ChooseActions"]
    data = case.request(2, 5).SerializeToString()
    with contextlib.ExitStack() as stack, run_sidecar(models, "--max-wait-ms", "8000") as live:
        wires = [stack.enter_context(open_wire(protocol, live.address, live.web)) for protocol in PROTOCOLS]
        pool = stack.enter_context(ThreadPoolExecutor(3))
        calls = [pool.submit(case.call, wire, data) for wire in wires]
        until_waiting(live, 3)
        live.process.send_signal(signal.SIGTERM)
        assert [call.result(30).code for call in calls] == ["OK"] * 3
        assert live.process.wait(30) == 0


def test_the_models_folder_is_only_read(models) -> None:
    before = scan(models), sorted(str(path) for path in models.rglob("*"))
    with run_sidecar(models, "--watch-seconds", "0.1") as live, Client(live.address) as client:
        for case in CASES.values():
            with open_wire("grpc", live.address, live.web) as wire:
                assert case.call(wire, case.request(2, 5)).code == "OK"
        assert client.models()
    assert (scan(models), sorted(str(path) for path in models.rglob("*"))) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_stops_neither_logs_nor_loads(policies, tmp_path, monkeypatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / CACHE_FILE).symlink_to("/dev/full")
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    command = [sys.executable, "-m", "bridge", "serve", "--models", str(policies), "--port", "0", "--log-level", "debug"]
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=full, text=True) as process,
    ):
        try:
            assert process.stdout
            address = json.loads(process.stdout.readline())["address"]
            with Client(address) as client:
                assert {model.name for model in client.models()} == {"npc", "scout"}
                assert ask(client, "game") == ask(client, "other")
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_a_bundle_cut_short_by_a_full_disk_leaves_the_old_one_in_service(policies) -> None:
    with run_sidecar(policies, "--watch-seconds", "0.1", "--latest", "1") as live, Client(live.address) as client:
        folder = tiny_models.write_npc(policies / ".written", "npc", 2)
        graph = folder / "policy.onnx"
        graph.write_bytes(graph.read_bytes()[:100])
        folder.rename(policies / "npc" / "2")
        end = time.monotonic() + 60
        while not any(model.version == 2 and model.reason for model in client.models()):
            assert time.monotonic() < end
            time.sleep(0.05)
        shutil.rmtree(policies / "npc" / "2")
        tiny_models.write_npc(policies / ".written", "npc", 2).rename(policies / "npc" / "2")
        while not any(model.version == 2 and not model.reason for model in client.models()):
            assert time.monotonic() < end
            time.sleep(0.05)


@contextlib.contextmanager
def few_files(soft: int):
    """Let this process and its children open no more than `soft` files by default, though they may ask for more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_thousand_idle_connections_on_each_port_leave_room_for_calls(models) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 4 * IDLE:
        pytest.skip(f"this user may open {hard} files, the test needs {4 * IDLE}")
    with contextlib.ExitStack() as stack:
        with few_files(512):
            live = stack.enter_context(run_sidecar(models))
        stack.enter_context(few_files(4 * IDLE))
        for address in (live.address, live.web.removeprefix("http://")):
            host, port = address.split(":")
            for number in range(IDLE):
                plain = stack.enter_context(socket.create_connection((host, int(port)), 30))
                if address == live.address and number % 2:
                    plain.sendall(PREFACE + frame(SETTINGS))
        for case in CASES.values():
            for protocol in PROTOCOLS:
                with open_wire(protocol, live.address, live.web) as wire:
                    assert case.call(wire, case.request(2, 5)).code == "OK"


def test_a_connection_that_went_silent_is_ended_with_its_call(models, monkeypatch) -> None:
    monkeypatch.setattr(ports, "KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(ports, "KEEPALIVE_TIMEOUT_SECONDS", 1)
    with sidecar_in_thread(models) as sidecar:
        relay = Relay(sidecar.port)
        with relay, Client(f"127.0.0.1:{relay.port}") as client:
            watch = client.channel.unary_stream("/bridge.v1.AvatarService/MorphAvatar")
            request = CASES["MorphAvatar"].request(2, 5)
            request.seconds_per_key, request.pacing = 600.0, 0
            call = watch(request.SerializeToString(), timeout=600)
            next(call)
            assert sidecar._calls.places._taken == 1
            relay.silent.set()
            end = time.monotonic() + 60
            while sidecar._calls.places._taken:
                assert time.monotonic() < end, "the call of a client that is gone still has its place"
                time.sleep(0.05)


class Relay:
    """A network between a client and a sidecar, which can go silent: nothing passes, and nobody is told."""

    def __init__(self, port: int) -> None:
        self.silent = threading.Event()
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not self.silent.is_set():
                    target.sendall(data)


def test_random_bytes_and_spoilt_frames_on_both_ports_disturb_nobody(models) -> None:
    rng = random.Random(7)
    with run_sidecar(models) as live, Client(live.address) as client:
        ports_ = [int(live.address.split(":")[1]), int(live.web.rsplit(":", 1)[1])]
        for number in range(200):
            with socket.create_connection(("127.0.0.1", ports_[number % 2]), 30) as plain, contextlib.suppress(OSError):
                plain.sendall(garbage(rng))
                plain.settimeout(0.01)
                plain.recv(4096)
        assert len(client.models()) == 3 * len(FAMILIES)  # each twice, and once broken
        for case in CASES.values():
            for protocol in PROTOCOLS:
                with open_wire(protocol, live.address, live.web) as wire:
                    assert case.call(wire, case.request(2, 5)).code == "OK"


def garbage(rng: random.Random) -> bytes:
    """Return bytes that no client sends: random ones, frames of HTTP/2 with random contents, and heads cut or spoilt."""
    kind = rng.randrange(3)
    if kind == 0:
        return rng.randbytes(rng.choice((1, 9, 24, 500, 20_000)))
    if kind == 1:
        frames = [frame(rng.randrange(12), rng.randbytes(rng.choice((0, 1, 4, 8, 40))), rng.randrange(256)) for _ in range(4)]
        return PREFACE + frame(SETTINGS) + b"".join(frames)
    head = bytearray(
        b"POST /bridge.v1.ModelService/ListModels HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    )
    head += b"content-length: 2\r\n\r\n{}"
    for _ in range(rng.randint(1, 6)):
        head[rng.randrange(len(head))] = rng.randrange(256)
    return bytes(head[: rng.randint(1, len(head))])
