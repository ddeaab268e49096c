"""The assistant's world in C#, on .NET 8, against Python's on golden trajectories: every sense, mask, reward and ending."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dotnet_program
import numpy as np
import numpy.typing as npt
import pytest

from export.npc.world.golden import Moment, moments, record
from export.npc.world.spec import MASK_SIZE, MODALITIES, WorldConfig, observation_space

pytestmark = pytest.mark.usefixtures("dotnet_client")
TOLERANCE = 1e-4
TRAJECTORIES = {
    "the plaza of the default": (WorldConfig(), 24, 5),
    "three agents, short episodes": (WorldConfig(agents=3, seconds=6.0, people=8), 8, (1 << 64) - 7),
    "other items and speeds": (
        WorldConfig(items=("map", "lamp"), tasks=("bring", "guide"), top_speed=1.2, user_speed=0.5),
        8,
        9,
    ),
    "nobody else and nothing in the way": (WorldConfig(people=0, obstacles=0), 4, 11),
}


@dataclass(frozen=True)
class Replayed:
    """A trajectory in Python, and what the port made of the same actions: files and what it said."""

    document: dict[str, Any]
    expected: Sequence[Moment]
    folder: Path
    said: dict[str, str]

    def read(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return what the port wrote by a name, [ticks, ...]."""
        return np.fromfile(self.folder / f"{name}.bin", dtype).reshape(len(self.expected), -1)

    def wanted(self, values: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return Python's values of all ticks, [ticks, ...]."""
        return np.stack(values).reshape(len(self.expected), -1)


@pytest.fixture(scope="module", params=TRAJECTORIES)
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    config, worlds, seed = TRAJECTORIES[request.param]
    folder = tmp_path_factory.mktemp("world")
    document = record(config, seed, worlds)
    (folder / "golden.json").write_text(json.dumps(document))
    said = dotnet_program.run("world", folder, str(folder / "golden.json"))
    assert "error" not in said, said["error"]
    return Replayed(document, list(moments(document)), folder, said)


def test_every_sense_perceives_what_pythons_does(replayed: Replayed) -> None:
    for name in MODALITIES:
        expected = replayed.wanted([moment.observation[name] for moment in replayed.expected])
        size = int(np.prod(observation_space()[name].shape))
        assert expected.shape[1] == len(replayed.expected[0].masks) * size
        assert np.ptp(expected) > 0.0 or name == "touch", f"{name} never changes: the comparison would say nothing"
        np.testing.assert_allclose(replayed.read(name, np.float32), expected, atol=TOLERANCE, rtol=0, err_msg=name)


def test_every_action_is_allowed_where_python_allows_it(replayed: Replayed) -> None:
    expected = replayed.wanted([moment.masks for moment in replayed.expected])
    np.testing.assert_array_equal(replayed.read("masks", np.bool_), expected)
    acts = expected.reshape(-1, MASK_SIZE)[:, 13:]
    assert acts.any()
    assert not acts.all()


def test_rewards_and_endings_are_pythons(replayed: Replayed) -> None:
    rewards = replayed.wanted([moment.rewards for moment in replayed.expected])
    np.testing.assert_allclose(replayed.read("rewards", np.float64), rewards, atol=TOLERANCE, rtol=0)
    for name in ("terminated", "truncated"):
        expected = replayed.wanted([getattr(moment, name) for moment in replayed.expected])
        np.testing.assert_array_equal(replayed.read(name, np.bool_), expected)


def test_worlds_go_on_to_the_layouts_of_their_next_episodes(replayed: Replayed) -> None:
    over = [moment.terminated | moment.truncated for moment in replayed.expected]
    episodes = 1 + np.sum(over, axis=0)
    assert episodes.max() > 1, "no episode ends: the comparison would say nothing"
    assert replayed.said["episodes"] == " ".join(map(str, episodes))
