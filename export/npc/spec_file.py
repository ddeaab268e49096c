"""A hand-written npc section of a card: what a file observes and how it acts, where the file itself does not say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bridge.model_card import DTYPES, TensorSpec
from bridge.npc_card import LOG_PROBABILITY, MASK, NOISE, ActionSpec, Spec, bounds


@dataclass(frozen=True)
class PolicySpec:
    """The section as a card has it, and the inputs and outputs that a graph with it has, in their order.

    Inputs: observations, states, `noise`, `action_mask`. Outputs: actions, states, `log_probability`. Each only where it is.
    """

    section: dict[str, Any]
    spec: Spec
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def read_spec(path: Path) -> PolicySpec:
    """Read a JSON file; `ValueError` names what is wrong in it."""
    try:
        section = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return policy_spec(section)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def policy_spec(section: dict[str, Any]) -> PolicySpec:
    """Check a section; an observation may say its `dtype`, float32 if it does not. Raises `ValueError`."""
    section, dtypes = dict(section), {}
    observations = section.get("observations")
    if isinstance(observations, list):
        section["observations"] = [dict(entry) for entry in observations if isinstance(entry, dict)]
        for entry in section["observations"]:
            dtypes[entry.get("name")] = entry.pop("dtype", "float32")
    try:
        spec = msgspec.convert(section, Spec)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}; see docs/npc-policies.md for what a spec has") from error
    unknown = {name: dtype for name, dtype in dtypes.items() if dtype not in DTYPES}
    if unknown:
        raise ValueError(f"observations have dtypes {unknown}, expected some of {DTYPES}")
    return PolicySpec(msgspec.to_builtins(spec), spec, _inputs(spec, dtypes), _outputs(spec))


def action_scale(action: ActionSpec) -> np.ndarray:
    """Return what errors of each element are measured against: half its range, or 1 where it has no bounds."""
    half = (bounds(action.high, np.inf) - bounds(action.low, -np.inf)) / 2
    return np.where(np.isfinite(half) & (half > 0), half, 1.0)


def _inputs(spec: Spec, dtypes: dict[Any, str]) -> tuple[TensorSpec, ...]:
    inputs = [TensorSpec(part.name, dtypes.get(part.name, "float32"), ["batch", *part.shape]) for part in spec.observations]
    inputs += [TensorSpec(state.name, "float32", ["batch", *state.shape]) for state in spec.states]
    if spec.noise_size:
        inputs.append(TensorSpec(NOISE, "float32", ["batch", spec.noise_size]))
    if spec.mask_size:
        inputs.append(TensorSpec(MASK, "bool", ["batch", spec.mask_size]))
    return tuple(inputs)


def _outputs(spec: Spec) -> tuple[TensorSpec, ...]:
    outputs = []
    for action in spec.actions:
        action.check()
        scale = float(action_scale(action).max()) if action.kind == "continuous" else 1.0
        outputs.append(TensorSpec(action.name, action.dtype, ["batch", action.size], scale=scale))
    outputs += [TensorSpec(state.output, "float32", ["batch", *state.shape]) for state in spec.states]
    if spec.log_probability:
        outputs.append(TensorSpec(LOG_PROBABILITY, "float32", ["batch"]))
    return tuple(outputs)
