"""The same C# client inside a real Unity player offers CartPole to a trainer, message by message over gRPC-Web."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cart_poles
import player
import pytest

from export.npc.remote_env.engines import Engines
from export.npc.remote_env.env import RemoteVectorEnv
from export.npc.remote_env.server import EngineServer, ListenConfig
from export.npc.remote_env.session import Timing

ROWS = 8
SECONDS = 200.0


@pytest.fixture(scope="module")
def played(unity_player: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run: episodes by drawn pushes and by balancing ones, in the player and in Gymnasium."""
    folder = tmp_path_factory.mktemp("environment")
    compared = {}
    with EngineServer(ListenConfig(port=0, timing=Timing(silence_seconds=SECONDS))) as server:
        settings = {"trainer": server.web, "environment_rows": ROWS, "seeds": [], "frame_rate": -1, "timeout_seconds": SECONDS}
        with player.playing(settings, folder) as running:
            remote = RemoteVectorEnv(Engines(server, wait_seconds=SECONDS))
            for balanced in (False, True):
                compared[balanced] = cart_poles.compare(remote, balanced=balanced, seed=6)
            remote.close()
            result = running.result(SECONDS)
    said = dict(line.split("\t", 1) for line in (folder / "reported.tsv").read_text().splitlines())
    return {"compared": compared, "result": result, "said": said}


def test_its_cart_poles_are_gymnasiums(played: dict[str, Any]) -> None:
    assert played["result"]["ok"], played["result"]["error"]
    for compared in played["compared"].values():
        assert compared.worst <= cart_poles.TOLERANCE
    assert played["compared"][False].ended == ROWS
    assert played["compared"][True].steps > ROWS * cart_poles.TICKS / 2


def test_it_steps_on_the_main_thread_as_often_as_the_trainer_says(played: dict[str, Any]) -> None:
    assert played["result"]["unity_version"] == player.UNITY_VERSION
    assert played["said"]["environment threads"] == "main thread"
    assert int(played["said"]["environment steps"]) == 2 * cart_poles.TICKS


def test_it_is_told_when_the_training_is_over(played: dict[str, Any]) -> None:
    assert played["said"]["environment"] == "the environment was closed"
