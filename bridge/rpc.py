"""The gRPC edge: one wrapper around every method parses the request and maps every exception to a status.

Services are plain classes (request in, response out), so that the same object serves HTTP/2 here and HTTP/1.1 in `web.py`.
The request's bytes are parsed inside the wrapper, because gRPC for Python answers a deserialiser that raises with INTERNAL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bridge.calls import REQUEST_ID_KEY, TRACE_KEY, Calls, Metadata, Running, current_call
from bridge.errors import InvalidArgument, Unimplemented, check_answer, not_taken, to_status, too_slow
from bridge.patience import Patience

DETAILS_KEY = "grpc-status-details-bin"
ANSWER_ENCODING_KEY, GZIP = "x-answer-encoding", "gzip"
ABORT_SECONDS = 1.0


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
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_duplex(method, function, calls))
    if method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(_stream(method, function, calls))
    return grpc.stream_unary_rpc_method_handler(_unary(method, function, calls))


def head(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    """Return a call's metadata; gRPC makes them anew each time that it is asked."""
    return dict(context.invocation_metadata() or ())


def begin(
    calls: Calls, method: MethodDescriptor, context: grpc.aio.ServicerContext[Any, Any], given: Mapping[str, str]
) -> Running:
    """Begin a call with what its metadata and its deadline say."""
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
            given = head(context)
            with begin(calls, method, context, given):
                answer = serialise(await function(await receive(context, method, calls.patience)))
                check_answer(len(answer), calls.answer_bytes)
                if given.get(ANSWER_ENCODING_KEY) == GZIP:
                    await _compress(context)
                return answer
        except Exception as error:
            await abort(error, method, context)

    return unary


def _stream(
    method: MethodDescriptor, function: Callable[[Any], AsyncGenerator[Message, None]], calls: Calls
) -> Callable[..., Any]:
    async def stream(stream: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            given = head(context)
            with begin(calls, method, context, given):
                if given.get(ANSWER_ENCODING_KEY) == GZIP:
                    await _compress(context)
                request = await receive(context, method, calls.patience)
                await _write_all(function(request), context, calls)
        except Exception as error:
            await abort(error, method, context)

    return stream


def _duplex(
    method: MethodDescriptor, function: Callable[[AsyncIterator[Any]], AsyncGenerator[Message, None]], calls: Calls
) -> Callable[..., Any]:
    async def duplex(stream: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            with begin(calls, method, context, head(context)):
                await _write_all(function(_requests(context, method)), context, calls)
        except Exception as error:
            await abort(error, method, context)

    return duplex


async def receive(context: grpc.aio.ServicerContext[Any, Any], method: MethodDescriptor, patience: Patience) -> Any:
    """Read the call's only message, here and not by gRPC: one without a token would keep its place until it had sent all.

    It is asked of the context: the stream would put an asynchronous generator in between. Raises `DeadlineExceeded` when
    `patience` ends before it is whole: a call that never sends it would keep its place for ever.
    """
    try:
        data = await patience.wait(context.read())
    except TimeoutError as error:
        raise too_slow(patience.seconds) from error
    if data is grpc.aio.EOF:
        raise Unimplemented("no message, expected one")
    return parse(data, method)


async def _requests(context: grpc.aio.ServicerContext[Any, Any], method: MethodDescriptor) -> AsyncIterator[Any]:
    """Yield what the client sends, each read when it is taken, so that none wait in memory."""
    while (data := await context.read()) is not grpc.aio.EOF:
        yield parse(data, method)


async def _compress(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """Compress what is sent from here on, as the client asks by a key: how its request was packed no Python sees."""
    context.set_compression(grpc.Compression.Gzip)
    await context.send_initial_metadata(())  # without it, gRPC forgets the encoding of a unary answer


async def _write_all(
    messages: AsyncGenerator[Message, None], context: grpc.aio.ServicerContext[Any, Any], calls: Calls
) -> None:
    """Send the messages of a stream; `DeadlineExceeded` when the client leaves those before one untaken for too long.

    Where the caller is gone the call is cancelled: gRPC may tell so by a write that fails before it cancels the call itself.
    """
    async with aclosing(messages) as answers:
        async for message in answers:
            part = serialise(message)
            check_answer(len(part), calls.answer_bytes)
            try:
                async with asyncio.timeout(calls.answer_seconds):
                    await context.write(part)
            except TimeoutError as error:
                raise not_taken(calls.answer_seconds) from error
            except grpc.aio.InternalError:
                raise asyncio.CancelledError from None


async def abort(error: Exception, method: MethodDescriptor, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
    """End a call with the status of `error` and its details in the trailers."""
    call = current_call()
    code, status = to_status(error, method.full_name, call.request_id if call else "")
    trailers = ((DETAILS_KEY, status.SerializeToString()),)
    try:
        async with asyncio.timeout(ABORT_SECONDS):
            await context.abort(code, status.message, trailing_metadata=trailers)
    except TimeoutError:  # the client takes nothing: its status waits behind what was sent, the call's place need not
        raise asyncio.CancelledError from None
    raise error  # not reached: context.abort raises
