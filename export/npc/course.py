"""Contact-free courses: worlds where nothing is touched, so that two implementations of the plaza can be compared.

Contact is where small differences grow; without it the plaza is smooth, and a port of `env.py`, in C# inside an
engine say, ends a course of 200 ticks where Python does. `course` draws the worlds and checks them; `simulate` plays
one with any policy and raises `ContactError` when the policy touches something all the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.npc import env
from export.npc.baselines import Policy, scripted
from export.npc.env import Plaza
from export.npc.layout import (
    ABSENT,
    HALF_SIZE,
    MAX_OBSTACLES,
    NPC_RADIUS,
    USER_RADIUS,
    Float64,
    Layout,
    draw_layouts,
    user_position,
)

COURSE_TICKS = 200
MARGIN = 0.5
CORRIDOR = 2.0

_PLANAR = ("centre", "amplitude", "frequency", "phase")


class ContactError(RuntimeError):
    """A policy touched something on a contact-free course; the message names the world and the tick."""


def constants() -> dict[str, Any]:
    """Return the numbers a port of the plaza needs, by name; lengths in metres, times in seconds, angles in radians."""
    return {
        "dt": env.DT,
        "response": env.RESPONSE,
        "half_size": HALF_SIZE,
        "npc_radius": NPC_RADIUS,
        "user_radius": USER_RADIUS,
        "ray_range": env.RAY_RANGE,
        "ray_angles": [float(angle) for angle in np.deg2rad(env.RAY_DEGREES)],
        "action_low": [float(bound) for bound in env.ACTION_LOW],
        "action_high": [float(bound) for bound in env.ACTION_HIGH],
        "observation_elements": list(env.ELEMENTS),
    }


def world_states(plaza: Plaza) -> list[dict[str, Any]]:
    """Return the whole state of every world as JSON values that `plaza_from` takes back exactly."""
    return [_world_state(plaza, world) for world in range(len(plaza))]


def _world_state(plaza: Plaza, world: int) -> dict[str, Any]:
    layout = plaza.layout
    present = layout.obstacle_radius[world] > 0.0
    circles = zip(layout.obstacle_xz[world][present], layout.obstacle_radius[world][present], strict=True)
    state: dict[str, Any] = {"tick": int(plaza.tick[world])}
    state |= {"x": float(plaza.xz[world, 0]), "z": float(plaza.xz[world, 1]), "heading": float(plaza.heading[world])}
    state |= {"speed": float(plaza.speed[world]), "turn_rate": float(plaza.turn_rate[world])}
    for name in _PLANAR:
        state |= {f"user_{name}_{axis}": float(getattr(layout, name)[world, i]) for i, axis in enumerate("xz")}
    state |= {"user_pause": float(layout.pause[world]), "user_gait": float(layout.gait[world])}
    state["obstacles"] = [{"x": float(xz[0]), "z": float(xz[1]), "radius": float(radius)} for xz, radius in circles]
    return state


def plaza_from(states: Sequence[dict[str, Any]]) -> Plaza:
    """Return a plaza in the given states; `ValueError` for one that lacks something or has too many obstacles."""
    for world, state in enumerate(states):
        if len(state.get("obstacles", [])) > MAX_OBSTACLES:
            raise ValueError(f"world {world} has {len(state['obstacles'])} obstacles, expected at most {MAX_OBSTACLES}")
    try:
        plaza = Plaza.from_layout(_layout_from(states))
        plaza.tick = np.array([state["tick"] for state in states], np.int64)
        plaza.speed, plaza.turn_rate = (_column(states, name) for name in ("speed", "turn_rate"))
    except KeyError as missing:
        raise ValueError(f"a world state has no {missing}, expected all that world_states() writes") from missing
    plaza.user_xz = user_position(plaza.layout, env.DT * plaza.tick)
    plaza.user_before = user_position(plaza.layout, env.DT * (plaza.tick - 1))
    return plaza


def _column(states: Sequence[dict[str, Any]], name: str) -> Float64:
    return np.array([state[name] for state in states], np.float64)


def _layout_from(states: Sequence[dict[str, Any]]) -> Layout:
    planar = {name: np.stack([_column(states, f"user_{name}_{axis}") for axis in "xz"], axis=1) for name in _PLANAR}
    obstacle_xz = np.full((len(states), MAX_OBSTACLES, 2), ABSENT)
    obstacle_radius = np.zeros((len(states), MAX_OBSTACLES))
    for world, state in enumerate(states):
        for i, obstacle in enumerate(state["obstacles"]):
            obstacle_xz[world, i] = obstacle["x"], obstacle["z"]
            obstacle_radius[world, i] = obstacle["radius"]
    return Layout(
        **planar,
        pause=_column(states, "user_pause"),
        gait=_column(states, "user_gait"),
        obstacle_xz=obstacle_xz,
        obstacle_radius=obstacle_radius,
        start_xz=np.stack([_column(states, "x"), _column(states, "z")], axis=1),
        start_heading=_column(states, "heading"),
    )


def course(seed: int, worlds: int) -> list[dict[str, Any]]:
    """Draw the states of `worlds` worlds at tick 0 where nobody who goes straight to the user touches anything.

    Users stroll slowly, up to 0.7 m/s; they and the NPC's start keep 3 m from the walls. Obstacles keep 2.5 m from the
    user's path and `CORRIDOR` metres from every straight way between the start and the user; rays still reach them. The
    scripted baseline has played every world and kept `MARGIN` metres from everything.
    """
    candidates = np.arange(12 * worlds + 128)
    first = np.zeros(len(candidates))
    drawn = draw_layouts(seed, candidates, first, path_clearance=2.5, start_clearance=CORRIDOR, peak_speed=(0.3, 0.7))
    reach = np.maximum(np.abs(drawn.centre) + drawn.amplitude, np.abs(drawn.start_xz)).max(axis=1)
    layout = drawn.take(reach <= HALF_SIZE - 3.0)
    _clear_corridors(layout)
    plaza = Plaza.from_layout(layout)
    smallest = plaza.clearance()
    for _ in range(COURSE_TICKS):
        plaza.step(scripted(plaza.observe()))
        smallest = np.minimum(smallest, plaza.clearance())
    kept = np.flatnonzero(smallest >= MARGIN)
    if len(kept) < worlds:
        raise RuntimeError(f"seed {seed} gives {len(kept)} clear worlds, expected {worlds}; take another seed")
    return world_states(Plaza.from_layout(layout.take(kept[:worlds])))


def _clear_corridors(layout: Layout) -> None:
    """Take away the obstacles that stand near a straight way from the NPC's start to where the user will be."""
    start = layout.start_xz[:, None]
    for tick in range(0, COURSE_TICKS + 1, 5):
        way = user_position(layout, np.full(len(layout), env.DT * tick))[:, None] - start
        offset = layout.obstacle_xz - start
        share = np.clip((offset * way).sum(axis=2) / np.maximum((way**2).sum(axis=2), 1e-9), 0.0, 1.0)
        gap = np.linalg.norm(offset - share[..., None] * way, axis=2) - layout.obstacle_radius - NPC_RADIUS
        layout.obstacle_xz[gap < CORRIDOR] = ABSENT
        layout.obstacle_radius[gap < CORRIDOR] = 0.0


