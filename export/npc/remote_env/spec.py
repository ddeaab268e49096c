"""What an engine offers, checked: Gymnasium's spaces from the contract's messages, within limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.json_format import MessageToJson, Parse
from gymnasium import spaces

from bridge.errors import FailedPrecondition, InvalidArgument
from bridge.model_card import TensorSpec
from bridge.v1 import environment_service_pb2 as pb
from bridge.v1 import tensor_pb2
from export.npc.spaces import ACTION, OBSERVATION, branches_of, observation_spaces

Array = npt.NDArray[Any]
Space = spaces.Space[Any]
MAX_NAME, MAX_PARTS, MAX_AXES, MAX_NOTES = 128, 64, 8, 64
MAX_ROWS, MAX_CHOICES, MAX_ELEMENTS = 65_536, 65_536, 1 << 22
OVERHEAD_BYTES = 4096


@dataclass(frozen=True)
class Part:
    """One part of an observation or an action: its space, and how it travels."""

    name: str
    space: Space
    tensor: TensorSpec
    """Type and shape on the wire; the first axis is the rows."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row on the wire."""
        return prod(self.space.shape or ()) * np.dtype(self.tensor.dtype).itemsize


@dataclass(frozen=True)
class EngineSpec:
    """An offer that was checked. `rows` counts agents of all environments, `message` is the offer itself."""

    message: pb.EnvironmentSpec
    rows: int
    observations: tuple[Part, ...]
    actions: tuple[Part, ...]

    @property
    def observation_space(self) -> Space:
        """The space of one row's observation: that of the only part, or a Dict."""
        return joined_space(self.observations)

    @property
    def action_space(self) -> Space:
        """The space of one row's action: that of the only part, or a Dict."""
        return joined_space(self.actions)

    @property
    def mask_width(self) -> int:
        """Choices that a mask covers; 0 without masks."""
        return int(self.message.mask_width)

    def to_json(self) -> str:
        """The offer as JSON, for a checkpoint."""
        return MessageToJson(self.message, indent=None)


def spec_from_json(text: str, max_bytes: int) -> EngineSpec:
    """Return the spec that `to_json` wrote."""
    return read_spec(Parse(text, pb.EnvironmentSpec()), max_bytes)


def joined_space(parts: Sequence[Part]) -> Space:
    """Return the space of the only part without a name, or a Dict of all."""
    if len(parts) == 1 and not parts[0].name:
        return parts[0].space
    return spaces.Dict({part.name: part.space for part in parts})


def read_spec(message: pb.EnvironmentSpec, max_bytes: int, field: str = "spec") -> EngineSpec:
    """Return a checked offer; `InvalidArgument` under `field` for one that is none, or whose step has more than `max_bytes`."""
    _check_name(message.name, f"{field}.name")
    if not message.environments:
        raise InvalidArgument("is 0, expected at least 1", field=f"{field}.environments")
    rows = message.environments * max(message.agents, 1)
    if rows > MAX_ROWS:
        given = f"{message.environments} environments of {max(message.agents, 1)} agents"
        text = f"{given} are {rows} rows, expected at most {MAX_ROWS}"
        raise InvalidArgument(text, field=f"{field}.environments")
    if len(message.notes) > MAX_NOTES:
        raise InvalidArgument(f"there are {len(message.notes)}, expected at most {MAX_NOTES}", field=f"{field}.notes")
    observations = _parts(message.observations, OBSERVATION, f"{field}.observations")
    actions = _parts(message.actions, ACTION, f"{field}.actions")
    spec = EngineSpec(message, rows, observations, actions)
    try:
        observation_spaces(spec.observation_space)
    except ValueError as error:
        raise InvalidArgument(str(error), field=f"{field}.observations") from error
    _check_mask(spec, field)
    size = 2 * rows * (sum(part.row_bytes for part in (*observations, *actions)) + spec.mask_width) + OVERHEAD_BYTES
    if size > max_bytes:
        text = (
            f"a step of {rows} rows takes up to {size} bytes, a message at most {max_bytes}; offer less, or --max-message-mib"
        )
        raise InvalidArgument(text, field=field)
    return spec


