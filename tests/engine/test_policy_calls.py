"""The NPC client's calls, at both places: descriptions, memory from call to call, masks, failures of agents."""

from __future__ import annotations

import pytest
from policy_calls import NEEDS, PLACES, Said
from sidecar_process import SidecarProcess


@pytest.fixture(scope="module", params=PLACES)
def said(request: pytest.FixtureRequest, policies: SidecarProcess, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What the calls reported at one of the places."""
    request.getfixturevalue(NEEDS[request.param])
    return PLACES[request.param](policies, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("scout", "1 2x2x3 Hwc True 0.2"),
        ("guard", "move,act 5 False True"),
        ("branches", "3,2 m"),
        ("other order", 'element 1 of "position" of guard/1 is "y", the sensor gives "z"'),
        ("other number", '"position" of guard/1 has 3 elements, the sensor gives 1'),
        ("other observation", 'guard observes position, not "place"'),
        ("other action", 'guard acts by move, act, not "jump"'),
        ("unwritten", "2 values for an observation of shape [3]"),
    ],
)
def test_a_description_has_names_order_and_shapes_and_says_what_does_not_fit(said: Said, call: str, expected: str) -> None:
    assert said[call] == expected


def test_memory_goes_on_from_call_to_call_and_begins_anew_with_an_episode(said: Said) -> None:
    assert said["turns"] == "12 22; 7 13"
    assert said["turns after a start"] == "3.5 2"
    assert said["ended"] == "True False"
    assert said["forgotten"] == "StateLost Ok"


def test_an_agent_without_memory_is_told_so_and_the_others_are_not(said: Said) -> None:
    assert said["lost"].startswith("Ok Ok StateLost|")
    assert "agent 3: nothing is kept" in said["lost"]


def test_a_mask_leaves_what_it_allows_and_an_empty_one_fails_its_agent(said: Said) -> None:
    first, second, third = said["masked"].split()
    assert (first, second) == ("Ok:21", "Ok:00")
    assert third.startswith("AllActionsMasked:2")
    assert "agent 3" in said["masked failure"]
