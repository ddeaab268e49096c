"""What surrounds every call on both ports: who may call, the deadline that queues keep to, where the time went, and its end."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import TracebackType

import grpc
from google.protobuf.descriptor import MethodDescriptor

from bridge.access import Access
from bridge.errors import DeadlineExceeded, ResourceExhausted, code_of
from bridge.patience import Patience

SEVERAL = "several"
RETRY_SECONDS = 0.05
REQUEST_ID_KEY, TRACE_KEY = "x-request-id", "traceparent"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")
_numbers = itertools.count(1)
_process = secrets.token_hex(4)
log = logging.getLogger("metabridge.calls")


@dataclass(slots=True)
class Call:
    """A call that runs. Times are of `time.monotonic`; `queue_s` and `run_s` are sums over the graphs that ran for it."""

    method: str
    protocol: str = ""
    request_id: str = ""
    trace_parent: str = ""
    deadline_s: float | None = None
    model: str = ""
    started_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    queue_s: float = 0.0
    run_s: float = 0.0
    code: grpc.StatusCode = grpc.StatusCode.OK
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    """Where what was answered comes from: a model, a source, and how many."""

    def expired(self) -> bool:
        """Return whether the caller has given up."""
        return self.deadline_s is not None and time.monotonic() >= self.deadline_s

    def uses(self, model: str) -> None:
        """Note the model that the call is for; one for more than one says so."""
        self.model = model if self.model in ("", model) else SEVERAL

    def waited(self, queue_s: float, run_s: float) -> None:
        """Add the time of one run: in the queue, and in ONNX Runtime."""
        self.queue_s += queue_s
        self.run_s += run_s


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call | None:
    """Return the call that this task works for, or `None` outside of calls."""
    return _current.get()


def shared_work(name: str) -> tuple[Call, Context]:
    """Return a call without a deadline for work that several calls wait for, and the context that its task runs in."""
    work, context = Call(name), Context()
    context.run(_current.set, work)
    return work, context


@dataclass(slots=True)
class Metadata:
    """What a caller sends beside the request."""

    authorization: str = field(default="", repr=False)
    request_id: str = ""
    trace_parent: str = ""
    seconds_left: float | None = None


class Places:
    """Counts the calls that run, on both ports together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def take(self) -> None:
        """Take a place; `ResourceExhausted` where there is none."""
        if self._taken >= self._limit:
            message = f"{self._taken} calls run already; try again or raise --limits.max-concurrent-calls"
            raise ResourceExhausted(message, retry_s=RETRY_SECONDS)
        self._taken += 1

    def free(self) -> None:
        """Give a place back."""
        self._taken -= 1


@dataclass(frozen=True)
class Calls:
    """Begins and ends calls: both edges go through here, once for each call, in a task of the call's own.

    Each of `observers` is given every call when it has ended. A request has `request_seconds` to come in whole, and a
    client `answer_seconds` to take a part of what it is sent. A message that is sent has at most `answer_bytes`.
    """

    access: Access = field(default_factory=Access)
    observers: tuple[Callable[[Call], None], ...] = ()
    places: Places = field(default_factory=lambda: Places(256))
    request_seconds: float = 30.0
    answer_seconds: float = 60.0
    answer_bytes: int = 4 << 20

    @cached_property
    def patience(self) -> Patience:
        """Return what ends the waits for requests."""
        return Patience(self.request_seconds)

    def begin(self, method: MethodDescriptor, protocol: str, metadata: Metadata) -> Running:
        """Return the context in which a call runs.

        Entering it raises `Unauthenticated`, `DeadlineExceeded` or `ResourceExhausted`, which end a call before its request is
        read.
        """
        return Running(self, *_names(method), protocol, metadata)


@cache
def _names(method: MethodDescriptor) -> tuple[str, str]:
    """Return the full names of a method and of its service."""
    return method.full_name, method.containing_service.full_name


class Running:
    """The context of one call: `with calls.begin(…) as call`."""

    __slots__ = ("_authorization", "_calls", "_has_place", "_service", "call")

    def __init__(self, calls: Calls, method: str, service: str, protocol: str, metadata: Metadata) -> None:
        self._calls, self._service, self._authorization = calls, service, metadata.authorization
        self._has_place = False
        now, left = time.monotonic(), metadata.seconds_left
        deadline_s = None if left is None else now + left
        request_id = _request_id(metadata.request_id)
        self.call = Call(method, protocol, request_id, metadata.trace_parent, deadline_s, "", now)

    def __enter__(self) -> Call:
        _current.set(self.call)
        try:
            self._calls.access.check(self._service, self._authorization)
            if self.call.deadline_s is not None and self.call.deadline_s <= self.call.started_s:
                raise DeadlineExceeded("the deadline was past when the call arrived; give it more time")
            self._calls.places.take()
            self._has_place = True
        except Exception as error:
            self.end(error)
            raise
        return self.call

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """End the call with what ended it, and tell the observers."""
        if self._has_place:
            self._has_place = False
            self._calls.places.free()
        call = self.call
        call.ended_s = time.monotonic()
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            call.code = grpc.StatusCode.DEADLINE_EXCEEDED if call.expired() else grpc.StatusCode.CANCELLED
        elif error is not None:
            call.code = code_of(error)
        for observe in self._calls.observers:
            observe(call)
        if log.isEnabledFor(logging.DEBUG):
            milliseconds = (call.ended_s - call.started_s) * 1000
            log.debug("%s for %s ended with %s after %.1f ms", call.method, call.model, call.code.name, milliseconds)


def _request_id(given: str) -> str:
    """Return the caller's id where it is one, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else f"{_process}-{next(_numbers)}"