def simulate(course: Sequence[dict[str, Any]], choose_actions: Policy, ticks: int = COURSE_TICKS) -> Float64:
    """Play a course with a policy and return the NPCs' positions (x, z), float64[ticks + 1, N, 2], the start first.

    `choose_actions` maps raw observations float32[N, OBSERVATION_SIZE] to actions float32[N, 2]; `ContactError` if an
    NPC touches anything.
    """
    plaza = plaza_from(course)
    positions = [plaza.xz.copy()]
    for _ in range(ticks):
        plaza.step(choose_actions(plaza.observe()))
        if plaza.contacts.any():
            world = int(plaza.contacts.argmax())
            raise ContactError(f"the NPC of world {world} touches something at tick {plaza.tick[world]}")
        positions.append(plaza.xz.copy())
    return np.stack(positions)


@dataclass(frozen=True)
class CourseConfig:
    """Write a contact-free course as JSON: the plaza's constants and the initial state of every world."""

    seed: int = 1
    """Seed of the worlds."""
    worlds: int = 32
    """Number of worlds, one NPC each."""
    out: Path | None = None
    """File to write; the standard output if not given."""

    def run(self) -> None:
        """Writes the course."""
        document = {"constants": constants(), "ticks": COURSE_TICKS, "worlds": course(self.seed, self.worlds)}
        text = json.dumps(document, indent=2) + "\n"
        if self.out is None:
            sys.stdout.write(text)
        else:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.out.write_text(text, "utf-8")
            print(self.out)
