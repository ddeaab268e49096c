"""Measures environment steps a second: all worlds in one NumPy call against one Gymnasium environment a world.

`python -m export.npc.throughput` prints one line for each environment and number of worlds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from export.npc.env import PlazaEnv
from export.npc.vec_env import PlazaVecEnv
from export.npc.world.env import AssistantEnv
from export.npc.world.sb3_env import AssistantVecEnv


def steps_per_second(environment: VecEnv, ticks: int) -> float:
    """Step random actions for `ticks` ticks, resets included, and return world steps a second of processor time."""
    environment.action_space.seed(0)
    actions = [
        np.stack([environment.action_space.sample() for _ in range(environment.num_envs)]) for _ in range(min(ticks, 100))
    ]
    environment.seed(1)
    environment.reset()
    started = time.process_time()
    for tick in range(ticks):
        environment.step(actions[tick % len(actions)])
    return ticks * environment.num_envs / (time.process_time() - started)


WORLDS: dict[str, tuple[Callable[[int], VecEnv], Callable[[int], PlazaEnv | AssistantEnv]]] = {
    "assistant": (AssistantVecEnv, lambda world: AssistantEnv(world=world)),
    "follower": (PlazaVecEnv, lambda world: PlazaEnv(world=world)),
}


def main() -> None:
    """Print the comparison."""
    for name, (vectorised, single) in WORLDS.items():
        for worlds in (1, 64, 256):
            together = steps_per_second(vectorised(worlds), 310)
            looped = steps_per_second(
                DummyVecEnv([partial(single, world) for world in range(worlds)]), 310 if worlds < 100 else 100
            )
            times = f"{together / looped:.1f} times"
            print(f"{name}, {worlds} worlds: {together:,.0f} steps/s vectorised, {looped:,.0f} in a loop, {times}", flush=True)


if __name__ == "__main__":
    main()
