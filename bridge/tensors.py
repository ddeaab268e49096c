"""The one door between payload bytes and arrays (mirror: `Runtime/Internal/Tensors.cs`).

Arrays are read without a copy: they are read-only views of the message's bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.errors import InvalidArgument
from bridge.model_card import TensorSpec
from bridge.v1 import tensor_pb2

Array = npt.NDArray[Any]

_DTYPES: dict[int, np.dtype[Any]] = {
    number: np.dtype(name.removeprefix("DATA_TYPE_").lower()).newbyteorder("<")
    for name, number in tensor_pb2.DataType.items()
    if number
}
_NUMBERS: dict[np.dtype[Any], Any] = {dtype: number for number, dtype in _DTYPES.items()}
_NAMES = {number: dtype.name for number, dtype in _DTYPES.items()}
_BOOL = np.dtype(bool)
MAX_AXES = 32


def to_array(tensor: tensor_pb2.Tensor, field: str) -> Array:
    """Return the tensor as a read-only array; `InvalidArgument` under `field` when type, shape and bytes disagree."""
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        raise InvalidArgument(f"dtype is {tensor.dtype}, expected one of DataType's values", field=f"{field}.dtype")
    shape, data = tuple(tensor.shape), tensor.data  # asked for once: protobuf copies the bytes each time
    if len(shape) > MAX_AXES:  # before anything is multiplied: a million axes have a product of a million digits
        raise InvalidArgument(f"shape has {len(shape)} axes, expected at most {MAX_AXES}", field=f"{field}.shape")
    if shape and min(shape) < 0:
        raise InvalidArgument(f"shape is {list(shape)}, expected sizes of at least 0", field=f"{field}.shape")
    expected = prod(shape) * dtype.itemsize
    if len(data) != expected:
        message = f"{len(data)} bytes for shape {list(shape)} of {dtype.name}, expected {expected}"
        raise InvalidArgument(message, field=f"{field}.data")
    if dtype == _BOOL and expected and np.frombuffer(data, np.uint8).max() > 1:
        raise InvalidArgument("a bool is a byte other than 0 and 1", field=f"{field}.data")
    try:
        return np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:  # sizes beyond every address, beside a size of 0
        raise InvalidArgument(f"shape {list(shape)} is no array's: {error}", field=f"{field}.shape") from error


def data_type(name: str) -> tensor_pb2.DataType:
    """Return the number of a type that a card names, `float32`; `KeyError` for one that has none."""
    number: tensor_pb2.DataType = _NUMBERS[np.dtype(name).newbyteorder("<")]
    return number


def from_array(array: Array) -> tensor_pb2.Tensor:
    """Return a tensor message with the array's elements; `TypeError` for a type that has no DataType."""
    number = _NUMBERS.get(array.dtype)
    if number is None:
        dtype = array.dtype.newbyteorder("<")
        number = _NUMBERS.get(dtype)
        if number is None:
            raise TypeError(f"dtype is {array.dtype}, expected one of {[d.name for d in _NUMBERS]}")
        array = array.astype(dtype)
    return tensor_pb2.Tensor(dtype=number, shape=array.shape, data=array.tobytes())


def from_arrays(arrays: Mapping[str, Array]) -> list[tensor_pb2.NamedTensor]:
    """Return one named tensor an array, in the order of the mapping."""
    return [tensor_pb2.NamedTensor(name=name, tensor=from_array(array)) for name, array in arrays.items()]


def write_arrays(named: Any, arrays: Mapping[str, Array]) -> None:
    """Append to a message's field of named tensors one an array, in the order of the mapping; `TypeError` as `from_array`."""
    for name, array in arrays.items():
        named.add(name=name, tensor=from_array(array))


def is_finite(array: Array) -> bool:
    """Return whether floats hold neither NaN nor an infinity; for few numbers quicker than `np.isfinite(array).all()`."""
    return int(np.count_nonzero(np.isfinite(array))) == array.size


