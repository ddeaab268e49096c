"""The assistant's world: W plazas with A agents each step together in NumPy, no Python loop over worlds or agents.

One tick, DT = 0.1 s, of an agent with the commands (speed, turn) in m/s and rad/s and an act:

    speed     += RESPONSE * (clipped speed - speed)          turn_rate likewise
    heading   += DT * turn_rate
    position  += DT * speed * (sin heading, cos heading)     with the new heading and the new speed
    tick      += 1
    people and users move: people on their ways (layout.py); users who want company (follow, keep) on theirs; a guided
    user, once spoken to, towards the agent at GUIDED_PACE while it is 1.2 .. 6 m away; all others stand
    contact      pushes the agent straight out of the nearest of people, users and other agents, then of the nearest
                 obstacle or place, then of the walls; speed and turn rate stay as they are
    the act      is judged by tasks.py

An agent's episode ends in success when its request is fulfilled. A world's episode terminates when all of its agents
have succeeded and is truncated after `WorldConfig.seconds`; an agent that is done earlier is asked for nothing more and
is rewarded 0. Rewards are in tasks.py, observations in senses.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from export.npc.layout import Float64
from export.npc.world import senses, tasks
from export.npc.world.layout import Layout, draw_layouts, way_position
from export.npc.world.spec import (
    ACTS,
    DT,
    HALF_SIZE,
    NPC_RADIUS,
    RESPONSE,
    SPEED_BINS,
    TOUCH_SECTORS,
    TURN_BINS,
    USER_RADIUS,
    WorldConfig,
)

GUIDED_PACE = 1.4
GUIDED_GAP = (1.2, 6.0)
PRESSURE_DEPTH = 0.1
"""Overlap in metres that is felt as full pressure."""

_STATE = ("episode", "tick", "xz", "heading", "speed", "turn_rate", "people_xz", "user_xz", "engaged", "carrying")
_COUNTS = ("streak", "done", "contacts", "pressure", "returns", "remaining")


class World:
    """W worlds with A agents. World i of a seed is the same whatever W is.

    Arrays [W, A, ...]: `xz`, `heading`, `speed`, `turn_rate`, `user_xz`, `engaged` (a guided user follows), `carrying`
    (into ITEMS, -1 nothing), `streak` (ticks of unbroken service), `done`, `contacts` (ticks with contact), `returns`
    (rewards so far), `pressure` [W, A, 8]. `people_xz` [W, people, 2]; `tick`, `episode` int64[W].
    """

    def __init__(self, worlds: int, seed: int, config: WorldConfig | None = None, *, first_world: int = 0) -> None:
        if worlds < 1:
            raise ValueError(f"worlds is {worlds}, expected at least 1")
        self.config = config or WorldConfig()
        self.seed = seed
        self.world_ids = np.arange(first_world, first_world + worlds, dtype=np.uint64)
        self.episode = np.zeros(worlds, np.int64)
        self.layout = draw_layouts(self.config, seed, self.world_ids, self.episode)
        self._next: Layout | None = None
        self._allocate()
        self._place(np.arange(worlds))

    def __len__(self) -> int:
        return len(self.world_ids)

    @property
    def agents(self) -> int:
        """Agents of all worlds together."""
        return len(self) * self.config.agents

    def _allocate(self) -> None:
        shape = (len(self), self.config.agents)
        self.tick = np.zeros(len(self), np.int64)
        self.xz, self.user_xz = np.zeros((*shape, 2)), np.zeros((*shape, 2))
        self.heading, self.speed, self.turn_rate = (np.zeros(shape) for _ in range(3))
        self.returns, self.remaining = np.zeros(shape), np.zeros(shape)
        self.people_xz = np.zeros((len(self), self.config.people, 2))
        self.engaged, self.done = np.zeros(shape, bool), np.zeros(shape, bool)
        self.streak, self.contacts = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.carrying = np.full(shape, -1, np.int64)
        self.pressure = np.zeros((*shape, TOUCH_SECTORS))

    def restart(self, seed: int) -> None:
        """Begin anew with the first episode of every world of another seed."""
        self.seed, self._next = seed, None
        self.episode[:] = -1
        self.reset(np.arange(len(self)))

    def reset(self, worlds: npt.NDArray[np.int64]) -> None:
        """Begin the next episode of the worlds with these indices.

        Layouts are drawn ahead for all worlds at once, since drawing one costs as much as drawing a hundred.
        """
        if self._next is None:
            self._next = draw_layouts(self.config, self.seed, self.world_ids, self.episode + 1)
            self._ready = np.ones(len(self), bool)
        elif not self._ready[worlds].all():
            missing = np.flatnonzero(~self._ready)
            self._next.put(missing, draw_layouts(self.config, self.seed, self.world_ids[missing], self.episode[missing] + 1))
            self._ready[:] = True
        self.layout.put(worlds, self._next.take(worlds))
        self._ready[worlds] = False
        self.episode[worlds] += 1
        self._place(worlds)

    def _place(self, worlds: npt.NDArray[np.int64]) -> None:
        zeroed = (self.tick, self.speed, self.turn_rate, self.engaged, self.done, self.streak, self.contacts)
        for array in (*zeroed, self.pressure, self.returns):
            array[worlds] = 0
        self.carrying[worlds] = -1
        self.xz[worlds], self.heading[worlds] = self.layout.start_xz[worlds], self.layout.start_heading[worlds]
        at = way_position(self.layout.take(worlds), np.zeros(len(worlds)))
        self.people_xz[worlds], self.user_xz[worlds] = at[:, : self.config.people], at[:, self.config.people :]
        self.remaining[worlds] = tasks.remaining(self)[worlds]

    def step(self, speed: Float64, turn: Float64, act: npt.NDArray[np.int64]) -> Float64:
        """Advance every world by one tick; return the rewards float64[W, A].

        speed (m/s) and turn (rad/s) are float64[W, A], clipped to what an agent can do; act int64[W, A] is into ACTS.
        `ValueError` for another shape, a value that is not finite or an unknown act.
        """
        self._check(speed, turn, act)
        top = self.config.top_speed
        self.speed += RESPONSE * (np.clip(speed, SPEED_BINS[0] * top, SPEED_BINS[-1] * top) - self.speed)
        self.turn_rate += RESPONSE * (np.clip(turn, TURN_BINS[0], TURN_BINS[-1]) - self.turn_rate)
        self.heading += DT * self.turn_rate
        self.xz += (DT * self.speed)[..., None] * senses.forward(self.heading)
        self.tick += 1
        self._move_people()
        contact = self._push_agents()
        self.contacts += contact
        rewards = tasks.judge(self, act, contact)
        self.returns += rewards
        return rewards

    def _check(self, speed: Float64, turn: Float64, act: npt.NDArray[np.int64]) -> None:
        expected = self.xz.shape[:2]
        if not speed.shape == turn.shape == act.shape == expected:
            raise ValueError(f"speed, turn and act have shapes {speed.shape}, {turn.shape}, {act.shape}, expected {expected}")
        if not (np.isfinite(speed).all() and np.isfinite(turn).all()):
            raise ValueError("a speed or turn command is not finite, expected m/s and rad/s")
        if act.min() < 0 or act.max() >= len(ACTS):
            raise ValueError(f"acts are {act.min()} .. {act.max()}, expected 0 .. {len(ACTS) - 1}: {', '.join(ACTS)}")

    def _move_people(self) -> None:
        at = way_position(self.layout, DT * self.tick)
        self.people_xz = at[:, : self.config.people].copy()
        strolling = tasks.user_strolls(self)
        self.user_xz = np.where(strolling[..., None], at[:, self.config.people :], self.user_xz)
        self._lead_users()

    def _lead_users(self) -> None:
        """Guided users walk towards their agent and slide along what stands in their way."""
        offset = self.xz - self.user_xz
        gap = senses.length(offset)
        led = self.engaged & (gap > GUIDED_GAP[0]) & (gap < GUIDED_GAP[1])
        if not led.any():
            return
        self.user_xz = self.user_xz + np.where(
            led[..., None], offset * (DT * GUIDED_PACE / np.maximum(gap, 1e-9))[..., None], 0.0
        )
        pushed = _push_from(self.user_xz, self.layout.solid_xz, self.layout.solid_radius + USER_RADIUS)[0]
        self.user_xz += np.where(led[..., None], pushed, 0.0)
        np.clip(self.user_xz, USER_RADIUS - HALF_SIZE, HALF_SIZE - USER_RADIUS, out=self.user_xz)

    def _push_agents(self) -> npt.NDArray[np.bool_]:
        """Move agents out of what they touch, note the pressure, return which touched anything."""
        self.pressure[:] = 0.0
        bodies = np.concatenate((self.people_xz, self.user_xz, self.xz), axis=1)
        radius = np.full(bodies.shape[:2], NPC_RADIUS + USER_RADIUS)
        radius[:, -self.config.agents :] = 2.0 * NPC_RADIUS
        contact = self._push(bodies, radius, own=self.config.people + self.config.agents)
        contact |= self._push(self.layout.solid_xz, self.layout.solid_radius + NPC_RADIUS)
        limit = HALF_SIZE - NPC_RADIUS
        inside = np.clip(self.xz, -limit, limit)
        contact |= self._feel(inside - self.xz)
        self.xz = inside
        return contact

    def _push(self, centre: Float64, radius: Float64, own: int | None = None) -> npt.NDArray[np.bool_]:
        push, touching = _push_from(self.xz, centre, radius, own)
        if not touching.any():
            return touching
        self.xz = self.xz + push
        return self._feel(push)

    def _feel(self, push: Float64) -> npt.NDArray[np.bool_]:
        """Add the pressure of being pushed by [W, A, 2] metres to the sector that it comes from."""
        depth = senses.length(push)
        touched = depth > 0.0
        if touched.any():
            left, ahead = senses.in_frame(-push, self.heading)
            sector = np.round(np.arctan2(left, ahead) * TOUCH_SECTORS / (2.0 * np.pi)).astype(np.int64) % TOUCH_SECTORS
            world, agent = np.nonzero(touched)
            felt = self.pressure[world, agent, sector[touched]] + depth[touched] / PRESSURE_DEPTH
            self.pressure[world, agent, sector[touched]] = np.minimum(1.0, felt)
        return touched

    def over(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which worlds' episodes are terminated and which are truncated, bool[W] each."""
        terminated = self.done.all(axis=1)
        return terminated, ~terminated & (self.tick >= self.config.ticks)

    def observe(self) -> senses.Observation:
        """Return the observations of all agents: float32 [W * A, ...] by modality."""
        return senses.observe(self)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return what each agent may do, bool[W * A, MASK_SIZE]: speed bins, turn bins, acts."""
        return tasks.action_masks(self)

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of everything the future depends on, the random numbers' address included."""
        state = {name: getattr(self, name).copy() for name in (*_STATE, *_COUNTS)}
        state |= {f"layout.{name}": array.copy() for name, array in self.layout.arrays().items()}
        return state | {"seed": np.array(self.seed, np.uint64), "world_ids": self.world_ids.copy()}

    def load_state_dict(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Take over a state of as many worlds and agents; `ValueError` for another number."""
        if state["xz"].shape != self.xz.shape:
            raise ValueError(f"the state has {state['xz'].shape[:2]} worlds and agents, expected {self.xz.shape[:2]}")
        for name in (*_STATE, *_COUNTS):
            setattr(self, name, state[name].copy())
        self.layout = Layout(**{name: state[f"layout.{name}"].copy() for name in self.layout.arrays()})
        self.seed, self.world_ids, self._next = int(state["seed"]), state["world_ids"].copy(), None


def _push_from(xz: Float64, centre: Float64, radius: Float64, own: int | None = None) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return the way [W, A, 2] straight out of the circle [W, C] that each position is deepest in, and whether in any.

    With `own`, circle own + a is agent a's own body and pushes nobody out.
    """
    x = xz[:, :, None, 0] - centre[:, None, :, 0]
    z = xz[:, :, None, 1] - centre[:, None, :, 1]
    distance = np.sqrt(x * x + z * z)
    depth = radius[:, None] - distance
    if own is not None:
        agent = np.arange(xz.shape[1])
        depth[:, agent, own + agent] = -1.0
    if depth.shape[2] == 0:
        return np.zeros_like(xz), np.zeros(xz.shape[:2], bool)
    deepest = depth.argmax(axis=2)[..., None]
    inside = np.take_along_axis(depth, deepest, 2)[..., 0]
    touching = inside > 0.0
    if not touching.any():
        return np.zeros_like(xz), touching
    away = np.take_along_axis(distance, deepest, 2)[..., 0]
    outward = np.stack((np.take_along_axis(x, deepest, 2)[..., 0], np.take_along_axis(z, deepest, 2)[..., 0]), axis=-1)
    outward = np.where(away[..., None] < 1e-9, [0.0, 1.0], outward / np.maximum(away, 1e-9)[..., None])
    return np.where(touching[..., None], outward * np.maximum(inside, 0.0)[..., None], 0.0), touching
