"""gzip for those who ask, and bombs for nobody, over every protocol; messages that are too large are refused by the sidecar."""

from __future__ import annotations

import gzip
import socket
import struct
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from conftest import sidecar_in_thread
from family_cases import CASES, write_models
from wire import PROTOCOLS, connect_error, enveloped_answer, open_wire

from bridge.client import Client
from bridge.config import Limits
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

AVATARS = "bridge.v1.AvatarService/GenerateAvatars"
STREAM = "bridge.v1.AvatarService/StreamAvatars"
ACCEPT = {"grpc-web": "grpc-accept-encoding", "connect": "accept-encoding"}
TYPES = {"grpc-web": "application/grpc-web+proto", "connect": "application/proto"}


def request(size_px, kind=pb.GenerateAvatarsRequest):
    """Ask for a picture of 4 × `size_px`² bytes that shrinks well: each pixel is repeated."""
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, size_px=size_px)
    return kind(model=ModelSelector(name="face"), spec=pb.AvatarSpec(seeds=[7], image=image)).SerializeToString()


@pytest.fixture
def http(sidecar):
    """An HTTP client that asks for no compression by itself."""
    with httpx.Client(base_url=sidecar.web, timeout=60, trust_env=False, headers={"accept-encoding": "identity"}) as opened:
        yield opened


def post(http, protocol, method, data, **headers):
    """Return the answer's headers and its bytes as they came over the wire."""
    body = struct.pack(">BI", 0, len(data)) + data if protocol == "grpc-web" else data
    with http.stream("POST", f"/{method}", content=body, headers={"content-type": TYPES[protocol], **headers}) as answer:
        return answer.headers, b"".join(answer.iter_raw())


def unpacked(protocol, content):
    """Return the message of a packed answer, which must be packed."""
    if protocol == "connect":
        return gzip.decompress(content)
    flags, size = struct.unpack_from(">BI", content)
    assert flags == 1
    return gzip.decompress(content[5 : 5 + size])


@pytest.mark.parametrize("size_px", [8, 512])
@pytest.mark.parametrize("protocol", ACCEPT)
def test_a_web_answer_is_packed_where_the_client_asks(sidecar, http, protocol, size_px) -> None:
    data = request(size_px)
    with open_wire("grpc", sidecar.address, sidecar.web) as wire:
        expected = wire.call(AVATARS, data).message
    headers, plain = post(http, protocol, AVATARS, data)
    assert "gzip" not in (headers.get("content-encoding"), headers.get("grpc-encoding"))
    assert expected in plain
    headers, packed = post(http, protocol, AVATARS, data, **{ACCEPT[protocol]: "br, gzip"})
    assert headers["content-encoding" if protocol == "connect" else "grpc-encoding"] == "gzip"
    assert unpacked(protocol, packed) == expected
    if size_px == 512:
        assert len(packed) < len(plain) / 10


def test_each_message_of_a_web_stream_is_packed(http) -> None:
    data = request(1024, pb.StreamAvatarsRequest)
    plain = post(http, "grpc-web", STREAM, data)[1]
    packed = post(http, "grpc-web", STREAM, data, **{"grpc-accept-encoding": "gzip"})[1]
    assert len(packed) < len(plain) / 10
    first = pb.StreamAvatarsResponse.FromString(unpacked("grpc-web", packed))
    assert (
        first.avatar.image.data
        == pb.StreamAvatarsResponse.FromString(plain[5 : 5 + int.from_bytes(plain[1:5], "big")]).avatar.image.data
    )


@pytest.mark.parametrize("protocol", ACCEPT)
def test_the_error_at_the_end_of_a_packed_stream_is_packed_too(http, protocol) -> None:
    unknown = pb.StreamAvatarsRequest(model=ModelSelector(name="nobody")).SerializeToString()
    kind = {"grpc-web": "application/grpc-web+proto", "connect": "application/connect+proto"}[protocol]
    accept = {"grpc-web": "grpc-accept-encoding", "connect": "connect-accept-encoding"}[protocol]
    body = struct.pack(">BI", 0, len(unknown)) + unknown
    answer = http.post(f"/{STREAM}", content=body, headers={"content-type": kind, accept: "gzip"})
    assert answer.content[0] & 0x01
    assert enveloped_answer(protocol, dict(answer.headers), answer.content)[0] == "NOT_FOUND"


