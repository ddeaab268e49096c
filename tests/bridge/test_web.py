"""The web port: gRPC-Web, Connect and JSON from the same services, closed to other origins by default."""

from __future__ import annotations

import base64
import json
import socket
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from conftest import sidecar_in_thread
from wire import connect_error, open_wire

from bridge import web
from bridge.client import Client
from bridge.v1 import asset_pb2, model_service_pb2, npc_service_pb2
from bridge.v1 import avatar_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

AVATARS = "/bridge.v1.AvatarService/GenerateAvatars"
STREAM = "bridge.v1.AvatarService/StreamAvatars"
MODELS = "/bridge.v1.ModelService/ListModels"
ORIGIN = "https://game.example"


@pytest.fixture
def http(sidecar):
    """An HTTP client of the web port."""
    with httpx.Client(base_url=sidecar.web, timeout=60, trust_env=False) as opened:
        yield opened


@pytest.fixture
def grpc_web(sidecar):
    """gRPC-Web to the web port."""
    with open_wire("grpc-web", sidecar.address, sidecar.web) as opened:
        yield opened


def request(numbers, size_px=0, image_format=asset_pb2.IMAGE_FORMAT_RGBA8, kind=pb.GenerateAvatarsRequest):
    image = asset_pb2.ImageSpec(format=image_format, size_px=size_px)
    return kind(model=ModelSelector(name="face"), spec=pb.AvatarSpec(seeds=numbers, image=image))


def post_json(http, path, data, **headers):
    content = data if isinstance(data, (bytes, str)) else json.dumps(data)
    return http.post(path, content=content, headers={"content-type": "application/json"} | headers)


def web_client(sidecar):
    return httpx.Client(base_url=f"http://127.0.0.1:{sidecar.web_port}", timeout=60, trust_env=False)


def preflight(http, origin=ORIGIN, headers="content-type,x-grpc-web,grpc-timeout"):
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": headers}
    return http.options(AVATARS, headers=asked)


def test_both_ports_give_the_same_bytes(sidecar, client):
    asked = request([1, 2**64 - 1])
    expected = client.generate_avatars("face", asked.spec)
    for protocol in ("grpc-web", "connect"):
        with open_wire(protocol, sidecar.address, sidecar.web) as wire:
            answer = wire.call(AVATARS[1:], asked.SerializeToString())
            assert pb.GenerateAvatarsResponse.FromString(answer.message) == expected


def test_a_stream_comes_in_order_and_in_full_over_grpc_web(grpc_web, client):
    asked = request([1, 2], 1024, kind=pb.StreamAvatarsRequest)
    answer = grpc_web.call(STREAM, asked.SerializeToString(), stream=True)
    assert answer.code == "OK"
    messages = [pb.StreamAvatarsResponse.FromString(data) for data in answer.messages]
    assert [(m.index, m.chunk_index, m.chunk_count) for m in messages] == [(i, c, 4) for i in range(2) for c in range(4)]
    streamed = b"".join(m.avatar.image.data for m in messages)
    assert streamed == b"".join(avatar.image.data for avatar in client.stream_avatars("face", asked.spec))


def test_an_error_of_a_stream_comes_in_its_trailers(grpc_web):
    asked = request([], kind=pb.StreamAvatarsRequest)
    answer = grpc_web.call(STREAM, asked.SerializeToString(), stream=True)
    assert (answer.code, answer.fields, answer.reasons) == ("INVALID_ARGUMENT", ["spec.seeds"], ["INVALID_ARGUMENT"])


def test_a_large_answer_passes_over_grpc_web(grpc_web):
    answer = grpc_web.call(AVATARS[1:], request(range(3), 512).SerializeToString())
    assert len(answer.message) > 3 << 20


def test_json_goes_in_and_comes_out(http):
    answer = post_json(http, AVATARS, {"model": {"name": "face"}, "spec": {"seeds": ["18446744073709551615", 3]}})
    assert answer.status_code == 200
    body = answer.json()
    assert [avatar["seed"] for avatar in body["avatars"]] == ["18446744073709551615", "3"]
    assert base64.b64decode(body["avatars"][0]["image"]["data"]).startswith(b"\x89PNG")
    assert body["model"] == {"name": "face", "version": 1, "provider": "CPUExecutionProvider"}


