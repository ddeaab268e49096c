"""Errors: every exception becomes one status with details, and nothing of the inside gets out."""

from __future__ import annotations

import logging

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from hypothesis import given
from hypothesis import strategies as st

from bridge import errors

KINDS = (
    errors.InvalidArgument,
    errors.NotFound,
    errors.FailedPrecondition,
    errors.ResourceExhausted,
    errors.Unavailable,
    errors.DeadlineExceeded,
    errors.Unauthenticated,
    errors.Unimplemented,
)


def unpacked(status, kind):
    found = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_its_code_reason_and_method(kind):
    code, status = errors.to_status(kind("is wrong"), "bridge.v1.NpcService.ChooseActions")
    assert code is kind.code
    assert status.code == code.value[0]
    assert status.message == "is wrong"
    (info,) = unpacked(status, ErrorInfo)
    assert (info.reason, info.domain) == (code.name, "metabridge")
    assert dict(info.metadata) == {"method": "bridge.v1.NpcService.ChooseActions"}
    assert not unpacked(status, BadRequest)
    assert not unpacked(status, RetryInfo)


def test_every_kind_of_the_docstring_is_here():
    assert {kind.__name__ for kind in errors.ServiceError.__subclasses__()} == {kind.__name__ for kind in KINDS}
    assert all(f"+-- {kind.__name__} " in errors.__doc__ for kind in KINDS)


def test_the_field_at_fault_is_in_the_message_and_in_the_details():
    _, status = errors.to_status(errors.InvalidArgument("is empty", field="groups[2].name"), "m")
    assert status.message == "groups[2].name: is empty"
    (violation,) = unpacked(status, BadRequest)[0].field_violations
    assert (violation.field, violation.description) == ("groups[2].name", "is empty")


def test_the_retry_delay_is_in_the_details():
    _, status = errors.to_status(errors.ResourceExhausted("full", retry_s=0.25), "m")
    assert unpacked(status, RetryInfo)[0].retry_delay.ToMilliseconds() == 250


def test_an_unexpected_exception_goes_to_the_log_and_not_to_the_client(caplog):
    with caplog.at_level(logging.ERROR, logger="metabridge"):
        code, status = errors.to_status(ValueError("password 1234"), "bridge.v1.M.Call")
    assert code is grpc.StatusCode.INTERNAL
    assert b"1234" not in status.SerializeToString()
    assert status.message == "bridge.v1.M.Call failed inside the sidecar; its log says why"
    assert "password 1234" in caplog.text


@given(st.text(st.characters(codec=None), max_size=6000), st.integers(1, 40))
def test_a_status_fits_into_trailers_whatever_it_quotes(text, times):
    _, status = errors.to_status(errors.NotFound(text * times, field="model.name"), "m" * 60)
    percent_encoded = 3 * len(status.message.encode())
    assert percent_encoded + len(status.SerializeToString()) * 4 // 3 < 7000


def test_a_long_message_keeps_its_beginning_and_its_end():
    _, status = errors.to_status(errors.NotFound("there is no " + "x" * 5000 + ', there are ["guard"]'), "m")
    assert status.message.startswith("there is no xxx")
    assert " ... " in status.message
    assert status.message.endswith('there are ["guard"]')
