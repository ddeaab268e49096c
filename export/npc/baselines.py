"""Two policies without learning, which a trained one is measured against.

Like every policy here they map raw observations float32[N, OBSERVATION_SIZE] to actions float32[N, 2] in engine units.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.npc.env import ACTION_HIGH, ACTION_LOW, ELEMENTS, RAY_DEGREES, Float32

Policy = Callable[[Float32], Float32]

_FIRST_RAY = ELEMENTS.index("ray_000")
_RAY_ANGLES = np.deg2rad(RAY_DEGREES)


def scripted(observations: Float32) -> Float32:
    """Steer at the user, away from what the rays meet within 1.5 m, and keep 1.5 m from the user."""
    left, forward, distance = observations[:, 0], observations[:, 1], observations[:, 2]
    rays = observations[:, _FIRST_RAY:]
    push = np.maximum(0.0, 1.5 - rays)
    far = np.clip(distance - 1.5, 0.2, 1.0) / np.maximum(distance, 1e-3)
    wanted_left = left * far - 1.2 * (push * np.sin(_RAY_ANGLES)).sum(axis=1)
    wanted_forward = forward * far - 0.6 * (push * np.cos(_RAY_ANGLES)).sum(axis=1)
    bearing = np.arctan2(wanted_left, wanted_forward)
    speed = np.clip(1.5 * (distance - 1.5), -1.0, 2.0)
    speed = np.where(speed > 0.0, np.minimum(speed, 0.2 + rays[:, 0]) * np.maximum(0.0, np.cos(bearing)), speed)
    actions = np.stack((speed, 2.5 * bearing), axis=1).astype(np.float32)
    return np.clip(actions, ACTION_LOW, ACTION_HIGH)


def random_policy(seed: int) -> Policy:
    """Return a policy that draws actions uniformly from their bounds."""
    generator = np.random.default_rng(seed)

    def choose(observations: Float32) -> Float32:
        return generator.uniform(ACTION_LOW, ACTION_HIGH, (len(observations), 2)).astype(np.float32)

    return choose
