"""The parity gate of policies that are known by their spec alone: a reference gives for the same feeds the same outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from bridge import seeds
from bridge.npc_card import LOG_PROBABILITY, MASK, NOISE, ObservationSpec, bounds
from export.npc.spec_file import PolicySpec, action_scale
from export.parity import TOLERANCE, Parity, ParityError

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Reference = Callable[[Mapping[str, Array], bool], Arrays]
"""Takes feeds and whether they ask for the deterministic action; gives the outputs that it knows, by name."""
OBSERVATIONS, LARGEST, STEPS, AGENTS, RESET_SHARE = 1000, 64, 200, 8, 0.03
WIDE = 3.0
_DRAWS = {"normal": seeds.action_normals, "gumbel": seeds.action_gumbels, "uniform": seeds.action_uniforms}


class SpecGate:
    """Draws feeds from a spec and compares an ONNX file with a reference on them."""

    def __init__(self, policy: PolicySpec, reference: Reference, path: Path, seed: int, recorded: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._policy, self._reference, self._seed, self._recorded = policy, reference, seed, recorded
        self._rng = np.random.default_rng(seed)
        self._names = [tensor.name for tensor in policy.outputs]
        self._scales: dict[str, Any] = {action.name: action_scale(action) for action in policy.spec.actions}
        self._scales[LOG_PROBABILITY] = float(max(1, sum(action.size for action in policy.spec.actions)))
        self._errors: dict[str, float] = {}

    def check(self) -> Parity:
        """Compare 1,000 observations at every batch size to 64, and 200 steps of episodes; `ParityError` says what differs."""
        known = observations(self._policy, self._rng, OBSERVATIONS, self._recorded) | self._masks(OBSERVATIONS)
        start = 0
        for batch in range(1, LARGEST + 1):
            rows = np.arange(start, start + batch) % OBSERVATIONS
            feeds = {name: array[rows] for name, array in known.items()} | self._states(batch)
            where = f"batch {batch}, seed {self._seed}"
            self._compare(feeds | self._noise(batch, None), True, f"{where}, deterministic")
            if self._policy.spec.noise_size:
                self._compare(feeds | self._noise(batch, batch), False, f"{where}, sampled")
            start += batch
        resets = self._check_episodes() if self._policy.spec.states else 0
        report = {
            "observations": OBSERVATIONS,
            "source": self._recorded.name if self._recorded else "drawn from the spec",
            "errors": {name: float(f"{error:.3g}") for name, error in self._errors.items()},
            "seed": self._seed,
        }
        if self._policy.spec.states:
            report |= {"episode_steps": STEPS * AGENTS, "resets": resets}
        return Parity(max(self._errors.values(), default=0.0), list(range(1, LARGEST + 1)), 0, report)

    def _check_episodes(self) -> int:
        states = self._policy.spec.states
        observed = observations(self._policy, self._rng, STEPS * AGENTS, self._recorded)
        both = [{state.name: _initial(state, AGENTS) for state in states} for _ in range(2)]
        resets = 0
        for step in range(STEPS):
            starts = self._rng.random(AGENTS) < RESET_SHARE
            resets += int(starts.sum())
            for side in both:
                for state in states:
                    side[state.name][starts] = state.initial
            feeds = {name: array[step * AGENTS : (step + 1) * AGENTS] for name, array in observed.items()}
            feeds |= self._masks(AGENTS) | self._noise(AGENTS, None)
            kept = self._compare(feeds | both[0], True, f"episode step {step}, seed {self._seed}", feeds | both[1])
            both = [{state.name: np.array(side[state.output]) for state in states} for side in kept]
        return resets

    def _compare(self, feeds: Arrays, deterministic: bool, where: str, own: Arrays | None = None) -> tuple[Arrays, Arrays]:
        wanted = self._reference(feeds, deterministic)
        values = dict(zip(self._names, self._session.run(self._names, own or feeds), strict=True))
        for tensor in self._policy.outputs:
            got = values[tensor.name]
            if got.dtype.kind == "f" and not np.isfinite(got).all():
                raise ParityError(f'{where}: output "{tensor.name}" is not finite')
            if tensor.name in wanted:
                self._note(tensor.name, wanted[tensor.name], got, where)
        return wanted, values

    def _note(self, name: str, want: Array, got: Array, where: str) -> None:
        if want.shape != got.shape or want.dtype != got.dtype:
            raise ParityError(f'{where}: "{name}" is {got.dtype} {got.shape}, expected {want.dtype} {want.shape}')
        if got.dtype.kind != "f":
            differing = int(np.count_nonzero(want != got))
            if differing:
                raise ParityError(f'{where}: {differing} of {got.size} choices of "{name}" differ')
            self._errors.setdefault(name, 0.0)
            return
        scale = self._scales.get(name, max(1.0, float(np.abs(want).max(initial=0.0))))
        error = float((np.abs(want.astype(np.float64) - got) / scale).max(initial=0.0))
        if not error <= TOLERANCE:
            raise ParityError(f'{where}: "{name}" differs by {error:.3g} of its scale, the limit is {TOLERANCE:g}')
        self._errors[name] = max(self._errors.get(name, 0.0), error)

    def _states(self, count: int) -> Arrays:
        shapes = {state.name: (count, *state.shape) for state in self._policy.spec.states}
        return {name: self._rng.uniform(-1.0, 1.0, shape).astype(np.float32) for name, shape in shapes.items()}

    def _noise(self, count: int, tick: int | None) -> Arrays:
        spec = self._policy.spec
        if not spec.noise_size:
            return {}
        columns, start = np.zeros((count, spec.noise_size), np.float32), 0
        for part in spec.noise if tick is not None else ():
            drawn = _DRAWS[part.kind](self._seed, range(count), tick or 0, start + part.size)
            columns[:, start : start + part.size] = drawn[:, start:]
            start += part.size
        return {NOISE: columns}

    def _masks(self, count: int) -> Arrays:
        if not self._policy.spec.mask_size:
            return {}
        mask, start = self._rng.random((count, self._policy.spec.mask_size)) < 0.5, 0
        for size in (size for action in self._policy.spec.actions for size in action.branches):
            mask[np.arange(count), start + self._rng.integers(0, size, count)] = True
            start += size
        mask[::4] = True
        return {MASK: mask}


def sample(policy: PolicySpec, rng: np.random.Generator, batch: int) -> Arrays:
    """Return feeds for tracing a module: observations from the spec, and zeros for all else but masks."""
    feeds = observations(policy, rng, batch)
    return {
        tensor.name: feeds.get(tensor.name, np.full((batch, *tensor.shape[1:]), tensor.dtype == "bool", tensor.dtype))
        for tensor in policy.inputs
    }


def observations(policy: PolicySpec, rng: np.random.Generator, count: int, recorded: Path | None = None) -> Arrays:
    """Return raw observations by name, in turn from an .npz file or drawn from the spec's ranges."""
    dtypes = {tensor.name: tensor.dtype for tensor in policy.inputs}
    if recorded is None:
        return {part.name: _draw(part, dtypes[part.name], rng, count) for part in policy.spec.observations}
    with np.load(recorded, allow_pickle=False) as file:
        arrays = dict(file)
    taken = {}
    for part in policy.spec.observations:
        array = arrays.get(part.name)
        if array is None or list(array.shape[1:]) != part.shape or not len(array):
            found = {name: list(values.shape) for name, values in arrays.items()}
            raise ValueError(f'{recorded}: has {found}, expected "{part.name}" of shape [N, {part.shape}]')
        taken[part.name] = np.resize(array, (count, *part.shape)).astype(dtypes[part.name])
    return taken


def _draw(part: ObservationSpec, dtype: str, rng: np.random.Generator, count: int) -> Array:
    shape = (count, *part.shape)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    low, high = bounds(part.low, -np.inf), bounds(part.high, np.inf)
    low, high = (bound.reshape(part.shape) if bound.size > 1 else bound[0] for bound in (low, high))
    bounded = np.isfinite(low) & np.isfinite(high)
    if np.dtype(dtype).kind in "iu":
        most = 255 if dtype == "uint8" else 1
        least = np.where(np.isfinite(low), low, 0).astype(np.int64)
        return rng.integers(least, np.where(np.isfinite(high), high, most).astype(np.int64), shape, endpoint=True).astype(dtype)
    inside = rng.uniform(np.where(bounded, low, 0.0), np.where(bounded, high, 1.0), shape)
    return np.clip(np.where(bounded, inside, rng.normal(0.0, WIDE, shape)), low, high).astype(dtype)


def _initial(state: Any, count: int) -> Array:
    return np.full((count, *state.shape), state.initial, np.float32)