def test_a_json_error_has_code_message_and_details(http):
    answer = post_json(http, AVATARS, {"model": {"name": "toon"}})
    assert answer.status_code == 404
    error = connect_error(answer.content)
    assert (error.code, error.fields, error.reasons) == ("NOT_FOUND", ["model.name"], ["NOT_FOUND"])
    assert error.text == "model.name: there is no model \"toon\", there are ['face', 'guard', 'portrait']"


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "[]",
        "7",
        '"x"',
        "null",
        '{"colour": 1}',
        '{"spec": {"seeds": ["many"]}}',
        '{"spec": {"seeds": [-1]}}',
        '{"spec": {"seeds": [1e400]}}',
        '{"spec": {"image": {"format": "IMAGE_FORMAT_GIF"}}}',
        '{"spec":' * 5000,
        "[" * 100_000,
        b"\xff\xfe",
        '{"spec": {"latents": {"data": "%%%"}}}',
        '{"model": {"name": "\\ud800"}}',
    ],
)
def test_json_that_is_no_request_is_refused_and_the_server_goes_on(http, data):
    answer = post_json(http, AVATARS, data)
    assert answer.status_code == 400, answer.text
    assert connect_error(answer.content).code == "INVALID_ARGUMENT"
    assert post_json(http, MODELS, {}).status_code == 200


def test_large_json_is_refused_in_both_directions_with_advice(http):
    latents = base64.b64encode(bytes(web.MAX_JSON_BYTES)).decode()
    asked = {"model": {"name": "face"}, "spec": {"latents": {"data": latents}}}
    up = connect_error(post_json(http, AVATARS, asked).content)
    assert up.code == "RESOURCE_EXHAUSTED"
    assert "use binary" in up.text
    raw = {"seeds": [1, 2], "image": {"format": "IMAGE_FORMAT_RGBA8", "sizePx": 256}}
    down = connect_error(post_json(http, AVATARS, {"model": {"name": "face"}, "spec": raw}).content)
    assert down.code == "RESOURCE_EXHAUSTED"
    assert "ask for less or use binary" in down.text
    assert post_json(http, MODELS, {}).status_code == 200


@pytest.mark.parametrize("protocol", ["grpc-web", "connect"])
def test_a_request_over_4_mib_is_refused(sidecar, protocol):
    with open_wire(protocol, sidecar.address, sidecar.web) as wire:
        assert wire.call(AVATARS[1:], bytes(4 << 20) + b"\0").code == "RESOURCE_EXHAUSTED"
        assert wire.call(MODELS[1:], b"").code == "OK"


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", AVATARS, None, 405),
        ("POST", "/", "application/proto", 404),
        ("POST", "/bridge.v1.AvatarService/Nothing", "application/proto", 404),
        ("POST", AVATARS, "text/plain", 415),
        ("POST", AVATARS, "application/x-www-form-urlencoded", 415),
        ("POST", AVATARS, "application/xml", 415),
        ("POST", AVATARS, "application/grpc-web-text", 415),
        ("PUT", AVATARS, "application/proto", 405),
    ],
)
def test_what_is_no_call_is_an_http_error(http, method, path, content_type, status):
    answer = http.request(method, path, headers={"content-type": content_type} if content_type else {})
    assert answer.status_code == status
    assert post_json(http, MODELS, {}).status_code == 200


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\0\0\0\0\x09abc", b"\0\xff\xff\xff\xff", b"\x02\0\0\0\x01a", b"\x80\0\0\0\0", b"garbage" * 100]
)
def test_a_broken_envelope_is_an_error_of_the_call(http, content):
    answer = http.post(f"/{STREAM}", content=content, headers={"content-type": "application/grpc-web+proto"})
    assert answer.status_code == 200
    status = answer.headers.get("grpc-status") or answer.content.split(b"grpc-status:")[1].split(b"\r")[0].decode()
    assert int(status) in (3, 8, 12), answer.content
    assert post_json(http, MODELS, {}).status_code == 200


