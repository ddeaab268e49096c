"""`python -m bridge` as a user types it: serve prints its address, models and call ask it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import tiny_models
from conftest import run_sidecar

from bridge.__main__ import main

AVATARS = "AvatarService/GenerateAvatars"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A sidecar with two bundles that serve and one that is refused."""
    models = tmp_path_factory.mktemp("models")
    tiny_models.write_avatar(models)
    tiny_models.write_npc(models)
    (tiny_models.write_npc(models, "broken") / "policy.onnx").write_bytes(b"damaged")
    with run_sidecar(models) as sidecar:
        yield sidecar


@pytest.fixture
def bridge(live):
    """Run a command of `python -m bridge` against the sidecar."""

    def run(*arguments, stdin=None):
        command = [sys.executable, "-m", "bridge", *arguments, "--address", live.address]
        return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=60)

    return run


def test_models_lists_every_bundle_in_a_line(bridge):
    done = bridge("models")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[1:] == [
        ["face", "1", "avatar", "serving", "CPUExecutionProvider"],
        ["guard", "1", "npc", "serving", "CPUExecutionProvider"],
    ]
    assert lines[0][:4] == ["broken", "1", "npc", "failed"]
    assert "sha256 is" in lines[0][4]


def test_call_takes_json_from_the_line_a_file_or_standard_input(bridge, tmp_path):
    asked = json.dumps({"model": {"name": "face"}, "spec": {"seeds": ["7"]}})
    file = tmp_path / "request.json"
    file.write_text(asked, "utf-8")
    answers = [
        bridge("call", AVATARS, "--data", asked),
        bridge("call", f"/bridge.v1.{AVATARS}", "--data", f"@{file}"),
        bridge("call", AVATARS, "--data", "-", stdin=asked),
    ]
    assert [done.returncode for done in answers] == [0, 0, 0], answers[0].stderr
    assert answers[0].stdout == answers[1].stdout == answers[2].stdout
    assert json.loads(answers[0].stdout)["avatars"][0]["seed"] == "7"


def test_call_prints_a_stream_as_a_line_an_answer(bridge):
    asked = {"model": {"name": "face"}, "spec": {"seeds": [1, 2, 3]}}
    done = bridge("call", "AvatarService/StreamAvatars", "--data", json.dumps(asked))
    assert [json.loads(line).get("index", 0) for line in done.stdout.splitlines()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("call", AVATARS, "--data", '{"model": {"name": "toon"}}'), 1, 'NOT_FOUND: model.name: there is no model "toon"'),
        (("call", AVATARS, "--data", '{"colour": 1}'), 2, "--data is not a bridge.v1.GenerateAvatarsRequest"),
        (("call", AVATARS, "--data", "{"), 2, "--data is not a bridge.v1.GenerateAvatarsRequest"),
        (("call", AVATARS, "--data", "@nothing.json"), 2, "nothing.json"),
        (("call", "AvatarService/Fly"), 2, 'there is no method "AvatarService/Fly", there are ['),
    ],
)
def test_an_error_is_said_with_an_exit_code(live, capsys, arguments, code, text):
    assert main([*arguments, "--address", live.address]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert text in said.err


def test_an_error_leaves_no_traceback(bridge):
    done = bridge("call", AVATARS, "--data", '{"model": {"name": "toon"}}')
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("models",), ("call", "ModelService/ListModels")])
def test_where_no_sidecar_is_the_command_says_how_to_start_one(capsys, arguments):
    assert main([*arguments, "--address", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == "error: no sidecar answers at 127.0.0.1:1; start one with python -m bridge serve\n"
