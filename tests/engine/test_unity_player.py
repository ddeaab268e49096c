"""The components inside a real Unity player, headless, against a live sidecar over gRPC-Web.

The player's exit code says nothing; the result file that the scenario writes last does.
"""

from __future__ import annotations

import io
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import player
import pytest
import run
from bundles import AVATAR, NPC
from PIL import Image
from sidecar_process import SidecarProcess, sidecar
from walks import Walk, walk

from bridge.client import Client
from bridge.v1.avatar_service_pb2 import AvatarSpec, Truncation
from export.npc.world.simulation import World

pytestmark = pytest.mark.usefixtures("unity_player")
AGENTS = 32
TICKS = 200
SEED, SAMPLE_SEED = 17, 7
TOLERANCE_METRES = 0.001
SEEDS = (0, 1, 7, -1)
TRUNCATION = 0.6
RESULT_SECONDS = 150.0
EVENT_SECONDS = 60.0


@dataclass(frozen=True)
class Played:
    """What one run of the player left behind."""

    result: dict[str, Any]
    folder: Path


def scenario(web: str, **settings: Any) -> dict[str, Any]:
    """Return a scenario without waits between frames."""
    common = {"avatar_model": AVATAR, "npc_model": NPC, "seeds": [], "truncation": TRUNCATION, "frame_rate": -1}
    common |= {"plazas": AGENTS, "seed": SEED}
    return {"web": web, "timeout_seconds": 120.0, **common, **settings}


