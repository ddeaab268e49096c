"""What an engine reports of a command, as checked arrays: a wrong structure is refused, a wrong value fails its row alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from bridge import tensors
from bridge.errors import InvalidArgument
from bridge.model_card import TensorSpec
from bridge.v1 import environment_service_pb2 as pb
from export.npc.remote_env.spec import EngineSpec, Part
from export.npc.spaces import branches_of

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
MAX_INFOS, MAX_INFO_ELEMENTS = 32, 64
WHAT_NOW = "its episode is cut short and it begins a new one"


@dataclass
class Observed:
    """What the rows saw and got in one command; arrays [rows, ...] that are the trainer's own.

    `final` has the last observations of rows whose episode ended, and anything in the others; it is empty when none ended.
    `failures` are rows whose values could not be used, with the reason, and `repaired` those that have begun a new episode
    because of that. `lost` says that another engine took the place of the one that was asked.
    """

    observations: Arrays
    masks: Array | None
    rewards: npt.NDArray[np.float64]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    final: Arrays = field(default_factory=dict)
    infos: Arrays = field(default_factory=dict)
    failures: dict[int, pb.EnvironmentFailure] = field(default_factory=dict)
    repaired: dict[int, pb.EnvironmentFailure] = field(default_factory=dict)
    lost: bool = False

    @property
    def ended(self) -> npt.NDArray[np.bool_]:
        """Rows whose episode ended."""
        return self.terminated | self.truncated


def read_report(report: pb.EnvironmentReport, spec: EngineSpec, *, is_step: bool) -> Observed:
    """Return what a report says; `InvalidArgument` with the path of the field that is not as the spec has it."""
    rows = spec.rows
    observations = _named(report.observations, spec.observations, rows, "report.observations")
    count = rows if is_step else 0
    rewards = np.array(_counted(report.rewards, count, "report.rewards"), np.float64)
    terminated = np.array(_counted(report.terminated, count, "report.terminated"), bool)
    truncated = np.array(_counted(report.truncated, count, "report.truncated"), bool)
    if not is_step:
        rewards, terminated, truncated = np.zeros(rows), np.zeros(rows, bool), np.zeros(rows, bool)
    seen = Observed(observations, _masks(report, spec), rewards, terminated, truncated)
    ended = np.flatnonzero(seen.ended)
    finals: Arrays = {}
    if len(ended):
        finals = _named(report.final_observations, spec.observations, len(ended), "report.final_observations")
        seen.final = {name: array.copy() for name, array in observations.items()}
        for name, array in finals.items():
            seen.final[name][ended] = array
    elif report.final_observations:
        text = f"there are {len(report.final_observations)}, expected none: no episode ended"
        raise InvalidArgument(text, field="report.final_observations")
    seen.infos = _infos(report, rows)
    seen.failures = _failures(spec, seen, finals, ended)
    return seen


def _named(given: Any, parts: Sequence[Part], rows: int, place: str) -> Arrays:
    arrays = tensors.match_named(given, [part.tensor for part in parts], rows, place)
    return {name: np.array(array) for name, array in arrays.items()}


def _counted(values: Sequence[Any], count: int, place: str) -> Sequence[Any]:
    if len(values) != count:
        raise InvalidArgument(f"has {len(values)} values, expected {count}", field=place)
    return values


def _masks(report: pb.EnvironmentReport, spec: EngineSpec) -> Array | None:
    place = "report.action_mask"
    if not spec.mask_width:
        if report.HasField("action_mask"):
            raise InvalidArgument("is set, but the offer has no mask_width; leave it out, or offer one", field=place)
        return None
    return np.array(tensors.match(report.action_mask, TensorSpec("", "bool", ["rows", spec.mask_width]), spec.rows, place))


def _infos(report: pb.EnvironmentReport, rows: int) -> Arrays:
    if len(report.infos) > MAX_INFOS:
        raise InvalidArgument(f"there are {len(report.infos)}, expected at most {MAX_INFOS}", field="report.infos")
    infos: Arrays = {}
    for i, named in enumerate(report.infos):
        place, array = f"report.infos[{i}]", tensors.to_array(named.tensor, f"report.infos[{i}].tensor")
        if not named.name or named.name in infos or len(named.name) > 128:
            raise InvalidArgument(f'is "{named.name[:128]}", expected a name of its own', field=f"{place}.name")
        if array.ndim < 1 or len(array) != rows or array.size > MAX_INFO_ELEMENTS * rows:
            text = f"shape is {list(array.shape)}, expected [{rows}, ...] with at most {MAX_INFO_ELEMENTS} numbers a row"
            raise InvalidArgument(text, field=f"{place}.tensor.shape")
        infos[named.name] = np.array(array)
    return infos


def _failures(spec: EngineSpec, seen: Observed, finals: Arrays, ended: Array) -> dict[int, pb.EnvironmentFailure]:
    failures: dict[int, pb.EnvironmentFailure] = {}

    def fail(rows: Any, why: str, place: str) -> None:
        for row in rows:
            text = f"row {row}: {why}; {WHAT_NOW}"
            failures.setdefault(int(row), pb.EnvironmentFailure(row=int(row), message=text, field=place))

    for i, part in enumerate(spec.observations):
        name = part.tensor.name
        bad, expected = _unusable(part, seen.observations[name])
        fail(
            np.flatnonzero(bad), f'observation "{name}" is not usable, expected {expected}', f"report.observations[{i}].tensor"
        )
        if finals:
            bad, expected = _unusable(part, finals[name])
            why = f'the final observation "{name}" is not usable, expected {expected}'
            fail(ended[bad], why, f"report.final_observations[{i}].tensor")
    bad = np.flatnonzero(~np.isfinite(seen.rewards))
    fail(bad, "its reward is not a finite number", "report.rewards")
    if seen.masks is not None:
        start = 0
        for size in [size for part in spec.actions for size in branches_of(part.space)]:
            blocked = np.flatnonzero(~seen.masks[:, start : start + size].any(axis=1))
            fail(blocked, f"the action mask forbids all of choices {start} to {start + size - 1}", "report.action_mask")
            start += size
    return failures


def _unusable(part: Part, array: Array) -> tuple[npt.NDArray[np.bool_], str]:
    """Return which rows hold values that no trainer can use, and what was expected."""
    flat = array.reshape(len(array), -1)
    if isinstance(part.space, spaces.Box):
        if array.dtype.kind != "f":
            return np.zeros(len(array), bool), "whole numbers"
        with np.errstate(over="ignore"):  # networks compute in float32
            return ~np.isfinite(flat.astype(np.float32)).all(axis=1), "finite numbers, not NaN or infinity"
    if isinstance(part.space, spaces.MultiBinary):
        return ((flat < 0) | (flat > 1)).any(axis=1), "bits of 0 and 1"
    choices = np.array(branches_of(part.space))
    return ((flat < 0) | (flat >= choices)).any(axis=1), f"choices below {choices.tolist()[:8]}"
