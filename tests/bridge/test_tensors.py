"""Tensors: bytes and arrays are the same thing in two forms, and every disagreement is named by its field."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge import tensors
from bridge.errors import InvalidArgument
from bridge.model_card import DTYPES, TensorSpec
from bridge.v1 import tensor_pb2

ARRAYS = st.one_of(
    [hnp.arrays(np.dtype(name), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)) for name in DTYPES]
)
SPEC = TensorSpec(name="position", dtype="float32", shape=["batch", 3])


def tensor(shape, data=b"", dtype=tensor_pb2.DATA_TYPE_FLOAT32):
    return tensor_pb2.Tensor(dtype=dtype, shape=shape, data=data)


def refused(message, *arguments):
    with pytest.raises(InvalidArgument, match=message) as caught:
        tensors.match(*arguments)
    return caught.value.field


@given(ARRAYS)
def test_every_array_comes_back_as_it_went(array):
    back = tensors.to_array(tensors.from_array(array), "x")
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@given(ARRAYS)
def test_big_endian_and_strided_arrays_travel_little_endian_and_row_major(array):
    foreign = array.astype(array.dtype.newbyteorder(">"), order="F")
    message = tensors.from_array(foreign)
    assert message.data == array.astype(array.dtype.newbyteorder("<")).tobytes()
    assert list(message.shape) == list(array.shape)


def test_every_type_of_the_contract_has_a_type_in_the_card_and_the_other_way_round():
    names = {name.removeprefix("DATA_TYPE_").lower() for name, number in tensor_pb2.DataType.items() if number}
    assert names == set(DTYPES)


def test_bytes_are_little_endian():
    assert tensors.to_array(tensor([2], b"\x00\x00\x80\x3f\x00\x00\x00\x40"), "x").tolist() == [1.0, 2.0]


def test_an_array_without_a_type_in_the_contract_is_refused():
    with pytest.raises(TypeError, match="complex128"):
        tensors.from_array(np.zeros(1, np.complex128))


def test_a_read_array_cannot_be_written():
    assert not tensors.to_array(tensor([1], b"\0" * 4), "x").flags.writeable


@pytest.mark.parametrize("dtype", [0, 11, -1, 2**31 - 1])
def test_an_unknown_type_is_refused(dtype):
    assert refused("dtype is", tensor([1, 3], b"\0" * 12, dtype), SPEC, 1, "x") == "x.dtype"


@pytest.mark.parametrize("shape", [[-1, 3], [1, -3], [-1, -3]])
def test_a_negative_size_is_refused(shape):
    assert refused("expected sizes of at least 0", tensor(shape, b"\0" * 12), SPEC, 1, "x") == "x.shape"


@pytest.mark.parametrize("count", [0, 11, 13, 24])
def test_another_number_of_bytes_than_the_shape_says_is_refused(count):
    assert refused(f"{count} bytes for shape .* expected 12", tensor([1, 3], b"\0" * count), SPEC, 1, "x") == "x.data"


@pytest.mark.parametrize("shape", [[1] * 33, [2**62] * 400_000])
def test_a_shape_of_many_axes_is_refused_before_it_is_multiplied(shape):
    assert refused("axes, expected at most 32", tensor(shape, b"\0" * 4), SPEC, 1, "x") == "x.shape"


def test_a_shape_beyond_every_address_is_refused_though_it_holds_no_byte():
    assert refused("is no array's", tensor([0, 2**62, 2**62]), SPEC, 1, "x") == "x.shape"


def test_a_shape_whose_product_overflows_64_bits_is_refused():
    assert refused("bytes for shape", tensor([2**32, 2**32]), SPEC, 1, "x") == "x.data"


@example(b"\x00\x02\x01")
@example(b"\x01\x00\x01")
@given(st.binary(min_size=3, max_size=3))
def test_a_bool_is_0_or_1(data):
    message = tensor([1, 3], data, tensor_pb2.DATA_TYPE_BOOL)
    if set(data) <= {0, 1}:
        assert tensors.to_array(message, "x").tolist() == [[byte == 1 for byte in data]]
    else:
        with pytest.raises(InvalidArgument, match="other than 0 and 1"):
            tensors.to_array(message, "x")


@pytest.mark.parametrize("array", [np.zeros((2, 3)), np.zeros((2, 3), np.int32), np.zeros((2, 3), bool)])
def test_another_type_than_the_cards_is_refused(array):
    assert refused("expected float32", tensors.from_array(array), SPEC, 2, "x") == "x.dtype"


@pytest.mark.parametrize("shape", [(), (2,), (3,), (2, 4), (3, 3), (2, 3, 1), (1, 2, 3)])
def test_another_shape_than_the_cards_is_refused(shape):
    message = tensors.from_array(np.zeros(shape, np.float32))
    assert refused(r"expected \[2, 3\]", message, SPEC, 2, "x") == "x.shape"


def test_a_dynamic_axis_takes_any_size():
    spec = TensorSpec(name="words", dtype="float32", shape=["batch", "time", 2])
    assert tensors.match(tensors.from_array(np.zeros((1, 5, 2), np.float32)), spec, 1, "x").shape == (1, 5, 2)


@pytest.mark.parametrize(
    ("names", "field", "message"),
    [
        (["a", "c"], "x[1].name", '"c" is unknown'),
        (["a", "a"], "x[1].name", '"a" is twice'),
        (["b"], "x", r"\['a'\] missing"),
        ([], "x", r"\['a', 'b'\] missing"),
        (["a", "b", ""], "x[2].name", '"" is unknown'),
    ],
)
def test_named_tensors_are_exactly_those_of_the_card(names, field, message):
    specs = [TensorSpec(name=name, dtype="float32", shape=["batch"]) for name in ("a", "b")]
    named = [tensor_pb2.NamedTensor(name=name, tensor=tensor([1], b"\0" * 4)) for name in names]
    with pytest.raises(InvalidArgument, match=message) as caught:
        tensors.match_named(named, specs, 1, "x")
    assert caught.value.field == field


def test_named_tensors_may_come_in_any_order():
    specs = [TensorSpec(name=name, dtype="float32", shape=["batch"]) for name in ("a", "b")]
    named = tensors.from_arrays({"b": np.ones(1, np.float32), "a": np.zeros(1, np.float32)})
    arrays = tensors.match_named(named, specs, 1, "x")
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [0.0], "b": [1.0]}
