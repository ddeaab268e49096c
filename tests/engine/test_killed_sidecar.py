"""A sidecar that is killed while the C# client's calls are on their way: each ends at once, and the same clients go on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dotnet_program
import player
import pytest
import tiny_models
import tiny_scene
from policy_calls import NEEDS, Said
from sidecar_process import SidecarProcess, sidecar

from bridge import top

SECONDS = 200.0
WAITING = ("--model-settings", "guard.max_wait_ms=60000", "face.max_wait_ms=60000")
"""Settings with which calls of "guard" and "face" wait for others for a minute, which they do not live to see."""
UNARY = ("actions", "avatars")
STREAMS = ("a stream of avatars", "a morph", "tiles", "a held session")
BEGUN = ("a morph", "tiles", "a held session")
"""Calls of which something has come when the sidecar is killed."""
REASONS = {
    "dotnet": ("Connection refused",),
    "unity": ("Cannot connect to destination host", "it ended without an answer"),  # UnityWebRequest does not always know it
}
"""What ends the error of a call to a port where nothing listens."""
Reported = Callable[[], Said]


@contextlib.contextmanager
def on_dotnet(process: SidecarProcess, folder: Path) -> Iterator[Reported]:
    """Run the calls on .NET 8 over HTTP/2; yield what waits for what they report."""
    with dotnet_program.running("killed", folder, process.address) as program:
        yield lambda: program.reported(SECONDS)


@contextlib.contextmanager
def in_unity(process: SidecarProcess, folder: Path) -> Iterator[Reported]:
    """Run the calls in the Unity player over gRPC-Web; yield what waits for what they report."""

    def reported() -> Said:
        result = running.result(SECONDS)
        assert result["ok"], result["error"]
        return dict(line.split("\t", 1) for line in (folder / "reported.tsv").read_text().splitlines())

    settings = {"web": process.web, "seeds": [], "frame_rate": 60, "timeout_seconds": SECONDS, "killed": True}
    with player.playing(settings, folder) as running:
        yield reported


PLACES = {"dotnet": on_dotnet, "unity": in_unity}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the tiny policies, generators and scene that the calls need."""
    folder = tmp_path_factory.mktemp("killed")
    for write in (tiny_models.write_npc, tiny_models.write_scout, tiny_models.write_avatar, tiny_models.write_portrait):
        write(folder)
    tiny_scene.write_scene(folder)
    return folder


@pytest.fixture(scope="module", params=PLACES)
def said(request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What the calls reported at one of the places; the sidecar is killed in their midst, and then between two of them."""
    request.getfixturevalue(NEEDS[request.param])
    folder = tmp_path_factory.mktemp(request.param)
    with sidecar(models, *WAITING) as process, PLACES[request.param](process, folder) as reported:
        reached(folder, "running")
        until(lambda: top.fetch(process.web, "", SECONDS).value("metabridge_queue_depth") >= 3)
        process.kill()
        (folder / "dead").touch()
        reached(folder, "gone")
        process.options = ()
        process.start()
        reached(folder, "idle")
        process.kill()
        process.start()
        (folder / "back").touch()
        results = reported()
    assert "error" not in results, results["error"]
    return results | {"place": request.param}


def reached(folder: Path, place: str) -> None:
    """Return when the calls say that they are at a place, or have ended before it, of which their results tell."""
    until(lambda: any((folder / name).exists() for name in (place, "killed.tsv", "result.json")))


def until(true: Callable[[], bool]) -> None:
    """Return when something has become true."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("call", [*UNARY, *STREAMS])
def test_a_call_on_its_way_ends_unavailable_when_the_sidecar_is_killed(said: Said, call: str) -> None:
    has_begun = said["place"] == "dotnet" or call in BEGUN  # UnityWebRequest knows of a connection by the head of its answer
    what = "the connection was lost" if has_begun else "no connection"
    assert said[call].startswith(f"Unavailable||Unavailable: {what} to http://127.0.0.1:")
    assert "Cannot connect" not in said[call]


def test_calls_while_the_sidecar_is_gone_say_that_there_is_no_connection(said: Said) -> None:
    assert said["while it is gone"].startswith("Unavailable||Unavailable: no connection to http://127.0.0.1:")
    assert said["while it is gone"].endswith(REASONS[said["place"]])
    assert said["while it starts"] in ("", "Unavailable")


def test_the_same_clients_go_on_in_a_session_that_has_restarted(said: Said) -> None:
    assert (said["first tick"], said["second tick"]) == ("Ok 18", "Ok 9")
    assert said["first tick after it"].startswith("restarted StateLost ")
    assert said["an episode after it"] == "Ok 18; Ok 9"


def test_every_call_works_again_over_the_same_transport(said: Said) -> None:
    assert [said[f"{call} after it"] for call in UNARY] == ["Ok", "1"]
    assert [said[f"{call} after it"] for call in STREAMS[:-1]] == ["2", "4", "4"]
    assert said["a held session after it"].endswith("CanceledException")


def test_a_kill_between_two_calls_fails_neither(said: Said) -> None:
    assert said["first tick after a kill between calls"].startswith("restarted StateLost ")