def test_other_origins_are_shut_out_by_default(http):
    answer = preflight(http)
    assert "access-control-allow-origin" not in answer.headers
    called = post_json(http, MODELS, {}, origin=ORIGIN)
    assert "access-control-allow-origin" not in called.headers


def test_named_origins_are_let_in_and_no_others(tiny_folder):
    with sidecar_in_thread(tiny_folder, cors_origins=(ORIGIN,)) as sidecar, web_client(sidecar) as http:
        answer = preflight(http)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert preflight(http, origin="https://other.example").status_code == 400
        called = post_json(http, MODELS, {}, origin=ORIGIN)
        assert called.headers["access-control-allow-origin"] == ORIGIN
        assert "grpc-status" in called.headers["access-control-expose-headers"].lower()
        stranger = post_json(http, MODELS, {}, origin="https://other.example")
        assert "access-control-allow-origin" not in stranger.headers


def test_a_deadline_of_json_is_an_error_of_the_call(tiny_folder):
    with sidecar_in_thread(tiny_folder, max_wait_ms=60_000.0) as sidecar:
        base = f"http://127.0.0.1:{sidecar.web_port}"
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as http:
            asked = {"model": {"name": "face"}, "spec": {"seeds": [1]}}
            answer = post_json(http, AVATARS, asked, **{"connect-timeout-ms": "200"})
            assert answer.status_code == 504
            assert connect_error(answer.content).code == "DEADLINE_EXCEEDED"


def test_answers_are_not_held_back_by_nagle(tiny_folder):
    with sidecar_in_thread(tiny_folder) as sidecar, httpx.Client(trust_env=False) as http:
        post_json(http, f"http://127.0.0.1:{sidecar.web_port}{MODELS}", {})
        sockets = [c.transport.get_extra_info("socket") for c in list(sidecar._web.server_state.connections)]
        assert [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0 for s in sockets] == [True]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"POST " + b"x" * 100_000,
        b"POST /bridge.v1.ModelService/ListModels HTTP/1.1\r\ncontent-type: application/proto\r\ncontent-length: 9\r\n\r\n",
    ],
)
def test_a_peer_that_speaks_no_http_or_leaves_disturbs_nobody(sidecar, http, data):
    parts = urlsplit(sidecar.web)
    with socket.create_connection((parts.hostname, parts.port), 10) as raw:
        raw.sendall(data)
    assert post_json(http, MODELS, {}).status_code == 200


def test_every_method_of_every_service_is_on_the_web_port(sidecar, client, http):
    assert len(client.models()) == 3
    assert len(post_json(http, MODELS, {}).json()["models"]) == 3
    card = post_json(http, "/bridge.v1.ModelService/GetModel", {"model": {"name": "guard"}})
    assert json.loads(card.json()["cardJson"])["family"] == "npc"
    ended = post_json(http, "/bridge.v1.NpcService/EndSession", {"sessionId": "none"})
    assert ended.json() == {}
    place = base64.b64encode(np.zeros(3, "<f4").tobytes()).decode()
    group = {
        "model": {"name": "guard"},
        "agentIds": ["1"],
        "observations": [{"name": "position", "tensor": {"dtype": "DATA_TYPE_FLOAT32", "shape": ["1", "3"], "data": place}}],
    }
    chosen = post_json(http, "/bridge.v1.NpcService/ChooseActions", {"groups": [group]})
    assert chosen.json()["groups"][0]["statuses"] == ["AGENT_STATUS_OK"]
    assert {*model_service_pb2.DESCRIPTOR.services_by_name, *npc_service_pb2.DESCRIPTOR.services_by_name} == {
        "ModelService",
        "NpcService",
    }


def test_without_a_web_port_there_is_none(tiny_folder):
    with sidecar_in_thread(tiny_folder, web_port=-1) as sidecar:
        assert json.loads(sidecar.ready_line())["web"] == ""
        with Client(f"127.0.0.1:{sidecar.port}") as client:
            assert len(client.models()) == 3
