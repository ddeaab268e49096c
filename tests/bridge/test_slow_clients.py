"""Clients that are slow, or never come to an end: each loses its own call, at the same status on every protocol."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time

import grpc
import httpx
import pytest
import tiny_models
import trustme
from conftest import sidecar_in_thread
from grpc_reflection.v1alpha import reflection_pb2
from wire import PROTOCOLS, connect_error, open_wire

from bridge.client import Client
from bridge.config import Limits
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

MODELS = "bridge.v1.ModelService/ListModels"
STREAM = "bridge.v1.AvatarService/StreamAvatars"
TOKEN = "slow-clients-token"
CONTENT_TYPES = {"grpc-web": "application/grpc-web+proto", "connect": "application/proto"}
GRPC_WEB = {"content-type": CONTENT_TYPES["grpc-web"]}
LARGE = pb.StreamAvatarsRequest(
    model=ModelSelector(name="face"),
    spec=pb.AvatarSpec(seeds=range(24), image=asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, size_px=1024)),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder with a small generator of avatars."""
    folder = tmp_path_factory.mktemp("models")
    tiny_models.write_avatar(folder)
    return folder


@pytest.fixture(scope="module")
def impatient(models):
    """A sidecar that waits a second for requests and for clients that take nothing, and runs two calls at a time."""
    limits = Limits(request_seconds=1.0, answer_seconds=1.0, max_concurrent_calls=2)
    with sidecar_in_thread(models, limits=limits) as sidecar:
        yield sidecar


@pytest.fixture(scope="module")
def guarded(models):
    """A sidecar that wants a token, and waits an hour for requests."""
    (models / ".token").write_text(TOKEN)
    limits = Limits(request_seconds=3600.0)
    with sidecar_in_thread(models, token_file=models / ".token", limits=limits) as sidecar:
        yield sidecar


def head(protocol, size, method=MODELS, *lines):
    """Return the head of a web request that promises a body of `size` bytes."""
    fields = (f"POST /{method} HTTP/1.1", "host: localhost", f"content-type: {CONTENT_TYPES[protocol]}", *lines)
    return "\r\n".join((*fields, f"content-length: {size}", "", "")).encode()


def received(plain, until=b"\r\n\r\n"):
    """Return what comes until `until` was seen, or the other side closes."""
    data = b""
    while until not in data and (part := plain.recv(65_536)):
        data += part
    return data