def match(tensor: tensor_pb2.Tensor, spec: TensorSpec, rows: int, field: str) -> Array:
    """Return the tensor as an array [rows, ...] of the type and shape that `spec` gives."""
    expected = (rows, *spec.shape[1:])
    if not tensor.ByteSize():
        raise InvalidArgument(f"the tensor is not set, expected {spec.dtype} {list(expected)}", field=f"{field}.dtype")
    array = to_array(tensor, field)
    if _NAMES[tensor.dtype] != spec.dtype:
        raise InvalidArgument(f"dtype is {array.dtype.name}, expected {spec.dtype}", field=f"{field}.dtype")
    if array.shape != expected and not _fits(array.shape, expected):
        raise InvalidArgument(f"shape is {list(array.shape)}, expected {list(expected)}", field=f"{field}.shape")
    return array


def _fits(shape: tuple[int, ...], expected: tuple[int | str, ...]) -> bool:
    """Return whether a shape is the expected one, where a name stands for any size."""
    if len(shape) != len(expected):
        return False
    return all(isinstance(want, str) or have == want for have, want in zip(shape, expected, strict=True))


def match_named(
    tensors: Iterable[tensor_pb2.NamedTensor], specs: Sequence[TensorSpec], rows: int, field: str
) -> dict[str, Array]:
    """Return arrays by name: exactly the tensors that `specs` name, each of its type and shape."""
    by_name = {spec.name: spec for spec in specs}
    arrays: dict[str, Array] = {}
    for i, named in enumerate(tensors):
        spec, path = by_name.get(named.name), f"{field}[{i}]"
        if spec is None or named.name in arrays:
            problem = "twice" if spec else "unknown"
            raise InvalidArgument(f'"{named.name}" is {problem}, expected {list(by_name)}', field=f"{path}.name")
        arrays[named.name] = match(named.tensor, spec, rows, f"{path}.tensor")
    missing = [name for name in by_name if name not in arrays]
    if missing:
        raise InvalidArgument(f"{missing} missing, expected {list(by_name)}", field=field)
    return arrays


_KSERVE = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
_KSERVE_NUMBERS = {kserve: _NUMBERS[np.dtype(name).newbyteorder("<")] for name, kserve in _KSERVE.items()}
_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def kserve_datatype(dtype: str) -> str:
    """Return the Open Inference Protocol's name of a type."""
    return _KSERVE[dtype]


def from_kserve(given: Any, raw: bytes | None, field: str) -> tensor_pb2.Tensor:
    """Return a tensor of the Open Inference Protocol as one of ours, from its raw bytes or, if they are `None`, its contents.

    Raises `InvalidArgument` for a datatype that no graph has and for numbers that it cannot hold.
    """
    number = _KSERVE_NUMBERS.get(given.datatype)
    if number is None:
        message = f'is "{given.datatype}", expected one of {list(_KSERVE_NUMBERS)}'
        raise InvalidArgument(message, field=f"{field}.datatype")
    if raw is None:
        name = _CONTENTS.get(given.datatype)
        if name is None:
            raise InvalidArgument(f"{given.datatype} travels in raw_input_contents alone", field=f"{field}.contents")
        values, dtype = np.array(getattr(given.contents, name)), _DTYPES[number]
        if dtype.kind in "iu" and values.size and not _holds(dtype, values):
            message = f"{name} go from {values.min()} to {values.max()}, out of bounds for {given.datatype}"
            raise InvalidArgument(message, field=f"{field}.contents")
        raw = values.astype(dtype).tobytes()
    return tensor_pb2.Tensor(dtype=number, shape=given.shape, data=raw)


def _holds(dtype: np.dtype[Any], values: Array) -> bool:
    """Return whether an integer type has all the values."""
    bounds = np.iinfo(dtype)
    return bool(bounds.min <= int(values.min()) and int(values.max()) <= bounds.max)
