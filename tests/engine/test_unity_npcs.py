"""One brain in the Unity player with agents of two policies, some of which fail: what each is told; the others go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from policy_calls import Said, in_unity
from sidecar_process import SidecarProcess

pytestmark = pytest.mark.usefixtures("unity_player")


@pytest.fixture(scope="module")
def told(unity_player: Path, policies: SidecarProcess, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What the agents of one brain were told in the Unity player."""
    return in_unity(policies, tmp_path_factory.mktemp("brain"))


def test_an_episode_that_begins_while_a_call_is_on_its_way_starts_with_the_next_tick(told: Said) -> None:
    assert told["steady"] == "18 9 4.5 2.25 1.125 0.5625"
    assert told["restarts in flight"] == "18 9 4.5 2 1 0.5"


def test_an_agent_that_throws_stays_out_of_the_tick_and_comes_back(told: Said) -> None:
    assert told["throws"] == "18 9 4.5"


def test_agents_that_the_sidecar_cannot_use_are_told_so_and_given_another_action(told: Said) -> None:
    assert told["sees NaN"] == " ".join(["Ok,Model,well", "InvalidObservation,Cache,told"] * 3)
    assert told["may do nothing"] == " ".join(["Ok,Model,well", "AllActionsMasked,Fallback,told"] * 3)


def test_an_agent_whose_sensors_have_another_order_never_joins(told: Said) -> None:
    assert told["confused"] == ""


def test_each_failure_is_raised_once_until_the_agent_is_well_again(told: Said) -> None:
    failed = told["failed"].split("; ")
    assert sum(line.startswith("throws: no eyes") for line in failed) == 1
    assert sum(line.startswith('confused: element 1 of "position" of guard/1 is "y"') for line in failed) == 1
    assert sum(line.startswith("sees NaN: agent 4: ") for line in failed) == 3
    assert sum(line.startswith("may do nothing: agent 5: ") for line in failed) == 3
    assert len(failed) == 8
    assert told["policies"] == "forgotten"
