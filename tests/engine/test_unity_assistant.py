"""The assistant in a Unity player: its sensors read through Physics what Python's senses perceive, and it serves its users."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import player
import pytest
from bundles import NPC
from sidecar_process import SidecarProcess
from walks import Walk, walk

from bridge.client import Client
from export.npc.evaluate import wilson_interval
from export.npc.world.golden import record, states
from export.npc.world.senses import vision
from export.npc.world.simulation import World
from export.npc.world.spec import MODALITIES, RAY_DEGREES, TASKS, VISION_CHANNELS, WorldConfig

pytestmark = [pytest.mark.usefixtures("unity_player"), pytest.mark.timeout(900)]
TOLERANCE = 1e-4
ROUNDING_METRES = 5e-6
"""What float32 makes of places and ways of 10 m, and of sums of them."""
PLAZAS, TICKS, SEED = 50, 1000, 31
RESULT_SECONDS = 500.0
SCENES = {"one assistant a plaza": (WorldConfig(seconds=12.0), 40), "four assistants a plaza": (WorldConfig(agents=4), 10)}


@dataclass(frozen=True)
class Sensed:
    """Actions, the folder with what the sensors read, and how many agents there are."""

    document: dict[str, Any]
    folder: Path
    agents: int

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """Return a sense of all ticks, float32[ticks, agents, ...]."""
        values = np.fromfile(self.folder / f"{name}.bin", np.float32)
        return values.reshape(len(self.document["actions"]), self.agents, -1)


@pytest.fixture(scope="module", params=SCENES)
def sensed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sensed:
    """One run in which the sensors are read at every tick of a golden trajectory."""
    config, plazas = SCENES[request.param]
    document = record(config, SEED, plazas)
    settings = {"seeds": [], "frame_rate": -1, "timeout_seconds": RESULT_SECONDS, "world": document["config"]}
    settings |= {"plazas": plazas, "seed": SEED, "actions": np.array(document["actions"]).ravel().tolist()}
    folder = tmp_path_factory.mktemp("sensed")
    with player.playing(settings, folder) as running:
        result = running.result(RESULT_SECONDS)
    assert result["ok"], result["error"]
    return Sensed(document, folder, plazas * config.agents)


@pytest.mark.parametrize("name", [name for name in MODALITIES if name != "vision"])
def test_a_sensor_reads_what_python_perceives_in_the_same_state(sensed: Sensed, name: str) -> None:
    expected = np.stack([world.observe()[name].reshape(sensed.agents, -1) for world in states(sensed.document)])
    assert np.ptp(expected) > 0.5, f"{name} hardly changes: the comparison would say nothing"
    np.testing.assert_allclose(sensed.read(name), expected, atol=TOLERANCE, rtol=0)


def test_rays_through_physics_meet_what_pythons_meet(sensed: Sensed) -> None:
    """All rays but those of which float32's rounding of a place decides: at the edge of a thing, one ray in a thousand."""
    at_edges, met = 0, np.zeros(len(VISION_CHANNELS))
    for world, read in zip(states(sensed.document), sensed.read("vision"), strict=True):
        expected = rays(world)
        edge = (np.abs(neighbours(world) - expected) > TOLERANCE / 2).any(axis=(0, 3))
        apart = np.abs(read.reshape(expected.shape) - expected).max(axis=2)
        assert apart[~edge].max() <= TOLERANCE
        at_edges += edge.sum()
        met += expected.sum(axis=(0, 1))
    assert at_edges <= 1e-3 * len(sensed.document["actions"]) * sensed.agents * len(RAY_DEGREES)
    assert met.min() > 100, f"rays meet {met} of {VISION_CHANNELS}: the comparison would say little"


def rays(world: World) -> npt.NDArray[np.float32]:
    """Return what all agents see, float32[N, 21, 5]."""
    return vision(world).reshape(world.agents, len(RAY_DEGREES), len(VISION_CHANNELS))


def neighbours(world: World) -> npt.NDArray[np.float32]:
    """Return what agents would see a rounding away from where they are, float32[4, N, 21, 5]."""
    xz = world.xz
    seen = []
    for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        world.xz = xz + ROUNDING_METRES * np.array(step)
        seen.append(rays(world))
    world.xz = xz
    return np.stack(seen)


@pytest.fixture(scope="module")
def served_in_unity(served: SidecarProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of fifty assistants for a thousand ticks, with what they sense through Physics and the sidecar's answers."""
    settings = {"web": served.web, "npc_model": NPC, "seeds": [], "frame_rate": -1, "timeout_seconds": RESULT_SECONDS}
    settings |= {"plazas": PLAZAS, "seed": SEED, "ticks": TICKS}
    with player.playing(settings, tmp_path_factory.mktemp("served")) as running:
        result = running.result(RESULT_SECONDS)
    assert result["ok"], result["error"]
    return result


@pytest.fixture(scope="module")
def served_in_python(served: SidecarProcess) -> Walk:
    """The same worlds in Python, with the same sidecar's answers."""
    with Client(served.address) as client:
        return walk(client, NPC, plazas=PLAZAS, seed=SEED, ticks=TICKS)


def test_fifty_assistants_serve_as_many_users_as_in_python(served_in_unity: dict[str, Any], served_in_python: Walk) -> None:
    episodes = served_in_unity["episodes"]
    fulfilled = sum(episode.done for episode in served_in_python.episodes)
    low, high = wilson_interval(fulfilled, len(served_in_python.episodes))
    assert low <= sum(episode["done"] for episode in episodes) / len(episodes) <= high
    assert len(episodes) > 200
    assert {episode["task"] for episode in episodes} == set(TASKS)


def test_nearly_every_episode_is_pythons_tick_by_tick(served_in_unity: dict[str, Any], served_in_python: Walk) -> None:
    """A plaza in which a rounding once turned a choice goes its own way from there on; the others end with the same return."""
    totals = {(episode.plaza, episode.episode): (episode.ticks, episode.total) for episode in served_in_python.episodes}
    same = 0
    for episode in served_in_unity["episodes"]:
        ticks, total = totals.get((episode["plaza"], episode["episode"]), (0, 0.0))
        same += episode["ticks"] == ticks and abs(episode["total"] - total) < 1e-3
    assert same >= 0.9 * len(totals)


def test_no_agent_fails_and_every_action_is_the_policys(served_in_unity: dict[str, Any]) -> None:
    assert served_in_unity["ticks"] == TICKS
    assert {(npc["source"], npc["failure"]) for npc in served_in_unity["npcs"]} == {("Model", "")}
    assert not [event for event in served_in_unity["events"] if "failed" in event]
