"""The npc family's section of a model card, and what a card with it must have for a graph."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.model_card import ModelCard

MASK, NOISE, LOG_PROBABILITY = "action_mask", "noise", "log_probability"
RESERVED = (MASK, NOISE, LOG_PROBABILITY)
IMAGE_AXES = 3
Array = npt.NDArray[Any]
TensorType = tuple[str, list[int | str]]


def bounds(values: list[float | None], none: float) -> Array:
    """Return bounds as an array that broadcasts over the elements they are for, with `none` where there is no bound."""
    return np.array([none if value is None else value for value in values] or [none])


class ObservationSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One observation of an agent: its shape without the batch, and what each element means.

    `low` and `high` hold a number for each element (row-major), or one for all; null is no bound, and an empty list says that
    nothing is known. `layout` orders the axes of a picture, and is empty for anything else.
    """

    name: str
    shape: list[int]
    low: list[float | None] = []
    high: list[float | None] = []
    elements: list[str] = []
    units: str = ""
    layout: Literal["", "HWC", "CHW"] = ""

    def check(self) -> None:
        """Raise `ValueError` where ranges, names or layout do not fit the shape."""
        if any(size < 1 for size in self.shape):
            raise ValueError(f'observation "{self.name}" has shape {self.shape}, expected sizes of at least 1')
        count = prod(self.shape)
        for what, length in (("low", len(self.low)), ("high", len(self.high))):
            if length not in (0, 1, count):
                raise ValueError(f'observation "{self.name}" has {length} numbers in {what}, expected 0, 1 or {count}')
        if len(self.elements) not in (0, count):
            raise ValueError(f'observation "{self.name}" has {len(self.elements)} names of elements, expected 0 or {count}')
        if self.layout and len(self.shape) != IMAGE_AXES:
            raise ValueError(f'observation "{self.name}" is laid out {self.layout}, but has shape {self.shape}')


class ActionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One action of an agent: `size` numbers in engine units, or for discrete ones an index into each branch.

    `low` and `high` hold a number for each element of a continuous action, null where there is no bound. `neutral` is what an
    agent does when nothing can be chosen for it, a number for each element or a choice for each branch; empty for the default.
    """

    name: str
    kind: Literal["continuous", "discrete"]
    size: int
    low: list[float | None] = []
    high: list[float | None] = []
    branches: list[int] = []
    elements: list[str] = []
    units: str = ""
    neutral: list[float] = []

    @property
    def dtype(self) -> str:
        """Return the type of the numbers."""
        return "int64" if self.kind == "discrete" else "float32"

    @property
    def at_rest(self) -> Array:
        """Return the neutral action [size]: the card's, else 0 clipped to the range, or the first choice of each branch."""
        if self.neutral or self.kind == "discrete":
            return np.array(self.neutral or [0] * self.size, self.dtype)
        zeros = np.zeros(self.size)
        return np.clip(zeros, bounds(self.low, -np.inf), bounds(self.high, np.inf)).astype(self.dtype)

    def check(self) -> None:
        """Raise `ValueError` where ranges, branches or names do not fit the size."""
        lengths = [len(self.branches)] if self.kind == "discrete" else [len(self.low), len(self.high)]
        if any(length != self.size for length in lengths):
            raise ValueError(f'action "{self.name}" of size {self.size} has ranges of lengths {lengths}')
        if any(branch < 1 for branch in self.branches) or (self.kind == "continuous" and self.branches):
            raise ValueError(f'action "{self.name}" has branches {self.branches}, expected sizes of at least 1 if discrete')
        if len(self.elements) not in (0, self.size):
            raise ValueError(f'action "{self.name}" has {len(self.elements)} names of elements, expected 0 or {self.size}')
        self._check_neutral()

    def _check_neutral(self) -> None:
        if not self.neutral:
            return
        if len(self.neutral) != self.size:
            raise ValueError(f'action "{self.name}" has {len(self.neutral)} numbers in neutral, expected 0 or {self.size}')
        values = np.array(self.neutral)
        if self.kind == "discrete":
            fits = (values >= 0) & (values < np.array(self.branches)) & (values == np.floor(values))
        else:
            fits = (values >= bounds(self.low, -np.inf)) & (values <= bounds(self.high, np.inf))
        if not fits.all():
            wanted = f"a choice of each of {self.branches}" if self.kind == "discrete" else "numbers within low and high"
            raise ValueError(f'action "{self.name}" is neutral at {self.neutral}, expected {wanted}')


class NoiseSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of columns of the `noise` input and the distribution that seeded sampling draws them from.

    Zeros in all columns give the deterministic action, whatever the kind.
    """

    kind: Literal["normal", "gumbel", "uniform"]
    size: int


class StateSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recurrent state: the float32 input `name` takes what the output `output` gave an agent a tick before.

    An episode starts with `initial` in every element.
    """

    name: str
    output: str
    shape: list[int]
    initial: float = 0.0


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The npc section of a card: observations and actions with names, order, ranges and units; mask; noise; state; tick.

    `mask_size` is the width of the input `action_mask`, 0 for none. `log_probability` says whether the graph has that output.
    `tick_seconds` is the time from decision to decision in training, 0 when nothing is known.
    """

    observations: list[ObservationSpec]
    actions: list[ActionSpec]
    noise: list[NoiseSpec] = []
    mask_size: int = 0
    tick_seconds: float = 0.0
    states: list[StateSpec] = []
    log_probability: bool = False

    @property
    def noise_size(self) -> int:
        """Return the width of the graph's `noise` input."""
        return sum(part.size for part in self.noise)

    def check(self, card: ModelCard) -> None:
        """Raise `ValueError` where this section contradicts itself or the card's graph."""
        graph = card.graph("policy")
        for observation in self.observations:
            observation.check()
        for action in self.actions:
            action.check()
        if not self.observations or not self.actions:
            raise ValueError("no observation or no action, expected at least one of each")
        taken = [name for name in self._names() if name in RESERVED]
        if taken or len(set(self._names())) != len(self._names()):
            raise ValueError(f"names are {self._names()}, expected different ones, none of {list(RESERVED)}")
        dtypes = {spec.name: spec.dtype for spec in graph.inputs}
        inputs: dict[str, TensorType] = {spec.name: (spec.dtype, spec.shape) for spec in graph.inputs}
        if inputs != (expected := self._inputs(dtypes)):
            raise ValueError(f"graph inputs are {inputs}, expected {expected}")
        outputs: dict[str, TensorType] = {spec.name: (spec.dtype, spec.shape) for spec in graph.outputs}
        if outputs != (expected := self._outputs()):
            raise ValueError(f"graph outputs are {outputs}, expected {expected}")
        branches = sum(sum(action.branches) for action in self.actions)
        if self.mask_size not in (0, branches):
            raise ValueError(f"mask_size is {self.mask_size}, expected 0 or {branches}, the sum of all branches")

    def _names(self) -> list[str]:
        states = [name for state in self.states for name in (state.name, state.output)]
        return [*(spec.name for spec in self.observations), *(spec.name for spec in self.actions), *states]

    def _inputs(self, dtypes: dict[str, str]) -> dict[str, TensorType]:
        """Return the inputs that the graph must have; observations are of any type."""
        inputs: dict[str, TensorType] = {
            spec.name: (dtypes.get(spec.name, "float32"), ["batch", *spec.shape]) for spec in self.observations
        }
        inputs |= {state.name: ("float32", ["batch", *state.shape]) for state in self.states}
        if self.noise_size:
            inputs[NOISE] = ("float32", ["batch", self.noise_size])
        if self.mask_size:
            inputs[MASK] = ("bool", ["batch", self.mask_size])
        return inputs

    def _outputs(self) -> dict[str, TensorType]:
        outputs: dict[str, TensorType] = {spec.name: (spec.dtype, ["batch", spec.size]) for spec in self.actions}
        outputs |= {state.output: ("float32", ["batch", *state.shape]) for state in self.states}
        if self.log_probability:
            outputs[LOG_PROBABILITY] = ("float32", ["batch"])
        return outputs