def check_same(expected: EngineSpec, given: EngineSpec, *, same_rows: bool, field: str = "spec") -> None:
    """Raise `FailedPrecondition`, naming the first difference, where an engine offers something else than was begun with."""
    for name in ("observations", "actions"):
        before, now = getattr(expected.message, name), getattr(given.message, name)
        if len(before) != len(now):
            raise _other(f"{field}.{name}", f"{len(now)} parts", f"{len(before)}")
        for i, (old, new) in enumerate(zip(before, now, strict=True)):
            for part in old.DESCRIPTOR.fields:
                was, given_now = getattr(old, part.name), getattr(new, part.name)
                if was != given_now:
                    raise _other(f"{field}.{name}[{i}].{part.name}", _shown(given_now), _shown(was))
    if expected.mask_width != given.mask_width:
        raise _other(f"{field}.mask_width", str(given.mask_width), str(expected.mask_width))
    if same_rows and expected.rows != given.rows:
        raise _other(f"{field}.environments", f"{given.rows} rows", f"{expected.rows} rows")


def _other(field: str, given: str, expected: str) -> FailedPrecondition:
    text = f"is {given}, expected {expected}, which the training was begun with; offer the same, or begin another run"
    return FailedPrecondition(text, field=field)


def _shown(value: Any) -> str:
    text = str(list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _check_name(name: str, field: str) -> None:
    if len(name) > MAX_NAME:
        raise InvalidArgument(f"has {len(name)} characters, expected at most {MAX_NAME}", field=field)


def _parts(messages: Sequence[pb.SpaceSpec], only: str, field: str) -> tuple[Part, ...]:
    """Return checked parts; the tensors of one without a name are called `only`."""
    if not 1 <= len(messages) <= MAX_PARTS:
        raise InvalidArgument(f"there are {len(messages)}, expected 1 to {MAX_PARTS}", field=field)
    parts: list[Part] = []
    left = MAX_ELEMENTS  # of all parts together: bounds of an absurd offer are never made
    for i, message in enumerate(messages):
        place = f"{field}[{i}]"
        _check_name(message.name, f"{place}.name")
        if message.name in [part.name for part in parts] or (not message.name and len(messages) > 1):
            text = f'is "{message.name}", expected a name of its own for each of {len(messages)} parts'
            raise InvalidArgument(text, field=f"{place}.name")
        shape = tuple(message.shape)
        if len(shape) > MAX_AXES or any(size < 1 for size in shape) or prod(shape) > left:
            text = f"is {_shown(shape)}, expected at most {MAX_AXES} axes of at least 1, {MAX_ELEMENTS} elements in all parts"
            raise InvalidArgument(text, field=f"{place}.shape")
        left -= prod(shape)
        parts.append(_part(message, shape, message.name or only, place))
    return tuple(parts)


def _part(message: pb.SpaceSpec, shape: tuple[int, ...], tensor: str, field: str) -> Part:
    if message.kind == pb.SPACE_KIND_BOX:
        return _box(message, shape, tensor, field)
    if len(message.low) or len(message.high):
        raise InvalidArgument("only a Box has bounds, leave low and high empty", field=f"{field}.low")
    if message.kind == pb.SPACE_KIND_MULTI_BINARY:
        return _bits(message, shape, tensor, field)
    if message.kind in (pb.SPACE_KIND_DISCRETE, pb.SPACE_KIND_MULTI_DISCRETE):
        return _choices(message, shape, tensor, field)
    raise InvalidArgument(f"is {message.kind}, expected one of SpaceKind's values", field=f"{field}.kind")


def _box(message: pb.SpaceSpec, shape: tuple[int, ...], tensor: str, field: str) -> Part:
    if message.choices:
        raise InvalidArgument("a Box has no choices, leave them empty", field=f"{field}.choices")
    number = message.dtype or tensor_pb2.DATA_TYPE_FLOAT32
    if number not in tensor_pb2.DataType.values() or number == tensor_pb2.DATA_TYPE_BOOL:
        raise InvalidArgument(f"is {number}, expected a DataType of numbers", field=f"{field}.dtype")
    dtype = np.dtype(tensor_pb2.DataType.Name(number).removeprefix("DATA_TYPE_").lower())
    low = _bound(message.low, shape, -np.inf, dtype, f"{field}.low")
    high = _bound(message.high, shape, np.inf, dtype, f"{field}.high")
    if not (low <= high).all():
        raise InvalidArgument("a least value is above the largest", field=f"{field}.low")
    return Part(message.name, spaces.Box(low, high, shape, dtype.type), TensorSpec(tensor, dtype.name, ["rows", *shape]))


def _bound(values: Sequence[float], shape: tuple[int, ...], none: float, dtype: np.dtype[Any], field: str) -> Array:
    count = prod(shape)
    if len(values) not in (0, 1, count):
        raise InvalidArgument(f"has {len(values)} numbers, expected 0, 1 or {count}", field=field)
    bound = np.array(values or [none], np.float64)
    if np.isnan(bound).any():
        raise InvalidArgument("holds NaN, expected numbers or infinities", field=field)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        bound = np.where(np.isinf(bound), limits.min if none < 0 else limits.max, bound)
        if bound.min() < limits.min or bound.max() > limits.max or (bound != np.floor(bound)).any():
            raise InvalidArgument(f"goes beyond {dtype.name}, or is not whole", field=field)
    with np.errstate(over="ignore"):
        cast = bound.astype(dtype)
    return np.broadcast_to(cast.reshape(shape) if len(values) == count and count > 1 else cast[0], shape).copy()


def _bits(message: pb.SpaceSpec, shape: tuple[int, ...], tensor: str, field: str) -> Part:
    if len(shape) != 1 or shape[0] > MAX_CHOICES:
        raise InvalidArgument(f"is {_shown(shape)}, expected one axis of 1 to {MAX_CHOICES} bits", field=f"{field}.shape")
    if message.choices:
        raise InvalidArgument("bits have two choices each, leave them empty", field=f"{field}.choices")
    _check_dtype(message, tensor_pb2.DATA_TYPE_INT8, field)
    return Part(message.name, spaces.MultiBinary(shape[0]), TensorSpec(tensor, "int8", ["rows", *shape]))


def _choices(message: pb.SpaceSpec, shape: tuple[int, ...], tensor: str, field: str) -> Part:
    single = message.kind == pb.SPACE_KIND_DISCRETE
    expected = () if single else (len(message.choices),)
    if shape != expected and not (not single and not shape):
        raise InvalidArgument(f"is {_shown(shape)}, expected {list(expected)} for its choices", field=f"{field}.shape")
    if len(message.choices) < 1 or (single and len(message.choices) != 1):
        number = "1" if single else "at least 1"
        raise InvalidArgument(f"there are {len(message.choices)}, expected {number}", field=f"{field}.choices")
    if min(message.choices) < 1 or sum(message.choices) > MAX_CHOICES:
        text = f"are {_shown(message.choices)}, expected numbers of at least 1, at most {MAX_CHOICES} in all"
        raise InvalidArgument(text, field=f"{field}.choices")
    _check_dtype(message, tensor_pb2.DATA_TYPE_INT64, field)
    space: Space = spaces.Discrete(message.choices[0]) if single else spaces.MultiDiscrete(list(message.choices))
    return Part(message.name, space, TensorSpec(tensor, "int64", ["rows", *expected]))


def _check_dtype(message: pb.SpaceSpec, expected: int, field: str) -> None:
    if message.dtype not in (0, expected):
        name = tensor_pb2.DataType.Name(expected)
        raise InvalidArgument(f"is {message.dtype}, expected {name} or nothing", field=f"{field}.dtype")


def _check_mask(spec: EngineSpec, field: str) -> None:
    if not spec.mask_width:
        return
    try:
        expected = sum(sum(branches_of(part.space)) for part in spec.actions)
    except ValueError as error:
        raise InvalidArgument(f"a mask needs discrete actions: {error}", field=f"{field}.mask_width") from error
    if spec.mask_width != expected:
        text = f"is {spec.mask_width}, expected {expected}, the choices of all discrete actions"
        raise InvalidArgument(text, field=f"{field}.mask_width")
