"""The web's calls: let in by their head alone, before a body is read, and ended with one of the sidecar's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.interceptor import MetadataInterceptor
from connectrpc.request import RequestContext
from google.protobuf.descriptor import MethodDescriptor
from protobuf.wkt import Any as ConnectAny

from bridge.calls import REQUEST_ID_KEY, TRACE_KEY, Calls, Metadata, Running, current_call
from bridge.errors import (
    DeadlineExceeded,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    Unimplemented,
    to_status,
    too_slow,
)

FAULTS: Mapping[Code, type[ServiceError]] = {
    Code.RESOURCE_EXHAUSTED: ResourceExhausted,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.UNIMPLEMENTED: Unimplemented,
}


class Door(MetadataInterceptor[Running]):
    """Begins a call when its head is there: who has no token, or finds no place, is refused with the body unread.

    At the end it turns whatever ended the call into one of the sidecar's errors, with their details.
    """

    def __init__(self, methods: Mapping[str, MethodDescriptor], calls: Calls) -> None:
        self._methods = methods
        self._calls = calls

    async def on_start(self, ctx: RequestContext[Any, Any]) -> Running:
        """Let a call in; `ConnectError` where it may not."""
        method = self._methods[f"{ctx.method.service_name}/{ctx.method.name}"]
        running = self._calls.begin(method, *_metadata(ctx))
        try:
            running.__enter__()
        except ServiceError as error:
            raise CallError(error, method.full_name) from error
        return running

    async def on_end(self, token: Running, ctx: RequestContext[Any, Any], error: Exception | None, /) -> None:
        """End a call; raises what its client is to see, where that is not `error` itself."""
        cause = _cause(error)
        token.end(cause)
        if isinstance(cause, ServiceError) and not isinstance(error, CallError):
            raise CallError(cause, token.call.method) from error


class TimedBody:
    """A request's `receive`, which raises `ConnectError` (DEADLINE_EXCEEDED) when the body is not whole in `seconds`."""

    def __init__(self, receive: Any, seconds: float) -> None:
        self._receive = receive
        self._seconds = seconds
        self._end_s = asyncio.get_running_loop().time() + seconds
        self._whole = False

    async def __call__(self) -> Any:
        """Return the next part of the body, or of what comes after it."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._end_s):
                message = await self._receive()
        except TimeoutError as error:
            call = current_call()
            raise CallError(too_slow(self._seconds), call.method if call else "") from error
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message


class CallError(ConnectError):
    """What ended a call, as Connect's error: the same code, message and details as over gRPC."""

    def __init__(self, error: Exception, method: str) -> None:
        call = current_call()
        code, status = to_status(error, method, call.request_id if call else "")
        details = [ErrorDetail(ConnectAny(type_url=detail.type_url, value=detail.value)) for detail in status.details]
        super().__init__(Code.CANCELED if code is grpc.StatusCode.CANCELLED else Code[code.name], status.message, details)
        self.error = error


def _cause(error: Exception | None) -> BaseException | None:
    """Return what is behind the error that Connect ends a call with.

    Its own errors (of envelopes, sizes, encodings, times) are all faults of the request, whatever their code says: faults of
    the sidecar come from its methods as `CallError`.
    """
    if isinstance(error, CallError):
        return error.error
    if not isinstance(error, ConnectError):
        return error
    if error.code is Code.CANCELED:
        return asyncio.CancelledError()
    return FAULTS.get(error.code, InvalidArgument)(error.message)


def _metadata(ctx: RequestContext[Any, Any]) -> tuple[str, Metadata]:
    headers, timeout_ms = ctx.request_headers, ctx.timeout_ms
    protocol = "grpc-web" if headers.get("content-type", "").startswith("application/grpc-web") else "connect"
    metadata = Metadata(
        headers.get("authorization", ""),
        headers.get(REQUEST_ID_KEY, ""),
        headers.get(TRACE_KEY, ""),
        None if timeout_ms is None else timeout_ms / 1000,
    )
    return protocol, metadata
