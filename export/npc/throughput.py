"""Measures environment steps a second: all worlds in one NumPy call against one Gymnasium environment a world.

`python -m export.npc.throughput` prints one line for each number of worlds.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from export.npc.env import PlazaEnv
from export.npc.vec_env import PlazaVecEnv


def steps_per_second(environment: VecEnv, ticks: int) -> float:
    """Step random actions for `ticks` ticks, resets included, and return world steps a second of processor time."""
    generator = np.random.default_rng(0)
    actions = generator.uniform(-1.0, 1.0, (ticks, environment.num_envs, 2)).astype(np.float32)
    environment.seed(1)
    environment.reset()
    started = time.process_time()
    for action in actions:
        environment.step(action)
    return ticks * environment.num_envs / (time.process_time() - started)


def main() -> None:
    """Print the comparison."""
    for worlds in (1, 64, 256):
        vectorised = steps_per_second(PlazaVecEnv(worlds), 1000)
        looped = steps_per_second(
            DummyVecEnv([partial(PlazaEnv, world=world) for world in range(worlds)]), max(260, 1000 // worlds)
        )
        print(
            f"{worlds} worlds: {vectorised:,.0f} steps/s vectorised, {looped:,.0f} in a loop, {vectorised / looped:.1f} times"
        )


if __name__ == "__main__":
    main()
