"""The virtual assistant's plaza: an NPC finds, follows and serves a user who strolls among obstacles.

`Plaza` simulates W worlds at once in NumPy, one NPC and one user a world; `PlazaEnv` is one of them as a Gymnasium
environment. State is float64, observations and actions are float32 in raw units. What follows is the whole model, and
enough to port it: a port and this module agree to rounding.

Space is glTF's (right-handed, +Y up, +Z forward), seen on the x-z plane. Heading h = 0 looks along +Z. A positive turn
rotates about +Y by the right-hand rule, from +Z towards +X: counter-clockwise seen from above, the NPC's left.

    forward(h) = (sin h, cos h)        left(h) = (cos h, -sin h)        both as (x, z)

One tick, DT = 0.1 s, with the action (speed_command, turn_command) clipped to its bounds:

    speed     += RESPONSE * (speed_command - speed)
    turn_rate += RESPONSE * (turn_command - turn_rate)
    heading   += DT * turn_rate
    position  += DT * speed * forward(heading)          with the new heading and the new speed
    tick      += 1
    user       = user(DT * tick)                        layout.py has the formula
    contact      pushes the NPC straight out, in this order:
                 the user (kept at least NPC_RADIUS + USER_RADIUS from the user's centre), each obstacle (NPC_RADIUS +
                 its radius), the walls (|x|, |z| <= HALF_SIZE - NPC_RADIUS); speed and turn rate stay as they are

Obstacles stand so far apart, and so far from the walls, that the NPC touches one at most: it is never inside an
obstacle or a wall. It may overlap the user who presses it against one.

Observation, OBSERVATION_SIZE float32 (`ELEMENTS` names them), where r = user - position:

    0      user_left               r . left(heading)                                      m
    1      user_forward            r . forward(heading)                                   m
    2      user_distance           d = |r|                                                m
    3, 4   user_bearing_sin, _cos  user_left / d, user_forward / d; 0 and 1 where d < 1e-9
    5, 6   user_velocity_left, _forward   (user(t) - user(t - DT)) / DT in the same frame m/s
    7      speed                                                                          m/s
    8      turn_rate                                                                      rad/s
    9-16   ray_000 ... ray_340     how far the NPC's body can slide before it touches an obstacle or a wall, at most
                                   RAY_RANGE, in the direction forward(heading + angle), angle one of RAY_DEGREES m

A ray in direction q meets an obstacle with centre c and radius R, where R' = R + NPC_RADIUS, s = (c - position) . q and
m = |c - position|^2 - s^2, if s > 0 and m < R'^2, at max(0, s - sqrt(R'^2 - m)); and the wall of each axis where |q_i| > 1e-9
at max(0, (sign(q_i) * (HALF_SIZE - NPC_RADIUS) - position_i) / q_i). Absent obstacles (radius 0) are out of reach.

The NPC serves while 0.9 m <= d <= 2.2 m and it faces the user within 30 degrees. A user served for 5 s without a
break is served for good: that makes the episode a success. Reward of a tick, with g = max(0, |d - 1.5| - 0.4) and b
the bearing:

    DT * ((1 + cos b) / 2 / (1 + g) + serving - 3 * contact - 2 * max(0, 1 - gap / 0.4) - 0.05 * turn_rate^2)

where gap is how far the NPC's body is from the nearest obstacle or wall.

Nothing terminates an episode; after EPISODE_TICKS (25 s) it is truncated.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from export.npc.layout import HALF_SIZE, NPC_RADIUS, USER_RADIUS, Float64, Layout, draw_layouts, user_position

Float32 = npt.NDArray[np.float32]

DT = 0.1
RESPONSE = 0.5
EPISODE_TICKS = 250
RAY_RANGE = 6.0
RAY_DEGREES = (0, 20, 45, 90, 180, 270, 315, 340)
SERVICE_DISTANCE = (0.9, 2.2)
SERVICE_COS_BEARING = float(np.cos(np.pi / 6))
SERVED_TICKS = 50

ACTION_ELEMENTS = ("speed", "turn")
ACTION_LOW = np.array([-1.0, -2.5], np.float32)
ACTION_HIGH = np.array([2.0, 2.5], np.float32)

_USER_ELEMENTS = ("user_left", "user_forward", "user_distance", "user_bearing_sin", "user_bearing_cos")
_MOTION_ELEMENTS = ("user_velocity_left", "user_velocity_forward", "speed", "turn_rate")
ELEMENTS = (*_USER_ELEMENTS, *_MOTION_ELEMENTS, *(f"ray_{degrees:03d}" for degrees in RAY_DEGREES))
OBSERVATION_SIZE = len(ELEMENTS)
OBSERVATION_LOW = np.array([-30, -30, 0, -1, -1, -2, -2, -1, -2.5, *[0] * 8], np.float32)
OBSERVATION_HIGH = np.array([30, 30, 30, 1, 1, 2, 2, 2, 2.5, *[RAY_RANGE] * 8], np.float32)

_RAY_ANGLES = np.deg2rad(RAY_DEGREES)
_MOTION = ("xz", "heading", "speed", "turn_rate", "user_xz", "user_before")
_ARRAYS = ("episode", "tick", *_MOTION, "streak", "served", "contacts")


class Plaza:
    """W worlds that step together. World i of a plaza with a seed is the same whatever W is.

    Arrays, one row a world: `xz` float64[W, 2], `heading`, `speed`, `turn_rate` float64[W], `user_xz` float64[W, 2],
    `tick`, `streak` (ticks of unbroken service), `contacts` (ticks with contact) int64[W], `served` bool[W].
    """

    def __init__(self, worlds: int, seed: int, *, first_world: int = 0) -> None:
        self.seed = seed
        self.world_ids = np.arange(first_world, first_world + worlds, dtype=np.uint64)
        self.episode = np.zeros(worlds, np.int64)
        self._allocate(draw_layouts(seed, self.world_ids, self.episode))
        self._place(np.arange(worlds))

    @classmethod
    def from_layout(cls, layout: Layout) -> Plaza:
        """Return a plaza whose first episode has the given layout; later ones are drawn with seed 0."""
        plaza = cls.__new__(cls)
        plaza.seed = 0
        plaza.world_ids = np.arange(len(layout), dtype=np.uint64)
        plaza.episode = np.zeros(len(layout), np.int64)
        plaza._allocate(layout.take(np.arange(len(layout))))
        plaza._place(np.arange(len(layout)))
        return plaza

    def __len__(self) -> int:
        return len(self.world_ids)

    def _allocate(self, layout: Layout) -> None:
        worlds = len(layout)
        self.layout = layout
        self.tick, self.streak, self.contacts = (np.zeros(worlds, np.int64) for _ in range(3))
        self.served = np.zeros(worlds, bool)
        self.heading, self.speed, self.turn_rate = (np.zeros(worlds) for _ in range(3))
        self.xz, self.user_xz, self.user_before = (np.zeros((worlds, 2)) for _ in range(3))

    def restart(self, seed: int) -> None:
        """Begin anew with the first episode of every world of another seed."""
        self.seed = seed
        self.episode[:] = -1
        self.reset(np.arange(len(self)))

    def reset(self, worlds: npt.NDArray[np.int64]) -> None:
        """Begin the next episode of the worlds with these indices."""
        self.episode[worlds] += 1
        self.layout.put(worlds, draw_layouts(self.seed, self.world_ids[worlds], self.episode[worlds]))
        self._place(worlds)

    def _place(self, worlds: npt.NDArray[np.int64]) -> None:
        layout = self.layout.take(worlds)
        for array in (self.tick, self.streak, self.contacts, self.served, self.speed, self.turn_rate):
            array[worlds] = 0
        self.xz[worlds], self.heading[worlds] = layout.start_xz, layout.start_heading
        self.user_xz[worlds] = user_position(layout, np.zeros(len(worlds)))
        self.user_before[worlds] = user_position(layout, np.full(len(worlds), -DT))

    def step(self, actions: npt.ArrayLike) -> Float64:
        """Advance every world by one tick under actions [W, 2] in engine units; return the rewards float64[W].

        Actions are clipped to their bounds; `ValueError` for another shape or a value that is not finite.
        """
        commands = np.asarray(actions, np.float64)
        if commands.shape != (len(self), 2) or not np.isfinite(commands).all():
            given = f"shape {commands.shape}" + ("" if np.isfinite(commands).all() else " and values that are not finite")
            raise ValueError(f"actions have {given}, expected finite ({len(self)}, 2): speed in m/s, turn in rad/s")
        commands = np.clip(commands, ACTION_LOW, ACTION_HIGH)
        self.speed += RESPONSE * (commands[:, 0] - self.speed)
        self.turn_rate += RESPONSE * (commands[:, 1] - self.turn_rate)
        self.heading += DT * self.turn_rate
        self.xz += (DT * self.speed)[:, None] * _forward(self.heading)
        self.tick += 1
        self.user_before = self.user_xz
        self.user_xz = user_position(self.layout, DT * self.tick)
        contact = self._push_out()
        self.contacts += contact
        return self._reward(contact)

    def _push_out(self) -> npt.NDArray[np.bool_]:
        """Move NPCs out of what they touch; return which did."""
        contact = _push_from(self.xz, self.user_xz, np.full(len(self), NPC_RADIUS + USER_RADIUS))
        offset = self.xz[:, None] - self.layout.obstacle_xz
        gap = np.sqrt((offset**2).sum(axis=2)) - self.layout.obstacle_radius
        nearest = gap.argmin(axis=1)
        rows = np.arange(len(self))
        radius = self.layout.obstacle_radius[rows, nearest] + NPC_RADIUS
        contact |= _push_from(self.xz, self.layout.obstacle_xz[rows, nearest], radius)
        limit = HALF_SIZE - NPC_RADIUS
        contact |= (np.abs(self.xz) > limit).any(axis=1)
        np.clip(self.xz, -limit, limit, out=self.xz)
        return contact

    def _reward(self, contact: npt.NDArray[np.bool_]) -> Float64:
        distance, cos_bearing = self._distance_and_facing()
        near = (distance >= SERVICE_DISTANCE[0]) & (distance <= SERVICE_DISTANCE[1])
        serving = near & (cos_bearing >= SERVICE_COS_BEARING)
        self.streak = np.where(serving, self.streak + 1, 0)
        self.served |= self.streak >= SERVED_TICKS
        misplaced = np.maximum(0.0, np.abs(distance - 1.5) - 0.4)
        attention = (1.0 + cos_bearing) / 2.0 / (1.0 + misplaced)
        crowding = np.maximum(0.0, 1.0 - self._gap_to_plaza() / 0.4)
        return DT * (attention + serving - 3.0 * contact - 2.0 * crowding - 0.05 * self.turn_rate**2)

    def _distance_and_facing(self) -> tuple[Float64, Float64]:
        offset = self.user_xz - self.xz
        distance = np.sqrt((offset**2).sum(axis=1))
        ahead = (offset * _forward(self.heading)).sum(axis=1)
        return distance, np.where(distance < 1e-9, 1.0, ahead / np.maximum(distance, 1e-9))

    def observe(self) -> Float32:
        """Return the observations float32[W, OBSERVATION_SIZE] of the present state."""
        forward = _forward(self.heading)
        left = np.stack((forward[:, 1], -forward[:, 0]), axis=1)
        offset = self.user_xz - self.xz
        velocity = (self.user_xz - self.user_before) / DT
        distance, cos_bearing = self._distance_and_facing()
        observation = np.empty((len(self), OBSERVATION_SIZE), np.float32)
        observation[:, 0] = aside = (offset * left).sum(axis=1)
        observation[:, 1] = (offset * forward).sum(axis=1)
        observation[:, 2] = distance
        observation[:, 3] = np.where(distance < 1e-9, 0.0, aside / np.maximum(distance, 1e-9))
        observation[:, 4] = cos_bearing
        observation[:, 5] = (velocity * left).sum(axis=1)
        observation[:, 6] = (velocity * forward).sum(axis=1)
        observation[:, 7] = self.speed
        observation[:, 8] = self.turn_rate
        observation[:, 9:] = self.rays()
        return observation

    def rays(self) -> Float64:
        """Return how far each NPC's body can slide in the directions of RAY_DEGREES, float64[W, 8] in metres."""
        direction = _forward(self.heading[:, None] + _RAY_ANGLES)
        offset = self.layout.obstacle_xz - self.xz[:, None]
        along = np.einsum("wkc,wrc->wrk", offset, direction)
        inflated = (self.layout.obstacle_radius + NPC_RADIUS) ** 2
        beside = inflated[:, None] - ((offset**2).sum(axis=2)[:, None] - along**2)
        hit = (along > 0.0) & (beside > 0.0)
        obstacle = np.where(hit, along - np.sqrt(np.maximum(beside, 0.0)), RAY_RANGE).min(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            wall = (np.sign(direction) * (HALF_SIZE - NPC_RADIUS) - self.xz[:, None]) / direction
        wall = np.where(np.abs(direction) > 1e-9, wall, RAY_RANGE).min(axis=2)
        return np.clip(np.minimum(obstacle, wall), 0.0, RAY_RANGE)

    def clearance(self) -> Float64:
        """Return the gap float64[W] in metres between each NPC's body and the nearest of user, obstacles and walls."""
        user = np.sqrt(((self.user_xz - self.xz) ** 2).sum(axis=1)) - USER_RADIUS - NPC_RADIUS
        return np.minimum(user, self._gap_to_plaza())

    def _gap_to_plaza(self) -> Float64:
        offset = self.layout.obstacle_xz - self.xz[:, None]
        obstacle = (np.sqrt((offset**2).sum(axis=2)) - self.layout.obstacle_radius).min(axis=1)
        return np.minimum(obstacle, HALF_SIZE - np.abs(self.xz).max(axis=1)) - NPC_RADIUS

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of everything the future depends on, the random numbers' address included."""
        state = {name: getattr(self, name).copy() for name in _ARRAYS}
        state |= {f"layout.{name}": array.copy() for name, array in self.layout.arrays().items()}
        return state | {"seed": np.array(self.seed, np.uint64), "world_ids": self.world_ids.copy()}

    def load_state_dict(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Take over a state of a plaza with as many worlds; `ValueError` for another number."""
        if len(state["world_ids"]) != len(self):
            raise ValueError(f"the state has {len(state['world_ids'])} worlds, this plaza has {len(self)}")
        for name in _ARRAYS:
            setattr(self, name, state[name].copy())
        self.layout = Layout(**{name: state[f"layout.{name}"].copy() for name in self.layout.arrays()})
        self.seed, self.world_ids = int(state["seed"]), state["world_ids"].copy()


def _forward(heading: Float64) -> Float64:
    return np.stack((np.sin(heading), np.cos(heading)), axis=-1)


def _push_from(xz: Float64, centre: Float64, radius: Float64) -> npt.NDArray[np.bool_]:
    """Move positions closer than `radius` to `centre` straight out onto the circle, in place; return which moved."""
    offset = xz - centre
    distance = np.sqrt((offset**2).sum(axis=1))
    inside = distance < radius
    if inside.any():
        outward = np.where(distance[:, None] < 1e-9, [0.0, 1.0], offset / np.maximum(distance, 1e-9)[:, None])
        xz[inside] = (centre + outward * radius[:, None])[inside]
    return inside


class PlazaEnv(gym.Env[Float32, Float32]):
    """One world as a Gymnasium environment; `world` chooses which of the seed's worlds it is.

    The action is (speed in m/s, turn in rad/s). `reset(seed=s)` begins the first episode of seed s, `reset()` the
    next one. The last step's info has `is_success`; every step's has `serving_ticks` and `contact_ticks`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": round(1 / DT)}

    def __init__(self, render_mode: str | None = None, world: int = 0, image_size: int = 320) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f'render_mode is "{render_mode}", expected None or "rgb_array"')
        self.render_mode = render_mode
        self.image_size = image_size
        self.observation_space = gym.spaces.Box(OBSERVATION_LOW, OBSERVATION_HIGH, dtype=np.float32)
        self.action_space = gym.spaces.Box(ACTION_LOW, ACTION_HIGH, dtype=np.float32)
        self._world = world
        self._plaza: Plaza | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Float32, dict[str, Any]]:
        """Begin an episode and return its first observation."""
        super().reset(seed=seed)
        if self._plaza is None or seed is not None:
            drawn = int(self.np_random.integers(1 << 63)) if seed is None else seed
            self._plaza = Plaza(1, drawn, first_world=self._world)
        else:
            self._plaza.reset(np.array([0]))
        return self._plaza.observe()[0], {}

    def step(self, action: Float32) -> tuple[Float32, float, bool, bool, dict[str, Any]]:
        """Advance one tick; `RuntimeError` before the first reset."""
        plaza = self.plaza
        reward = plaza.step(np.asarray(action)[None])
        truncated = bool(plaza.tick[0] >= EPISODE_TICKS)
        info = {"serving_ticks": int(plaza.streak[0]), "contact_ticks": int(plaza.contacts[0])}
        if truncated:
            info["is_success"] = bool(plaza.served[0])
        return plaza.observe()[0], float(reward[0]), False, truncated, info

    @property
    def plaza(self) -> Plaza:
        """The world behind this environment."""
        if self._plaza is None:
            raise RuntimeError("the environment was stepped or drawn before its first reset(); call reset() first")
        return self._plaza

    def render(self) -> Any:
        """Return the world seen from above, uint8[image_size, image_size, 3]."""
        from export.npc.render import draw_world

        return draw_world(self.plaza, 0, size=self.image_size)