def send_without_end(plain, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        plain.sendall(bytes(65_536))


def status(protocol, answer):
    """Return the code's number or Connect's name for an answer on a plain connection."""
    if protocol == "connect":
        return connect_error(answer.partition(b"\r\n\r\n")[2].partition(b"\r\n")[2].partition(b"\r\n")[0]).code
    return grpc_code(answer)


def grpc_code(answer):
    number = int(answer.partition(b"grpc-status:")[2].strip().split(b"\r\n")[0])
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


@contextlib.contextmanager
def web(sidecar):
    with socket.create_connection(("127.0.0.1", sidecar.web_port), 30) as plain:
        yield plain


def silent_call(sidecar, method, release):
    """Begin a gRPC call that never sends its request; return the code that ends it."""

    def nothing():
        release.wait(60)
        yield from ()

    with Client(f"127.0.0.1:{sidecar.port}") as client:
        call = client.channel.stream_unary(f"/{method}")
        try:
            call(nothing(), timeout=50)
        except grpc.RpcError as error:
            return error.code().name
        finally:
            release.set()
    return "OK"


@pytest.mark.parametrize("protocol", CONTENT_TYPES)
def test_a_call_without_the_token_is_refused_before_its_body_comes(guarded, protocol):
    with web(guarded) as plain:
        plain.sendall(head(protocol, 1000))
        assert status(protocol, received(plain, b"0\r\n\r\n")) == "UNAUTHENTICATED"
        assert plain.recv(100) == b"", "the connection stays, with a body that nobody reads"
    release = threading.Event()
    assert silent_call(guarded, MODELS, release) == "UNAUTHENTICATED"


@pytest.mark.parametrize("protocol", CONTENT_TYPES)
def test_a_body_after_a_refusal_is_not_kept_and_its_connection_goes_on(guarded, protocol):
    with web(guarded) as plain:
        for _ in range(3):
            plain.sendall(head(protocol, 9000) + b"\0" * 4000)
            assert status(protocol, received(plain, b"0\r\n\r\n")) == "UNAUTHENTICATED"
            plain.sendall(b"\0" * 5000)
        plain.sendall(head(protocol, 0 if protocol == "connect" else 5, MODELS, f"authorization: Bearer {TOKEN}"))
        if protocol == "grpc-web":
            plain.sendall(struct.pack(">BI", 0, 0))
        assert b"face" in received(plain, b"0\r\n\r\n")


@pytest.mark.parametrize("protocol", CONTENT_TYPES)
def test_a_body_without_end_is_not_read_after_a_refusal(guarded, protocol):
    with web(guarded) as plain:
        plain.sendall(head(protocol, 1 << 40))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_without_end(plain)


@pytest.mark.parametrize("size", [0, 3, 700])
@pytest.mark.parametrize("protocol", CONTENT_TYPES)
def test_a_request_that_does_not_come_in_time_is_refused(impatient, protocol, size):
    with web(impatient) as plain:
        plain.sendall(head(protocol, 1000) + (struct.pack(">BI", 0, 995) + bytes(995))[:size])
        answer = received(plain, b"0\r\n\r\n")
        assert status(protocol, answer) == "DEADLINE_EXCEEDED"
        assert b"request-seconds" in answer
        assert plain.recv(100) == b""


def test_a_grpc_call_that_never_sends_its_request_is_refused(impatient):
    assert silent_call(impatient, MODELS, threading.Event()) == "DEADLINE_EXCEEDED"


def test_a_reflection_that_only_waits_gives_its_place_back(impatient):
    release = threading.Event()

    def one_and_then_none():
        yield reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
        release.wait(60)

    with Client(f"127.0.0.1:{impatient.port}") as client:
        info = client.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        assert len(list(info(one_and_then_none(), timeout=50))) == 1
        release.set()


def test_requests_that_never_come_give_their_places_back(impatient):
    with contextlib.ExitStack() as stack:
        for protocol in (*CONTENT_TYPES, *CONTENT_TYPES):
            stack.enter_context(web(impatient)).sendall(head(protocol, 1000))
        answers(impatient)


def answers(sidecar):
    """Wait until every protocol finds a place."""
    end = time.monotonic() + 30
    for protocol in PROTOCOLS:
        with open_wire(protocol, f"127.0.0.1:{sidecar.port}", f"http://127.0.0.1:{sidecar.web_port}") as wire:
            while (answer := wire.call(MODELS, b"")).code != "OK":
                assert answer.code == "RESOURCE_EXHAUSTED"
                assert time.monotonic() < end
                time.sleep(0.1)


def test_a_web_stream_that_nobody_reads_is_ended(impatient):
    data = LARGE.SerializeToString()
    body = struct.pack(">BI", 0, len(data)) + data
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            plain = stack.enter_context(web(impatient))
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.sendall(head("grpc-web", len(body), STREAM) + body)
            assert plain.recv(100)
        answers(impatient)
        end = time.monotonic() + 60
        while ended(impatient, "grpc-web") != (2, 0):
            assert time.monotonic() < end
            time.sleep(0.05)


@contextlib.contextmanager
def secure(tmp_path, models):
    """A sidecar over TLS that waits a second for clients that take nothing, and a context of its clients."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    limits, pair = Limits(answer_seconds=1.0, max_concurrent_calls=1), (tmp_path / "cert.pem", tmp_path / "key.pem")
    with sidecar_in_thread(models, tls_cert=pair[0], tls_key=pair[1], limits=limits) as sidecar:
        yield sidecar, context


def test_over_tls_a_large_stream_comes_whole_and_one_that_nobody_reads_is_ended(tmp_path, models):
    data = LARGE.SerializeToString()
    body = struct.pack(">BI", 0, len(data)) + data
    with secure(tmp_path, models) as (sidecar, context):
        with web(sidecar) as plain, context.wrap_socket(plain, server_hostname="localhost") as idle:
            idle.sendall(head("grpc-web", len(body), STREAM) + body)
            assert idle.recv(100)
            end = time.monotonic() + 60
            while sidecar._calls.places._taken:
                assert time.monotonic() < end
                time.sleep(0.05)
        with httpx.Client(verify=context, trust_env=False, timeout=60) as http:
            answer = http.post(f"https://localhost:{sidecar.web_port}/{STREAM}", content=body, headers=GRPC_WEB)
        assert len(answer.content) > 24 * 4 << 20
        assert b"grpc-status:0" in answer.content[-100:].replace(b" ", b"")


def test_a_grpc_stream_that_nobody_reads_is_ended_and_says_so(impatient):
    with Client(f"127.0.0.1:{impatient.port}") as client:
        stub = client.channel.unary_stream(f"/{STREAM}", response_deserializer=pb.StreamAvatarsResponse.FromString)
        calls = [stub(LARGE.SerializeToString(), timeout=60) for _ in range(2)]
        assert [next(call).index for call in calls] == [0, 0]
        answers(impatient)
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "answer-seconds" in caught.value.details()


def test_a_slow_stream_that_is_read_is_not_ended(impatient):
    with Client(f"127.0.0.1:{impatient.port}") as client:
        stub = client.channel.unary_stream(f"/{STREAM}", response_deserializer=pb.StreamAvatarsResponse.FromString)
        call = stub(LARGE.SerializeToString(), timeout=120)
        indices = []
        for message in call:
            indices.append(message.index)
            time.sleep(0.03)
    assert indices[-1] == 23


def ended(sidecar, protocol):
    """Return how many streams of a protocol ended, and how many of them well."""
    lines = [line for line in sidecar.metrics.exposition().decode().splitlines() if line.startswith("metabridge_calls_total{")]
    counts = {line: float(line.split()[-1]) for line in lines if "StreamAvatars" in line and f'protocol="{protocol}"' in line}
    return sum(counts.values()), sum(count for line, count in counts.items() if 'code="OK"' in line)
