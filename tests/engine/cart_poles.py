"""CartPole as Gymnasium plays it beside an engine that plays it too: the same states and pushes, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from export.npc.remote_env.env import RemoteVectorEnv

TICKS = 200
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Compared:
    """How far an engine's rows were from Gymnasium's: the worst difference, rows compared, and episodes that ended in both."""

    worst: float
    steps: int
    ended: int


def compare(
    remote: RemoteVectorEnv, *, balanced: bool, seed: int, before_tick: Callable[[int], None] = lambda tick: None
) -> Compared:
    """Play episodes in an engine and in Gymnasium from the same states, by the same pushes, until they end or for 200 ticks.

    Pushes are drawn, or those that balance the pole for a while. Rewards and ends must be equal, in the same tick.
    `before_tick` is called with the number of each tick.
    """
    rng = np.random.default_rng(seed)
    rows = remote.num_envs
    states = rng.uniform(-0.05, 0.05, (rows, 4)).astype(np.float32)
    observations, _ = remote.reset(options={"state": states})
    worlds = [gym.make("CartPole-v1").unwrapped for _ in range(rows)]
    for world, state in zip(worlds, states, strict=True):
        world.reset(seed=0)
        world.state = tuple(state.astype(np.float64))
    live, worst, steps = np.ones(rows, bool), float(np.abs(observations - states).max()), 0
    for tick in range(TICKS):
        before_tick(tick)
        pushes = balancing(observations) if balanced else rng.integers(0, 2, rows)
        observations, rewards, terminated, truncated, info = remote.step(pushes)
        for row in np.flatnonzero(live):
            expected, reward, over, _, _ = worlds[row].step(int(pushes[row]))
            seen = info["final_obs"][row] if terminated[row] else observations[row]
            worst, steps = max(worst, float(np.abs(seen - expected).max())), steps + 1
            assert (rewards[row], terminated[row], truncated[row]) == (reward, over, False)
            live[row] = not over
    return Compared(worst, steps, int((~live).sum()))


def balancing(observations: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return pushes that keep poles up: towards where they lean and turn."""
    position, velocity, angle, turn = observations.T
    return (0.05 * position + 0.1 * velocity + angle + 0.3 * turn > 0).astype(np.int64)
