"""What a client cannot do to the gRPC port: ping without pause, send endless headers, take more streams than it is given."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import pytest
import tiny_models
from conftest import sidecar_in_thread
from family_cases import CASES
from raw_http2 import GOAWAY, PING, PREFACE, SETTINGS, frame
from wire import open_wire

from bridge.client import Client
from bridge.config import Limits

ENHANCE_YOUR_CALM = 11
MAX_CONCURRENT_STREAMS = 3


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A sidecar with small limits."""
    models = tmp_path_factory.mktemp("models")
    tiny_models.write_npc(models, "npc")
    limits = Limits(max_streams=3, max_header_bytes=4096, ping_seconds=1000.0)
    with sidecar_in_thread(models, limits=limits, max_wait_ms=300.0) as sidecar:
        yield sidecar


@contextlib.contextmanager
def http2(sidecar):
    """A connection that speaks HTTP/2 by hand, after both sides' settings."""
    with socket.create_connection(("127.0.0.1", sidecar.port), 30) as plain:
        plain.sendall(PREFACE + frame(SETTINGS))
        yield plain, plain.makefile("rb")


def frames(stream):
    """Yield the kind and payload of each frame until the other side closes."""
    while len(head := stream.read(9)) == 9:
        yield head[3], stream.read(int.from_bytes(head[:3], "big"))


def test_pinging_without_pause_is_answered_with_goaway(limited):
    with http2(limited) as (plain, stream):
        with contextlib.suppress(OSError):
            for number in range(20):
                plain.sendall(frame(PING, struct.pack(">Q", number)))
        away = next(payload for kind, payload in frames(stream) if kind == GOAWAY)
    assert struct.unpack(">I", away[4:8])[0] == ENHANCE_YOUR_CALM
    assert b"too_many_pings" in away
    with Client(f"127.0.0.1:{limited.port}") as client:
        assert len(client.models()) == 1


def test_a_connection_is_told_how_many_calls_it_may_have_and_has_no_more(limited):
    with http2(limited) as (_, stream):
        settings = next(payload for kind, payload in frames(stream) if kind == SETTINGS)
    values = dict(struct.unpack_from(">HI", settings, place) for place in range(0, len(settings), 6))
    assert values[MAX_CONCURRENT_STREAMS] == 3
    case = CASES["ChooseActions"]
    address, web = f"127.0.0.1:{limited.port}", f"http://127.0.0.1:{limited.web_port}"
    with open_wire("grpc", address, web) as wire, ThreadPoolExecutor(9) as pool:
        answers = list(pool.map(lambda seed: case.call(wire, case.request(1, seed)), range(9)))
        assert {answer.code for answer in answers} <= {"OK", "UNAVAILABLE"}
        assert case.call(wire, case.request(1, 5)).code == "OK"
    assert max(limited.registry.served["npc", 1].batchers["policy"].batch_sizes) <= 3


def test_headers_beyond_the_limit_fail_their_call_alone(limited):
    with Client(f"127.0.0.1:{limited.port}") as client:
        call = client.channel.unary_unary("/bridge.v1.ModelService/ListModels")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=(("x-long", "a" * 8000),), timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(client.models()) == 1


def test_random_bytes_on_both_ports_disturb_nobody(limited):
    with Client(f"127.0.0.1:{limited.port}") as client:
        for port in (limited.port, limited.web_port):
            for data in (b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff" * 64, bytes(range(256)) * 40):
                with socket.create_connection(("127.0.0.1", port), 30) as plain, contextlib.suppress(OSError):
                    plain.sendall(data)
                    plain.shutdown(socket.SHUT_WR)
                    while plain.recv(4096):
                        pass
        assert len(client.models()) == 1


def test_an_idle_connection_is_closed_and_its_client_comes_back_by_itself(tmp_path):
    with sidecar_in_thread(tmp_path, limits=Limits(idle_seconds=1.0)) as sidecar:
        with http2(sidecar) as (_, stream):
            kinds = [kind for kind, _ in frames(stream)]
        assert GOAWAY in kinds
        with Client(f"127.0.0.1:{sidecar.port}") as client:
            assert client.models() == []
            time.sleep(2.0)
            assert client.models() == []


def half(sidecar, data):
    """Send the beginning of a request to the web port; return all that comes back until it closes."""
    with socket.create_connection(("127.0.0.1", sidecar.web_port), 30) as plain:
        with contextlib.suppress(OSError):
            plain.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := plain.recv(65_536):
                answer += part
    return answer


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A sidecar that waits a second for a head of 4 KiB."""
    limits = Limits(max_header_bytes=4096, head_seconds=1.0)
    with sidecar_in_thread(tmp_path_factory.mktemp("none"), limits=limits) as sidecar:
        yield sidecar


@pytest.mark.parametrize("data", [b"", b"POST / HTTP/1.1\r\nhost: localhost\r\nx-slow: "])
def test_a_head_that_does_not_end_in_time_closes_its_connection(impatient, data):
    assert half(impatient, data) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"a" * 8000,
        b"POST / HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"a" * 8000 + b"\r\n\r\n",
        b"GET /" + b"a" * 8000,
        b"POST / HTTP/1.1\r\n" + b"x: 1\r\n" * 1000,
    ],
)
def test_a_head_beyond_the_limit_is_refused_with_431(impatient, data):
    answer = half(impatient, data)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("trailer", [b"x: 1\r\n", b"a"])
def test_trailers_without_end_close_their_connection(impatient, trailer):
    head = b"POST /bridge.v1.ModelService/ListModels HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    body = b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-long: 1\r\n"
    with socket.create_connection(("127.0.0.1", impatient.web_port), 30) as plain:
        plain.sendall(head + body)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            plain.sendall(trailer * (2**26 // len(trailer)))  # far beyond what both sockets' buffers hold


def test_a_slow_head_and_a_kept_connection_disturb_nobody(impatient):
    with httpx.Client(base_url=f"http://127.0.0.1:{impatient.web_port}", trust_env=False, timeout=30) as http:
        for pause in (0.0, 0.5, 1.5):
            time.sleep(pause)
            answer = http.post("/bridge.v1.ModelService/ListModels", content=b" " * 9000 + b"{}", headers=JSON)
            assert answer.status_code == 200


JSON = {"content-type": "application/json"}
