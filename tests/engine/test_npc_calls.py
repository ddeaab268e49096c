"""Policies that remember, from the client core on .NET 8: states that travel, frame budgets, a session that moves elsewhere."""

from __future__ import annotations

import dotnet_program
import pytest
import tiny_models
from conftest import sidecar_in_thread
from held_runs import held, until

pytestmark = pytest.mark.usefixtures("dotnet_client")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One run of all calls against two sidecars, the first of which holds the runs of one policy."""
    models = tmp_path_factory.mktemp("npcs")
    for name in ("diary", "memoir"):
        tiny_models.write_diary(models, name)
    with sidecar_in_thread(models) as first, sidecar_in_thread(models) as second, held(first, "memoir"):
        addresses = [f"127.0.0.1:{sidecar.port}" for sidecar in (first, second)]
        results = dotnet_program.run("npcs", tmp_path_factory.mktemp("dotnet"), *addresses)
        until(lambda: not first.sessions.holders)
        results["after the hold"] = str("held" in first.sessions)
    assert "error" not in results, results["error"]
    return results


def test_states_come_back_without_a_session_and_go_on_where_they_are_brought(said: dict[str, str]) -> None:
    assert said["brought"] == "10 11 and 20 21"
    assert said["kept"].startswith('no state "pages" came back, only []')


def test_a_late_policy_says_so_and_holds_no_other(said: dict[str, str]) -> None:
    assert (said["late group"], said["fast group"], said["late call"]) == ("Late Fallback", "Ok Model", "Late Fallback")


def test_a_session_that_another_sidecar_gets_has_restarted_there_and_back(said: dict[str, str]) -> None:
    assert (said["at first"], said["elsewhere"], said["back"]) == ("False Ok", "True StateLost", "True StateLost 3")


def test_a_held_session_ends_with_the_hold(said: dict[str, str]) -> None:
    assert (said["in a held session"], said["after the hold"]) == ("Ok", "False")
    assert "let go" in said
