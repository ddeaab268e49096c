"""Raw observations, states, noise and masks for the parity gate: recorded ones, or drawn from all of a policy's spaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import seeds
from bridge.npc_card import MASK, NOISE
from export.npc.sb3_graph.graph import PolicyGraph
from export.npc.sb3_graph.inputs import Feature

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
FAR = 1e6
"""A bound beyond this is none."""
WIDE = 3.0
"""Standard deviation of values without bounds and statistics."""


def observations(graph: PolicyGraph, rng: np.random.Generator, count: int, recorded: Path | None = None) -> Arrays:
    """Return `count` raw observations by name: recorded ones in turn from an .npz file, else drawn from the spaces."""
    if recorded is None:
        return {feature.name: _draw(feature, rng, count) for feature in graph.features}
    try:
        with np.load(recorded, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{recorded}: {error}; expected an .npz file with an array for each observation") from error
    taken = {}
    for feature in graph.features:
        array, tensor = arrays.get(feature.name), feature.tensor()
        if array is None or array.shape[1:] != feature.raw_shape or not len(array):
            found = {name: list(array.shape) for name, array in arrays.items()}
            raise ValueError(f'{recorded}: has {found}, expected "{feature.name}" of shape [N, {feature.raw_shape}]')
        taken[feature.name] = np.resize(array, (count, *array.shape[1:])).astype(tensor.dtype)
    return taken


def states(graph: PolicyGraph, rng: np.random.Generator, count: int) -> Arrays:
    """Return states as they come in the middle of an episode: earlier frames, and an LSTM's numbers between -1 and 1."""
    drawn = {}
    for feature in graph.features:
        if feature.frames > 1:
            frames = [feature.from_raw(_draw(feature, rng, count)) for _ in range(feature.frames - 1)]
            if feature.normalises_frames and feature.statistics:
                frames = [feature.statistics.apply(frame) for frame in frames]
            drawn[feature.state] = np.concatenate(frames, feature.stack_axis + 1).astype(np.float32)
    for state in graph.states:
        if state["name"] not in drawn:
            drawn[state["name"]] = rng.uniform(-1.0, 1.0, (count, *state["shape"])).astype(np.float32)
    return drawn


def initial(graph: PolicyGraph, count: int) -> Arrays:
    """Return the states of an episode's start."""
    return {state["name"]: np.zeros((count, *state["shape"]), np.float32) for state in graph.states}


def noise(graph: PolicyGraph, seed: int, tick: int, count: int) -> Arrays:
    """Return noise as the sidecar draws it for agents 0 to count - 1 at a tick; none for a policy that takes none."""
    columns: list[Array] = []
    draws = {"normal": seeds.action_normals, "gumbel": seeds.action_gumbels, "uniform": seeds.action_uniforms}
    start = 0
    for part in graph.noise:
        columns.append(draws[part["kind"]](seed, range(count), tick, start + part["size"])[:, start:])
        start += part["size"]
    return {NOISE: np.ascontiguousarray(np.concatenate(columns, axis=1))} if columns else {}


def no_noise(graph: PolicyGraph, count: int) -> Arrays:
    """Return the zeros that ask for the deterministic action."""
    return {NOISE: np.zeros((count, graph.noise_size), np.float32)} if graph.noise else {}


def masks(graph: PolicyGraph, rng: np.random.Generator, count: int) -> Arrays:
    """Return masks that allow at least one action of each branch, and in every fourth row all of them."""
    if not graph.is_masked:
        return {}
    parts = []
    for size in graph.branches:
        part = rng.random((count, size)) < 0.5
        part[np.arange(count), rng.integers(0, size, count)] = True
        parts.append(part)
    mask = np.concatenate(parts, axis=1)
    mask[::4] = True
    return {MASK: mask}


def _draw(feature: Feature, rng: np.random.Generator, count: int) -> Array:
    low, high = feature.bounds()
    dtype, shape = feature.tensor().dtype, (count, *feature.raw_shape)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(low, high, shape, endpoint=True).astype(dtype)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    middle, spread = np.zeros(feature.raw_shape), np.full(feature.raw_shape, WIDE)
    if feature.statistics is not None and feature.statistics.mean.shape == feature.frame_shape:
        middle = feature.to_raw(feature.statistics.mean)
        spread = feature.to_raw(2.0 * np.sqrt(feature.statistics.variance))
    values = rng.normal(middle, spread, shape)
    bounded = (np.abs(low) < FAR) & (np.abs(high) < FAR)
    inside = np.where(bounded, rng.uniform(np.where(bounded, low, 0.0), np.where(bounded, high, 1.0), shape), values)
    return np.clip(inside, low, high).astype(dtype)
