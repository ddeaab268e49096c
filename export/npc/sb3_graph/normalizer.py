"""Opens a `vecnormalize.pkl`: the running mean and variance of the observations that a policy was trained on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.npc.sb3_graph.unpickle import Record, loads

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """What one observation is normalised by: `clip((x - mean) / sqrt(variance + epsilon))` to [-limit, limit]."""

    mean: Floats
    variance: Floats
    epsilon: float
    limit: float

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return normalised observations, as Stable-Baselines3 computes them."""
        scaled = (values - self.mean) / np.sqrt(self.variance + self.epsilon)
        return np.clip(scaled, -self.limit, self.limit).astype(np.float32)


def open_normalizer(path: Path, trust: Collection[str] = ()) -> dict[str, Statistics]:
    """Return the statistics by observation, under "" that of a space which is no Dict; none if observations were left alone.

    The file is a pickle, of which attributes are read and no code is run. Raises `ValueError` for anything else.
    """
    try:
        record = loads(path.read_bytes(), trust)
    except ValueError as error:
        raise type(error)(f"{path}: {error}") from error
    state = vars(record) if isinstance(record, Record) else {}
    missing = {"obs_rms", "norm_obs", "clip_obs", "epsilon"} - set(state)
    if missing:
        raise ValueError(f"{path}: has no {sorted(missing)}, expected what VecNormalize.save() of Stable-Baselines3 wrote")
    if not state["norm_obs"]:
        return {}
    running = state["obs_rms"] if isinstance(state["obs_rms"], dict) else {"": state["obs_rms"]}
    return {name: _statistics(path, values, state) for name, values in running.items()}


def from_vec_normalize(wrapper: Any) -> dict[str, Statistics]:
    """Return the statistics of a `VecNormalize` in memory."""
    if not wrapper.norm_obs:
        return {}
    running = wrapper.obs_rms if isinstance(wrapper.obs_rms, dict) else {"": wrapper.obs_rms}
    return {name: _statistics(Path("VecNormalize"), values, vars(wrapper)) for name, values in running.items()}


def _statistics(path: Path, running: Any, state: dict[str, Any]) -> Statistics:
    try:
        mean, variance = np.array(running.mean, np.float64), np.array(running.var, np.float64)
        statistics = Statistics(mean, variance, float(state["epsilon"]), float(state["clip_obs"]))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no running mean and variance: {error}") from error
    if mean.shape != variance.shape or not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance >= 0).all()):
        raise ValueError(f"{path}: mean {mean.shape} and variance {variance.shape} are no statistics")
    return statistics