def test_json_is_packed_too(http) -> None:
    asked = {"model": {"name": "face"}, "spec": {"seeds": ["7"]}}
    plain = http.post(f"/{AVATARS}", json=asked)
    packed = http.post(f"/{AVATARS}", json=asked, headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()


class Counted:
    """A relay in front of a sidecar's gRPC port that counts the bytes of its answers."""

    def __init__(self, address):
        self.bytes = 0
        host, port = address.split(":")
        self._target = (host, int(port))

    def __enter__(self):
        import threading

        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._near.close()
        self._far.close()

    def _serve(self):
        import threading

        self._near = self._listener.accept()[0]
        self._far = socket.create_connection(self._target)
        threading.Thread(target=self._pass, args=(self._near, self._far, 0), daemon=True).start()
        self._pass(self._far, self._near, 1)

    def _pass(self, source, target, counts):
        try:
            while data := source.recv(65_536):
                self.bytes += counts * len(data)
                target.sendall(data)
        except OSError:
            pass


def test_a_grpc_answer_is_packed_where_the_client_asks(sidecar) -> None:
    sizes, answers = {}, set()
    for name, metadata in (
        ("plain", ()),
        ("packed", (("x-answer-encoding", "gzip"),)),
        ("unknown", (("x-answer-encoding", "br"),)),
    ):
        with Counted(sidecar.address) as relay, Client(f"127.0.0.1:{relay.port}") as client:
            answers.add(client.channel.unary_unary(f"/{AVATARS}")(request(512), timeout=60, metadata=metadata))
            sizes[name] = relay.bytes
    assert len(answers) == 1
    assert sizes["packed"] < sizes["plain"] / 10
    assert sizes["unknown"] > sizes["plain"] / 2


def test_a_packed_grpc_request_is_read(sidecar) -> None:
    channel = grpc.insecure_channel(sidecar.address, compression=grpc.Compression.Gzip, options=[("grpc.enable_http_proxy", 0)])
    with channel, open_wire("grpc", sidecar.address, sidecar.web) as wire:
        answer = channel.unary_unary(f"/{AVATARS}")(request(8), timeout=60)
        assert answer == wire.call(AVATARS, request(8)).message


def test_a_packed_web_request_is_read_up_to_the_size_of_a_request(http) -> None:
    headers = {"content-type": "application/proto", "content-encoding": "gzip"}
    assert http.post(f"/{AVATARS}", content=gzip.compress(request(8)), headers=headers).status_code == 200
    bomb = connect_error(http.post(f"/{AVATARS}", content=gzip.compress(bytes(1 << 26)), headers=headers).content)
    assert (bomb.code, bomb.reasons) == ("RESOURCE_EXHAUSTED", ["RESOURCE_EXHAUSTED"])
    torn = connect_error(http.post(f"/{AVATARS}", content=gzip.compress(request(8))[:-9], headers=headers).content)
    assert (torn.code, torn.reasons) == ("INVALID_ARGUMENT", ["INVALID_ARGUMENT"])
    other = http.post(f"/{AVATARS}", content=b"x", headers=headers | {"content-encoding": "br"})
    assert connect_error(other.content).code == "UNIMPLEMENTED"


def test_a_message_that_says_it_is_packed_and_is_not_is_refused(http) -> None:
    for extra in ({}, {"grpc-encoding": "gzip"}):
        headers = {"content-type": TYPES["grpc-web"], **extra}
        answer = http.post(f"/{AVATARS}", content=b"\x01\0\0\0\x03abc", headers=headers)
        assert b"grpc-status: 3" in answer.content.replace(b"grpc-status:3", b"grpc-status: 3")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A sidecar whose messages hold 300 bytes, each family's smallest answers more."""
    models = tmp_path_factory.mktemp("models")
    write_models(models)
    with sidecar_in_thread(models, limits=Limits(max_message_bytes=300)) as sidecar:
        yield sidecar


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_beyond_the_limit_is_refused_with_what_to_do(narrow, protocol) -> None:
    with open_wire(protocol, f"127.0.0.1:{narrow.port}", f"http://127.0.0.1:{narrow.web_port}") as wire:
        answer = wire.call("bridge.v1.ModelService/ListModels", b"")
        assert (answer.code, answer.reasons) == ("RESOURCE_EXHAUSTED", ["RESOURCE_EXHAUSTED"])
        assert "one message holds 300" in answer.text
        assert wire.call("bridge.v1.ModelService/ListModels", b"\x0a\x04none").code == "OK"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_packed_answers_of_every_call_are_those_that_are_plain(compliant, case) -> None:
    data = case.request(2, 5).SerializeToString()
    plain = httpx.Client(base_url=compliant.web, trust_env=False, timeout=60, headers={"accept-encoding": "identity"})
    kind = "application/grpc-web+proto"
    body = struct.pack(">BI", 0, len(data)) + data
    answers = []
    with plain:
        for headers in ({}, {"grpc-accept-encoding": "gzip"}):
            content = plain.post(f"/{case.method}", content=body, headers={"content-type": kind, **headers}).content
            answers.append(sorted(messages(content)))
    assert answers[0] == answers[1]
    assert answers[0]


def messages(content):
    """Yield the messages of an answer in envelopes, unpacked; not its trailers."""
    start = 0
    while start < len(content):
        flags, size = struct.unpack_from(">BI", content, start)
        part = content[start + 5 : start + 5 + size]
        if not flags & 0x80:
            yield gzip.decompress(part) if flags else part
        start += 5 + size


@pytest.fixture(scope="module")
def compliant(tmp_path_factory):
    """A sidecar with every family."""
    from conftest import run_sidecar

    models = tmp_path_factory.mktemp("compliant")
    write_models(models)
    with run_sidecar(models) as live:
        assert urlsplit(live.web).port
        yield live
