"""The errors of the sidecar and the one place that turns them into gRPC status.

    ServiceError
    +-- InvalidArgument      the request is wrong by itself; `field` is the path of what is wrong
    +-- NotFound             a name or a version that is not there
    +-- FailedPrecondition   the request is right, but the sidecar is not in a state to answer it
    +-- ResourceExhausted    a limit is reached; `retry_s` says when to try again, if that helps
    +-- Unavailable          the sidecar starts or stops; try again
    +-- DeadlineExceeded     the caller's deadline is past, or the request took too long to come; nothing was run for it
    +-- Unauthenticated      the token is missing or wrong
    +-- Unimplemented        the request asks for what this sidecar does not speak

Services raise these; `to_status` maps them, and everything unexpected, to `google.rpc.Status` with ErrorInfo,
BadRequest and RetryInfo details (AIP-193). What an unexpected exception says goes to the log, never to a client.
"""

from __future__ import annotations

import logging
from typing import ClassVar

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DOMAIN = "metabridge"
MAX_MESSAGE_BYTES = 1000
log = logging.getLogger("metabridge")


class ServiceError(Exception):
    """An error that a caller sees; `field` is the path of the request's field at fault, or empty."""

    code: ClassVar[grpc.StatusCode]

    def __init__(self, message: str, *, field: str = "", retry_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_s = retry_s


class InvalidArgument(ServiceError):
    """The request is wrong by itself."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(ServiceError):
    """A name or a version that is not there."""

    code = grpc.StatusCode.NOT_FOUND


class FailedPrecondition(ServiceError):
    """The request is right, but the sidecar is not in a state to answer it."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(ServiceError):
    """A limit is reached."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """The sidecar starts or stops."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The caller's deadline is past, or the time in which a request must have come."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unauthenticated(ServiceError):
    """The token is missing or wrong."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Unimplemented(ServiceError):
    """The request asks for what this sidecar does not speak."""

    code = grpc.StatusCode.UNIMPLEMENTED


def too_slow(seconds: float) -> DeadlineExceeded:
    """Return what ends a call whose request does not come in whole in time."""
    return DeadlineExceeded(
        f"the request did not come in whole in {seconds:g} s; send it faster or raise --limits.request-seconds"
    )


def not_taken(seconds: float) -> DeadlineExceeded:
    """Return what ends a stream whose client does not take what it asked for."""
    message = f"the answers were left untaken for {seconds:g} s; read them as they come, or raise --limits.answer-seconds"
    return DeadlineExceeded(message)


def check_answer(size: int, limit: int) -> None:
    """Raise `ResourceExhausted` for a message of `size` bytes that clients would refuse without a reason."""
    if size > limit:
        message = f"the answer has {size} bytes, one message holds {limit}; ask for less, or raise --limits.max-message-bytes"
        raise ResourceExhausted(f"{message} (clients have a limit of their own)")


_CLASSES: dict[str, type[ServiceError]] = {kind.code.name: kind for kind in ServiceError.__subclasses__()}


def service_error(code: str, message: str, field: str = "", retry_s: float | None = None) -> ServiceError:
    """Return the error of another process, by the name of its code."""
    return _CLASSES[code](message, field=field, retry_s=retry_s)


def code_of(error: BaseException) -> grpc.StatusCode:
    """Return the code that an exception ends a call with."""
    return error.code if isinstance(error, ServiceError) else grpc.StatusCode.INTERNAL


def to_status(error: Exception, method: str, request_id: str = "") -> tuple[grpc.StatusCode, Status]:
    """Return the code and the status message, with details, for an exception that ended `method`.

    The details carry the call's id, under which the log may say more.
    """
    metadata = {"method": method} | ({"request_id": request_id} if request_id else {})
    if not isinstance(error, ServiceError):
        log.error("%s failed", method, exc_info=error)
        message = f"{method} failed inside the sidecar; its log says why"
        info = ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata=metadata)
        return grpc.StatusCode.INTERNAL, _status(grpc.StatusCode.INTERNAL, message, [info])
    details: list[Message] = [ErrorInfo(reason=error.code.name, domain=DOMAIN, metadata=metadata)]
    message = _clip(error.message)
    if error.field:
        violation = BadRequest.FieldViolation(field=error.field, description=message)
        details.append(BadRequest(field_violations=[violation]))
        message = f"{error.field}: {message}"
    if error.retry_s is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_s * 1000))
        details.append(RetryInfo(retry_delay=delay))
    return error.code, _status(error.code, message, details)


def _clip(message: str) -> str:
    """Shorten a message that quotes a long value: a status travels in trailers, where clients accept about 8 KiB in all."""
    data = message.encode("utf-8", "replace")
    if len(data) <= MAX_MESSAGE_BYTES:
        return data.decode("utf-8")
    half = MAX_MESSAGE_BYTES // 2
    return f"{data[:half].decode('utf-8', 'ignore')} ... {data[-half:].decode('utf-8', 'ignore')}"


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> Status:
    packed = []
    for detail in details:
        packed.append(Any())
        packed[-1].Pack(detail)
    number: int = code.value[0]
    return Status(code=number, message=message, details=packed)
