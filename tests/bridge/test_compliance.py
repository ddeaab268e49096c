"""The rules of every family's calls, stated once; adding a call means adding one entry to `family_cases.CASES`.

Each rule holds over gRPC, gRPC-Web and Connect alike: bad input gets its own error with the path of the field, the sidecar
goes on, and nothing else is disturbed.
"""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_sidecar
from family_cases import CASES, Case, at, same, write_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire import PROTOCOLS, open_wire

from bridge import tensors
from bridge.services import FAMILIES, family_modules
from bridge.v1 import tensor_pb2
from bridge.v1.model_service_pb2 import ModelSelector

MILLION = 1_000_000
WITH_TENSORS = [name for name, case in CASES.items() if case.tensors or case.single]
WITH_ROWS = [name for name, case in CASES.items() if case.rows]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with good and damaged bundles of every family."""
    folder = tmp_path_factory.mktemp("families")
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def live(models: Path):
    """A sidecar as it comes."""
    with run_sidecar(models) as sidecar:
        yield sidecar


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """What the rules need to know of each call."""
    return CASES[request.param]


@pytest.fixture
def family(case: Case) -> str:
    """The family of the call."""
    return case.family


@pytest.fixture(scope="module", params=PROTOCOLS)
def wire(request: pytest.FixtureRequest, live):
    """Each protocol to the sidecar."""
    with open_wire(request.param, live.address, live.web) as opened:
        yield opened


@pytest.fixture
def refused(case: Case, wire):
    """Send a request that must be refused; then a good one, whose answer must be what it always was."""
    good = case.request(2, 5).SerializeToString()
    before = case.call(wire, good).message

    def send(request: Any, code: str, *fields: str, text: str = "") -> None:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        answer = case.call(wire, data)
        assert answer.code == code, answer.text
        assert answer.reasons == [code]
        assert len(answer.fields) == len(fields), answer.text
        for field, expected in zip(answer.fields, fields, strict=True):
            assert field in expected_fields(expected)
            assert answer.text.startswith(f"{field}: ")
        assert re.search(text, answer.text), answer.text
        assert case.call(wire, good).message == before

    return send


def expected_fields(path: str) -> list[str]:
    """Return the paths that "a.b|c" stands for: a.b and a.c."""
    head, _, last = path.rpartition(".")
    return [f"{head}.{name}" if head else name for name in last.split("|")]


def test_every_family_has_an_entry() -> None:
    assert {case.family for case in CASES.values()} == set(FAMILIES)


def test_every_call_of_a_family_has_an_entry() -> None:
    methods = {f"{m.DESCRIPTOR.full_name}/{name}" for m in family_modules().values() for name in m.DESCRIPTOR.methods_by_name}
    apart = {f"bridge.v1.NpcService/{name}" for name in ("EndSession", "HoldSession", "DescribePolicy")}  # they run nothing
    assert {case.method for case in CASES.values()} == methods - apart


def test_an_answer_names_the_model_its_version_and_the_provider(family, case, wire) -> None:
    answer = case.read(case.call(wire, case.request(2, 5)).message)
    served = at(answer, case.selector)
    assert (served.name, served.version, served.provider) == (family, 2, "CPUExecutionProvider")


def test_a_version_is_served_as_it_is_named(case, wire) -> None:
    answers = []
    for version in (0, 1, 2):
        request = case.request(2, 5)
        at(request, case.selector).version = version
        answers.append(case.read(case.call(wire, request).message))
    assert [at(answer, case.selector).version for answer in answers] == [2, 1, 2]
    assert answers[0] == answers[2]
    assert not np.array_equal(case.numbers(answers[0]), case.numbers(answers[1]))


@pytest.mark.parametrize(
    ("name", "version", "code", "field", "text"),
    [
        ("nobody", 0, "NOT_FOUND", ".name", r'there is no model "nobody", there are \[.*\'{family}\'.*\]'),
        ("{family}", 9, "NOT_FOUND", ".version", r'"{family}" has versions \[1, 2\], not 9'),
        ("{family}", 2**32 - 1, "NOT_FOUND", ".version", "not 4294967295"),
        ("", 0, "INVALID_ARGUMENT", ".name", "is empty"),
        ("{other}", 0, "INVALID_ARGUMENT", ".name", '"{other}" is of family {other}, expected {family}'),
        ("{family}-broken", 0, "FAILED_PRECONDITION", "", "is refused: .*sha256 is"),
        ("{family}-broken", 1, "FAILED_PRECONDITION", "", "is refused: .*export it again"),
        ("{family}-broken", 2, "NOT_FOUND", ".version", "not 2"),
        ("x" * 100_000, 0, "NOT_FOUND", ".name", "there is no model"),
        ("ünïcødé\n\0%0A", 0, "NOT_FOUND", ".name", "ünïcødé"),
    ],
)
def test_a_model_that_cannot_serve_is_an_error_of_its_own(family, case, refused, name, version, code, field, text) -> None:
    names = {"family": family, "other": FAMILIES[FAMILIES.index(family) - 1]}
    request = case.request(2, 5)
    at(request, case.selector).CopyFrom(ModelSelector(name=name.format(**names), version=version))
    for key, value in names.items():
        text = text.replace("{" + key + "}", value)
    refused(request, code, case.selector + field, text=text)


def test_a_request_without_a_model_is_refused(case, refused) -> None:
    request = case.request(2, 5)
    at(request, case.selector).Clear()
    refused(request, "INVALID_ARGUMENT", f"{case.selector}.name")


FLAWS = {
    "no type": (lambda t: t.ClearField("dtype"), "dtype"),
    "unknown type": (lambda t: setattr(t, "dtype", 77), "dtype"),
    "negative type": (lambda t: setattr(t, "dtype", -1), "dtype"),
    "other type": (lambda t: retype(t, np.float64), "dtype"),
    "negative size": (lambda t: t.shape.__setitem__(1, -t.shape[1]), "shape"),
    "axis too many": (lambda t: t.shape.append(1), "shape"),
    "axis missing": (lambda t: reshape(t, [t.shape[0] * t.shape[1], *t.shape[2:]]), "shape"),
    "turned": (lambda t: reshape(t, turned(list(t.shape))), "shape"),
    "thousand axes": (lambda t: t.shape.extend([1] * 1000), "shape"),
    "byte missing": (lambda t: setattr(t, "data", t.data[:-1]), "data"),
    "byte too many": (lambda t: setattr(t, "data", t.data + b"\0"), "data"),
    "no bytes": (lambda t: t.ClearField("data"), "data"),
    "huge size": (lambda t: t.shape.__setitem__(1, 2**62), "data|shape"),
}


def retype(tensor: Any, dtype: type) -> None:
    tensor.CopyFrom(tensors.from_array(tensors.to_array(tensor, "").astype(dtype)))


def reshape(tensor: Any, shape: Any) -> None:
    tensor.shape[:] = list(shape)


def turned(shape: list[int]) -> list[int]:
    """Return the axes in reverse, or all elements in one row where that changes nothing."""
    return shape[::-1] if shape[::-1] != shape else [1, math.prod(shape)]


@pytest.mark.parametrize("case", WITH_TENSORS, indirect=True)
@pytest.mark.parametrize("flaw", FLAWS)
def test_a_malformed_tensor_is_refused_by_the_path_of_what_is_wrong(case, refused, flaw) -> None:
    spoil, part = FLAWS[flaw]
    for path in (*case.tensors, *case.single):
        request = case.request(2, 5)
        spoil(at(request, path))
        refused(request, "INVALID_ARGUMENT", f"{path}.{part}")


@pytest.mark.parametrize("case", WITH_TENSORS, indirect=True)
def test_a_tensor_with_a_row_too_many_is_refused(case, refused) -> None:
    for path in case.tensors:
        request = case.request(2, 5)
        at(request, path).CopyFrom(at(case.request(3, 5), path))
        refused(request, "INVALID_ARGUMENT", case.counted_by.get(path, f"{path}.shape"))


@pytest.mark.parametrize("case", WITH_TENSORS, indirect=True)
def test_a_bool_other_than_0_and_1_is_refused(case, refused) -> None:
    for path in (*case.tensors, *case.single):
        request = case.request(2, 5)
        tensor = at(request, path)
        if tensor.dtype == tensor_pb2.DATA_TYPE_BOOL:
            tensor.data = b"\x02" + tensor.data[1:]
            refused(request, "INVALID_ARGUMENT", f"{path}.data", text="other than 0 and 1")


@pytest.mark.parametrize("case", WITH_TENSORS, indirect=True)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45])
def test_numbers_at_the_edge_fail_the_call_or_a_row_but_never_come_back_as_nan(case, wire, value) -> None:
    good = case.request(2, 5).SerializeToString()
    before = case.call(wire, good).message
    for path in (*case.tensors, *case.single):
        request = case.request(2, 5)
        tensor = at(request, path)
        if tensor.dtype == tensor_pb2.DATA_TYPE_FLOAT32:
            values = tensors.to_array(tensor, path).copy()
            values[0] = value
            tensor.CopyFrom(tensors.from_array(values))
            answer = case.call(wire, request)
            assert answer.code in ("OK", "INVALID_ARGUMENT")
            if answer.code == "OK":
                assert np.isfinite(case.numbers(case.read(answer.message))).all()
    assert case.call(wire, good).message == before


@pytest.mark.parametrize("case", WITH_ROWS, indirect=True)
def test_no_rows_are_refused(case, refused) -> None:
    request = case.request(0, 5)
    answer_field = case.rows if case.rows != "groups" else "groups[0].agent_ids"
    refused(request, "INVALID_ARGUMENT", answer_field, text="expected")


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63, 2**64 - 1])
def test_a_seed_at_the_limits_is_a_seed(case, wire, seed) -> None:
    first, second = (case.call(wire, case.request(2, seed)).message for _ in range(2))
    assert first == second
    assert np.isfinite(case.numbers(case.read(first))).all()


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\x0a", b"\x0a\xff", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0a\x02\xc3\x28" * 3, b"\0" * 64],
)
def test_bytes_that_do_not_parse_are_refused(refused, data) -> None:
    refused(data, "INVALID_ARGUMENT", text=f"{len(data)} bytes are not a bridge.v1")


def test_an_empty_request_is_refused(refused, case) -> None:
    refused(b"", "INVALID_ARGUMENT", "model.name" if case.selector == "model" else "groups")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_random_bytes_are_answered_and_change_nothing(case, wire, data) -> None:
    good = case.request(2, 5).SerializeToString()
    before = case.call(wire, good).message
    assert case.call(wire, data).code not in ("UNKNOWN", "INTERNAL")
    assert case.call(wire, good).message == before


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), kept=st.floats(0.3, 2))
def test_a_good_request_with_wrong_bytes_is_answered_and_changes_nothing(case, wire, edits, kept) -> None:
    good = case.request(2, 5).SerializeToString()
    before = case.call(wire, good).message
    spoilt = bytearray(good)
    for place, byte in edits:
        spoilt[int(place * (len(spoilt) - 1))] = byte
    answer = case.call(wire, bytes(spoilt[: int(kept * len(spoilt))]))
    assert answer.code not in ("UNKNOWN", "INTERNAL"), answer.text
    assert case.call(wire, good).message == before


def test_calls_at_the_same_time_do_not_disturb_each_other(case, wire) -> None:
    requests = [case.request(1 + seed % 3, seed).SerializeToString() for seed in range(24)]
    alone = [case.call(wire, data).message for data in requests]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: case.call(wire, data).message, requests * 2))
    for expected, answer in zip(alone * 2, together, strict=True):
        same(case, expected, answer)


@pytest.mark.parametrize("case", WITH_ROWS, indirect=True)
def test_a_million_rows_are_refused_with_the_default_limits(case, live) -> None:
    data = case.request(MILLION, 5).SerializeToString()
    with open_wire("grpc", live.address, live.web) as wire:
        assert case.call(wire, data).code == "RESOURCE_EXHAUSTED"
        assert case.call(wire, case.request(2, 5)).code == "OK"


@pytest.fixture(scope="module")
def roomy(models: Path):
    """A sidecar that takes messages large enough for a million rows."""
    with run_sidecar(models, "--limits.max-message-bytes", str(64 << 20)) as sidecar:
        yield sidecar


@pytest.mark.parametrize("case", WITH_ROWS, indirect=True)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_million_rows_are_refused_by_their_number_where_the_message_fits(case, roomy, protocol) -> None:
    with open_wire(protocol, roomy.address, roomy.web) as wire:
        answer = case.call(wire, case.request(MILLION, 5))
        assert (answer.code, answer.fields) == ("RESOURCE_EXHAUSTED", [case.rows])
        assert "1000000" in answer.text
        assert case.call(wire, case.request(2, 5)).code == "OK"
