"""Courses for a policy, and where Python's plaza ends on them when the sidecar chooses the actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.client import Client, Group
from export.npc.course import COURSE_TICKS, constants, course, plaza_from, simulate

CANDIDATES = 96
SEED = 5
Choose = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def through(client: Client, model: str) -> Choose:
    """Return the policy `model` as the sidecar serves it."""

    def choose(observations: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        group = Group(model, range(1, len(observations) + 1), {"observation": observations})
        return client.choose_actions([group])[0].actions["move"]

    return choose


def clear_worlds(choose: Choose, count: int) -> list[dict[str, Any]]:
    """Return worlds in which this policy touches nothing for `COURSE_TICKS` ticks."""
    worlds = course(SEED, CANDIDATES)
    plaza = plaza_from(worlds)
    for _ in range(COURSE_TICKS):
        plaza.step(choose(plaza.observe()))
    clear = [world for world, contacts in zip(worlds, plaza.contacts, strict=True) if contacts == 0]
    assert len(clear) >= count, f"the policy stays clear in {len(clear)} of {CANDIDATES} worlds, {count} are wanted"
    return clear[:count]


def write_course(worlds: list[dict[str, Any]], path: Path) -> Path:
    """Write a course file for the player."""
    path.write_text(json.dumps({"constants": constants(), "ticks": COURSE_TICKS, "worlds": worlds}))
    return path


def ends(worlds: list[dict[str, Any]], choose: Choose, ticks: int) -> npt.NDArray[np.float64]:
    """Return the NPCs' positions (x, z) in glTF's space after `ticks` ticks, float64[N, 2]."""
    return simulate(worlds, choose, ticks)[-1]