@pytest.fixture(scope="module")
def played(served: SidecarProcess, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One run in which all goes well: avatars, calls without components, the sample, 32 assistants for 200 ticks."""
    folder = tmp_path_factory.mktemp("played")
    settings = scenario(served.web, seeds=list(SEEDS), stream_size=1024, sample=True, ticks=TICKS)
    with player.playing(settings, folder) as running:
        return Played(running.result(RESULT_SECONDS), folder)


@pytest.fixture(scope="module")
def walked(served: SidecarProcess) -> Walk:
    """Where Python's assistants go in the same worlds, by the same sidecar."""
    with Client(served.address) as client:
        return walk(client, NPC, plazas=AGENTS, seed=SEED, ticks=TICKS)


def where_pythons_are(result: dict[str, Any], walked: Walk) -> float:
    """Return the share of assistants that stand where Python's do: a rounding that turns a choice leads one elsewhere."""
    at = np.array([[npc["world_x"], npc["world_z"]] for npc in result["npcs"]])
    return float((np.linalg.norm(at - walked.xz, axis=1) <= TOLERANCE_METRES).mean())


def test_the_scenario_ends_well_in_unity_2017(played: Played) -> None:
    assert played.result["ok"], played.result["error"]
    assert played.result["unity_version"] == player.UNITY_VERSION
    assert played.result["platform"] == "LinuxPlayer"


@pytest.mark.parametrize("seed", SEEDS)
def test_an_avatar_becomes_a_texture_of_the_pixels_of_pythons_png(served: SidecarProcess, played: Played, seed: int) -> None:
    with Client(served.address) as client:
        spec = AvatarSpec(seeds=[seed % (1 << 64)], truncation=Truncation(psi=TRUNCATION))
        image = client.generate_avatars(AVATAR, spec).avatars[0].image
    expected = np.asarray(Image.open(io.BytesIO(image.data)).convert("RGBA"))
    raw = np.fromfile(played.folder / f"avatar-{seed}.rgba", np.uint8)
    assert raw.size == expected.size
    np.testing.assert_array_equal(raw.reshape(expected.shape)[::-1], expected)
    with Image.open(played.folder / f"avatar-{seed}.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved.convert("RGBA")), expected)


def test_different_seeds_give_different_textures(played: Played) -> None:
    textures = {(played.folder / f"avatar-{seed}.rgba").read_bytes() for seed in SEEDS}
    assert len(textures) == len(SEEDS)
    assert {avatar["format"] for avatar in played.result["avatars"]} == {"RGBA32"}


def test_32_assistants_go_where_pythons_go(played: Played, walked: Walk) -> None:
    assert played.result["ticks"] == TICKS
    assert {npc["source"] for npc in played.result["npcs"]} == {"Model"}
    assert where_pythons_are(played.result, walked) >= 0.9
    assert len(played.result["episodes"]) == len(walked.episodes) > AGENTS


def test_a_stream_of_12_mib_arrives_whole_on_the_main_thread(played: Played) -> None:
    streamed = [call for call in played.result["calls"] if call.startswith("streamed")]
    assert streamed == [f"streamed {seed} {1024 * 1024 * 4} main thread" for seed in (1, 2, 3)]


@pytest.mark.parametrize(
    "expected",
    [
        "stream|ok",
        "bad size|InvalidArgument|spec.image.size_px|INVALID_ARGUMENT",
        "unknown model|NotFound|model.name|NOT_FOUND",
        "callback throws|FormatException: mine",
        "deadline|DeadlineExceeded||",
        "cancelled|cancelled",
    ],
)
def test_a_call_without_a_component_ends_as_it_should(played: Played, expected: str) -> None:
    assert expected in played.result["calls"]


def test_the_samples_scene_plays(played: Played) -> None:
    assert played.result["sample_avatars"] == 16
    assert played.result["sample_ticks"] >= 20
    assert played.result["sample_morph"] >= 5
    objects = played.result["sample_objects"]
    assert [objects.count(name) for name in ("User", "NPC", "Person", "Wall", "fountain", "book")] == [4, 4, 16, 16, 4, 4]
    layout = World(4, SAMPLE_SEED).layout
    assert objects.count("Obstacle") == (layout.solid_radius[:, 7:] > 0).sum()


def test_a_session_is_ended_when_its_brain_is_disabled(served: SidecarProcess, played: Played) -> None:
    assert played.result["ended_session"]
    with Client(served.address) as client:
        assert not client.end_session(played.result["ended_session"])


def test_components_report_a_killed_sidecar_and_recover_when_it_is_back(exported: Path, walked: Walk, tmp_path: Path) -> None:
    with sidecar(exported) as process:
        settings = scenario(process.web, seeds=[1], ticks=TICKS, tick_seconds=0.02)
        with player.playing(settings, tmp_path) as running:
            running.wait_for("tick 50", EVENT_SECONDS)
            process.kill()
            running.wait_for("npc failed Unavailable", EVENT_SECONDS)
            running.wait_for("avatar failed Unavailable", EVENT_SECONDS)
            process.start()
            running.wait_for("npc recovered", EVENT_SECONDS)
            running.wait_for("avatar recovered", EVENT_SECONDS)
            result = running.result(RESULT_SECONDS)
    assert result["ok"], result["error"]
    assert result["ticks"] == TICKS
    events = result["events"]
    failed = next(i for i, event in enumerate(events) if event.startswith("npc failed Unavailable"))
    recovered = events.index("npc recovered", failed)
    assert events.index("tick 50") < failed < recovered < events.index("tick 200")
    assert events.count("npc session restarted") == 1
    assert failed < events.index("npc session restarted") < recovered
    assert where_pythons_are(result, walked) >= 0.9, "a tick was lost or acted on twice"


def test_the_demo_scenario_leaves_pictures_and_timings(served: SidecarProcess, tmp_path: Path) -> None:
    assert run.main(run.RunConfig(web=served.web, out=tmp_path, frame_rate=-1)) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert [(line["batch"], line["calls"]) for line in result["rows"]] == [
        (1, run.SHOWN_SEEDS - 1),
        (run.PLAZAS, run.TICKS - 1),
    ]
    assert all(0 < line["p50_ms"] <= line["p99_ms"] for line in result["rows"])
    assert (result["npcs"], result["ticks"]) == (run.PLAZAS, run.TICKS)
    assert 0 < result["fulfilled"] <= result["episodes"]
    assert len(result["avatars"]) == run.SHOWN_SEEDS
    for name in result["avatars"]:
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (32, 32)


def test_the_demo_scenario_fails_when_an_npc_model_is_missing(
    served: SidecarProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = run.RunConfig(web=served.web, out=tmp_path, npc_model="nobody", frame_rate=-1, timeout_seconds=5.0)
    assert run.main(config) == 1
    assert 'there is no model "nobody"' in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()


def test_without_a_sidecar_the_run_fails_and_says_why(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        web = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with player.playing(scenario(web, seeds=[1], timeout_seconds=3.0), tmp_path) as running:
            result = running.result(RESULT_SECONDS)
    assert not result["ok"]
    assert result["avatars"] == []
    assert f"Unavailable: no connection to {web}" in result["error"]


def test_an_unknown_model_fails_the_run_with_the_sidecars_own_words(served: SidecarProcess, tmp_path: Path) -> None:
    settings = scenario(served.web, seeds=[1], avatar_model="nobody", timeout_seconds=3.0)
    with player.playing(settings, tmp_path) as running:
        result = running.result(RESULT_SECONDS)
    assert not result["ok"]
    assert 'NotFound: model.name: there is no model "nobody"' in result["error"]
