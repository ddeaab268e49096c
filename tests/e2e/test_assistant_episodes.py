"""The committed assistant, played through the running sidecar, fulfils exactly the requests that it fulfils in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_sidecar

from bridge.client import Client, Group
from bridge.v1 import npc_service_pb2 as pb
from export.npc.assistant.evaluation import EVALUATION_SEED, evaluate
from export.npc.assistant.trained import open_player
from export.npc.to_onnx import export_policy
from export.npc.world.spec import OWN, WorldConfig

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.timeout(600)]
EPISODES = 40


class SidecarPlayer:
    """Plays episodes with the sidecar's answers, all agents of a tick in one call; keeps what was chosen."""

    view = "multi_discrete"

    def __init__(self, client: Client) -> None:
        self.client, self.chosen, self.begun = client, [], False

    def start(self, agents: int) -> None:
        self.begun = True

    def act(self, observation: Any, masks: np.ndarray) -> np.ndarray:
        agents = range(len(masks))
        group = Group("assistant", agents, observation, episode_starts=[self.begun] * len(masks), action_mask=masks)
        (answer,) = self.client.choose_actions([group], session="assistant")
        assert set(answer.statuses) == {pb.AGENT_STATUS_OK}
        self.begun = False
        self.chosen.append(answer.actions["action"])
        return answer.actions["action"]


class Recorder:
    """Plays as another does and keeps what was chosen."""

    def __init__(self, player: Any) -> None:
        self.player, self.view, self.chosen = player, player.view, []

    def start(self, agents: int) -> None:
        self.player.start(agents)

    def act(self, observation: Any, masks: np.ndarray) -> np.ndarray:
        self.chosen.append(self.player.act(observation, masks))
        return self.chosen[-1]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    models: Path = tmp_path_factory.mktemp("assistant") / "models"
    export_policy("default", models, "assistant")
    with run_sidecar(models) as live, Client(live.address) as client:
        yield client


def test_episodes_through_the_sidecar_are_those_of_python(client: Client) -> None:
    here, there = Recorder(open_player(Path("default"))), SidecarPlayer(client)
    world = WorldConfig()
    expected = evaluate(here, world, episodes=EPISODES, seeds=2, first_seed=EVALUATION_SEED + 50)
    found = evaluate(there, world, episodes=EPISODES, seeds=2, first_seed=EVALUATION_SEED + 50)
    assert len(here.chosen) == len(there.chosen) > 100
    for ours, theirs in zip(here.chosen, there.chosen, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_equal(vars(found), vars(expected))
    assert found.success > 0.8


def test_the_card_names_senses_and_acts(client: Client) -> None:
    policy = client.describe_policy("assistant")
    senses = {sense.name: sense for sense in policy.observations}
    assert list(senses["own"].elements) == list(OWN)
    assert "ray_-120_nearness" in senses["vision"].elements
    assert list(policy.actions[0].elements) == ["speed", "turn", "act"]
