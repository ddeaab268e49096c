"""The gRPC edge: one wrapper around every method parses the request and maps every exception to a status.

Services are plain classes (request in, response out), so that the same object serves HTTP/2 here and HTTP/1.1 in `web.py`.
The request's bytes are parsed inside the wrapper, because gRPC for Python answers a deserialiser that raises with INTERNAL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bridge.calls import REQUEST_ID_KEY, TRACE_KEY, Calls, Metadata, Running, current_call
from bridge.errors import InvalidArgument, to_status

DETAILS_KEY = "grpc-status-details-bin"


class Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The handler that serves every method of services with the equally named method of their objects."""

    def __init__(self, services: Sequence[tuple[ServiceDescriptor, object]], calls: Calls) -> None:
        self._handlers = {
            f"/{descriptor.full_name}/{method.name}": _handler(method, getattr(service, method.name), calls)
            for descriptor, service in services
            for method in descriptor.methods
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a call, or `None` for an unknown method."""
        return self._handlers.get(details.method)


def parse(data: bytes, method: MethodDescriptor) -> Any:
    """Parse a request; `InvalidArgument` says that the bytes are not the message that was expected."""
    try:
        return GetMessageClass(method.input_type).FromString(data)
    except DecodeError as error:
        message = f"{len(data)} bytes are not a {method.input_type.full_name}; check that both sides use the same contract"
        raise InvalidArgument(message) from error


def _handler(method: MethodDescriptor, function: Callable[..., Any], calls: Calls) -> grpc.RpcMethodHandler:
    if method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(_stream(method, function, calls))
    return grpc.stream_unary_rpc_method_handler(_unary(method, function, calls))


def begin(calls: Calls, method: MethodDescriptor, context: grpc.aio.ServicerContext[Any, Any]) -> Running:
    """Begin a call with what its metadata and its deadline say."""
    given: dict[str, str] = dict(context.invocation_metadata() or ())
    metadata = Metadata(
        given.get("authorization", ""), given.get(REQUEST_ID_KEY, ""), given.get(TRACE_KEY, ""), context.time_remaining()
    )
    return calls.begin(method, "grpc", metadata)


def serialise(message: Message) -> bytes:
    """Return a message's bytes."""
    data: bytes = message.SerializeToString()
    return data


def _unary(method: MethodDescriptor, function: Callable[[Any], Awaitable[Message]], calls: Calls) -> Callable[..., Any]:
    async def unary(stream: object, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        try:
            with begin(calls, method, context):
                return serialise(await function(await receive(context, method)))
        except Exception as error:
            await abort(error, method, context)

    return unary


def _stream(method: MethodDescriptor, function: Callable[[Any], AsyncIterator[Message]], calls: Calls) -> Callable[..., Any]:
    async def stream(stream: object, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[bytes]:
        try:
            with begin(calls, method, context):
                async for message in function(await receive(context, method)):
                    yield serialise(message)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await abort(error, method, context)

    return stream


async def receive(context: grpc.aio.ServicerContext[Any, Any], method: MethodDescriptor) -> Any:
    """Read the call's only message, here and not by gRPC: one without a token would keep its place until it had sent all.

    It is asked of the context: the stream would put an asynchronous generator in between.
    """
    data = await context.read()
    if data is grpc.aio.EOF:
        raise InvalidArgument("no message, expected one")
    return parse(data, method)


async def abort(error: Exception, method: MethodDescriptor, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
    """End a call with the status of `error` and its details in the trailers."""
    call = current_call()
    code, status = to_status(error, method.full_name, call.request_id if call else "")
    await context.abort(code, status.message, trailing_metadata=((DETAILS_KEY, status.SerializeToString()),))
    raise error  # not reached: context.abort raises
