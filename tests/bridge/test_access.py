"""Tokens: who has none or a wrong one is refused on both ports, and AdminService opens to its own token alone."""

from __future__ import annotations

import threading
import time

import grpc
import httpx
import pytest
import tiny_models
from conftest import sidecar_in_thread
from family_cases import CASES
from hypothesis import given
from hypothesis import strategies as st

from bridge.__main__ import main
from bridge.access import ADMIN_SERVICE, HEALTH_SERVICE, Access, TokenError, read_token
from bridge.calls import Metadata
from bridge.client import Client, ClientError
from bridge.errors import Unauthenticated
from bridge.v1.model_service_pb2 import MODEL_STATE_AVAILABLE, MODEL_STATE_DRAINING, MODEL_STATE_SERVING

TOKEN, ADMIN = "player-token-0123", "admin-token-45678"
MODELS = "bridge.v1.ModelService"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files with a token each, and no token in the environment."""
    monkeypatch.delenv("METABRIDGE_TOKEN", raising=False)
    monkeypatch.delenv("METABRIDGE_ADMIN_TOKEN", raising=False)
    paths = {"token": tmp_path / "token", "admin": tmp_path / "admin"}
    paths["token"].write_text(TOKEN + "\n")
    paths["admin"].write_text(ADMIN)
    return paths


@pytest.fixture
def guarded(tmp_path, files):
    """A sidecar that wants both tokens."""
    tiny_models.write_npc(tmp_path / "models", "npc")
    tokens = {"token_file": files["token"], "admin_token_file": files["admin"]}
    with sidecar_in_thread(tmp_path / "models", **tokens) as sidecar:
        yield sidecar


def code(sidecar, token, call):
    """Return the code of a call through the typed client."""
    with Client(f"127.0.0.1:{sidecar.port}", token=token) as client:
        try:
            call(client)
        except ClientError as error:
            return error.code.name
    return "OK"


@pytest.mark.parametrize(
    ("token", "models", "admin"),
    [
        ("", "UNAUTHENTICATED", "UNAUTHENTICATED"),
        ("player-token-0124", "UNAUTHENTICATED", "UNAUTHENTICATED"),
        (TOKEN, "OK", "UNAUTHENTICATED"),
        (ADMIN, "OK", "OK"),
    ],
)
def test_each_service_opens_to_its_token(guarded, token, models, admin):
    assert code(guarded, token, lambda client: client.models()) == models
    assert code(guarded, token, lambda client: client.reload_models()) == admin
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=f"http://127.0.0.1:{guarded.web_port}", trust_env=False, timeout=30) as http:
        for service, method, expected in ((MODELS, "ListModels", models), (ADMIN_SERVICE, "ReloadModels", admin)):
            answer = http.post(f"/{service}/{method}", json={}, headers=headers)
            assert answer.status_code == (200 if expected == "OK" else 401)
            assert (expected == "OK") or answer.json()["code"] == "unauthenticated"


def test_a_token_is_not_shown_with_what_holds_it():
    shown = repr([Access(token="quiet", admin_token="quieter"), Metadata(authorization="Bearer quiet", request_id="seven")])
    assert "quiet" not in shown
    assert "seven" in shown


def test_a_call_without_a_token_is_refused_before_its_request_is_read(guarded):
    with Client(f"127.0.0.1:{guarded.port}") as client:
        call = client.channel.unary_unary(f"/{CASES['ChooseActions'].method}")
        with pytest.raises(Exception, match="wants a token, send it as") as caught:
            call(b"\xff\xff", timeout=30)
        assert caught.value.code().name == "UNAUTHENTICATED"
        client.wait_until_serving(10)


@pytest.mark.parametrize("method", [f"/{MODELS}/ListModels", f"/{HEALTH_SERVICE}/Check", f"/{HEALTH_SERVICE}/Watch"])
def test_who_has_no_token_and_sends_nothing_takes_nobodys_place(guarded, method):
    gate = threading.Event()

    def never():
        gate.wait(60)
        yield b""

    with grpc.insecure_channel(f"127.0.0.1:{guarded.port}") as channel:
        opened = [channel.stream_stream(method)(never()) for _ in range(300)]
        try:
            time.sleep(1.0)
            assert code(guarded, TOKEN, lambda client: client.models()) == "OK"
        finally:
            gate.set()
            for call in opened:
                call.cancel()


def test_who_watches_takes_few_places(guarded):
    with grpc.insecure_channel(f"127.0.0.1:{guarded.port}") as channel:
        opened = [channel.unary_stream(f"/{HEALTH_SERVICE}/Watch")(b"") for _ in range(300)]
        time.sleep(1.0)
        assert code(guarded, TOKEN, lambda client: client.models()) == "OK"
        for call in opened:
            call.cancel()


def test_without_an_admin_token_there_is_no_admin_service(tmp_path, files):
    with sidecar_in_thread(tmp_path) as sidecar:
        assert code(sidecar, ADMIN, lambda client: client.reload_models()) == "UNIMPLEMENTED"
        assert code(sidecar, "", lambda client: client.models()) == "OK"


def test_models_are_unloaded_and_loaded_by_call(guarded):
    with Client(f"127.0.0.1:{guarded.port}", token=ADMIN) as client:
        assert client.unload_model("npc").state in (MODEL_STATE_AVAILABLE, MODEL_STATE_DRAINING)
        assert [model.state for model in client.reload_models()] == [MODEL_STATE_AVAILABLE]
        assert client.load_model("npc", 1).state == MODEL_STATE_SERVING
        tiny_models.write_npc(guarded.config.models, "npc", 2)
        assert [model.version for model in client.reload_models()] == [1, 2]
        with pytest.raises(ClientError, match=r"has versions \[1, 2\], not 7") as caught:
            client.load_model("npc", 7)
        assert (caught.value.code.name, caught.value.field) == ("NOT_FOUND", "model.version")


def test_the_command_sends_the_token_that_a_service_wants(guarded, files, capsys, monkeypatch):
    address = ("--address", f"127.0.0.1:{guarded.port}")
    assert main(["models", *address]) == 1
    assert "wants a token" in capsys.readouterr().err
    assert main(["models", *address, "--token-file", str(files["token"])]) == 0
    monkeypatch.setenv("METABRIDGE_TOKEN", TOKEN)
    assert main(["models", *address]) == 0
    assert main(["call", "AdminService/ReloadModels", *address]) == 1
    monkeypatch.setenv("METABRIDGE_ADMIN_TOKEN", ADMIN)
    assert main(["call", "AdminService/ReloadModels", *address]) == 0
    assert '"name": "npc"' in capsys.readouterr().out


@given(st.text(max_size=40))
def test_no_other_header_opens_anything(text):
    access = Access(TOKEN, ADMIN)
    for header in (text, f"Bearer {text}", f"Basic {TOKEN}", f"{TOKEN}"):
        with pytest.raises(Unauthenticated) as caught:
            access.check(ADMIN_SERVICE, header)
        assert TOKEN not in caught.value.message
        assert ADMIN not in caught.value.message
    access.check(HEALTH_SERVICE, text)
    with pytest.raises(Unauthenticated):
        Access("", "").check(ADMIN_SERVICE, f"Bearer {text}")


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "has 0 characters"), (b"short", "has 5 characters"), (b"\xff" * 20, "cannot be read"), (b"a b" * 9, "27")],
)
def test_a_weak_token_is_refused_without_being_shown(files, content, text):
    files["token"].write_bytes(content)
    with pytest.raises(TokenError, match=text) as caught:
        read_token(files["token"], "METABRIDGE_TOKEN")
    assert "short" not in str(caught.value)


def test_a_token_that_cannot_be_used_ends_the_start(tmp_path, files, capsys, monkeypatch):
    assert main(["serve", "--models", str(tmp_path), "--token-file", str(tmp_path / "nothing")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    monkeypatch.setenv("METABRIDGE_ADMIN_TOKEN", TOKEN)
    assert main(["serve", "--models", str(tmp_path), "--token-file", str(files["token"])]) == 1
    assert "the token and the admin token are the same" in capsys.readouterr().err
