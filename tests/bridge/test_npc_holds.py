"""Held sessions: who holds one is gone, and it ends, whichever way and over whichever port it was held."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
import threading

import grpc
import httpx
import numpy as np
import pytest
import tiny_models
from conftest import sidecar_in_thread
from held_runs import until
from wire import open_wire

from bridge.client import Client, ClientError, Group
from bridge.config import Limits
from bridge.v1 import npc_service_pb2 as pb

METHOD = "bridge.v1.NpcService/HoldSession"
CRASHES = """
import sys, time
from bridge.client import Client
client = Client(sys.argv[1])
with client.hold_session("game"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A sidecar that lets two sessions be held."""
    models = tmp_path_factory.mktemp("holds")
    tiny_models.write_diary(models)
    with sidecar_in_thread(models, limits=Limits(max_concurrent_calls=4)) as sidecar:
        yield sidecar


@pytest.fixture
def client(live):
    """A client of the module's sidecar."""
    with Client(f"127.0.0.1:{live.port}") as connected:
        yield connected


def tick(client, session):
    client.choose_actions([Group("diary", [1], {"note": np.ones((1, 1), np.float32)}, episode_starts=[True])], session=session)


@contextlib.contextmanager
def web_hold(live, session):
    """Hold a session over gRPC-Web until the block ends, by closing the connection."""
    data = pb.HoldSessionRequest(session_id=session).SerializeToString()
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    body = struct.pack(">BI", 0, len(data)) + data
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{live.web_port}", timeout=60, trust_env=False) as http,
        http.stream("POST", f"/{METHOD}", content=body, headers=headers) as response,
    ):
        parts, received = response.iter_raw(), b""
        while len(received) < 5 or len(received) < 5 + struct.unpack(">I", received[1:5])[0]:
            received += next(parts)
        assert pb.HoldSessionResponse.FromString(received[5:]).keeper == live.sessions.keeper
        yield


@pytest.mark.parametrize("port", ["grpc", "web"])
def test_a_session_ends_when_its_holder_lets_go(live, client, port):
    hold = client.hold_session("game") if port == "grpc" else web_hold(live, "game")
    with hold:
        tick(client, "game")
        assert "game" in live.sessions
    until(lambda: live.sessions.holders == 0)
    assert "game" not in live.sessions
    assert live.sessions.agents == 0


def test_a_session_ends_when_its_game_is_killed(live, client):
    command = [sys.executable, "-c", CRASHES, f"127.0.0.1:{live.port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as game:
        assert game.stdout.readline() == "held\n"
        tick(client, "game")
        game.kill()
        until(lambda: "game" not in live.sessions)


def test_a_session_ends_with_the_last_of_its_holders(live, client):
    with client.hold_session("game"):
        with web_hold(live, "game"):
            tick(client, "game")
        until(lambda: live.sessions.holders == 1)
        assert "game" in live.sessions
    until(lambda: "game" not in live.sessions)


def test_other_sessions_go_on(live, client):
    tick(client, "other")
    with client.hold_session("game"):
        tick(client, "game")
    until(lambda: "game" not in live.sessions)
    assert client.end_session("other")


def test_half_of_all_calls_may_hold_and_the_others_run(live, client):
    with client.hold_session("a"), client.hold_session("b"):
        with pytest.raises(ClientError, match="2 sessions are held already") as caught, client.hold_session("c"):
            pass
        assert (caught.value.code, caught.value.field) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "session_id")
        tick(client, "a")
    until(lambda: live.sessions.holders == 0)


@pytest.mark.parametrize("protocol", ["grpc", "grpc-web"])
@pytest.mark.parametrize(("session", "text"), [("", "is empty"), ("s" * 129, "has 129 characters")])
def test_a_hold_needs_a_session(live, protocol, session, text):
    with open_wire(protocol, f"127.0.0.1:{live.port}", f"http://127.0.0.1:{live.web_port}") as wire:
        answer = wire.call(METHOD, pb.HoldSessionRequest(session_id=session).SerializeToString(), stream=True)
    assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ["session_id"])
    assert text in answer.text


def test_a_sidecar_that_stops_lets_its_holders_go_at_once(tmp_path):
    tiny_models.write_diary(tmp_path)
    ended = threading.Event()

    def hold(stream):
        assert [message.keeper for message in stream] == [keeper]
        ended.set()

    with contextlib.ExitStack() as after:
        with sidecar_in_thread(tmp_path, drain_seconds=600.0) as sidecar:
            keeper = sidecar.sessions.keeper
            client = after.enter_context(Client(f"127.0.0.1:{sidecar.port}"))
            thread = threading.Thread(target=hold, args=[client._npcs.HoldSession(pb.HoldSessionRequest(session_id="game"))])
            thread.start()
            until(lambda: sidecar.sessions.holders == 1)
        assert ended.wait(60)
        thread.join()
