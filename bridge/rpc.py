"""The gRPC edge: one wrapper around every method parses the request and maps every exception to a status.

Services are plain classes (request in, response out), so that the same object serves HTTP/2 here and HTTP/1.1 in `web.py`.
The request's bytes are parsed inside the wrapper, because gRPC for Python answers a deserialiser that raises with INTERNAL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bridge.calls import REQUEST_ID_KEY, TRACE_KEY, Calls, Metadata, Running, current_call
from bridge.errors import InvalidArgument, Unimplemented, check_answer, not_taken, to_status, too_slow

DETAILS_KEY = "grpc-status-details-bin"
ANSWER_ENCODING_KEY = "x-answer-encoding"
ABORT_SECONDS = 1.0


def generic_handler(descriptor: ServiceDescriptor, service: object, calls: Calls) -> grpc.GenericRpcHandler:
    """Return the handler that serves every method of `descriptor` with the equally named method of `service`."""
    handlers = {method.name: _method_handler(method, getattr(service, method.name), calls) for method in descriptor.methods}
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


def parse(data: bytes, method: MethodDescriptor) -> Any:
    """Parse a request; `InvalidArgument` says that the bytes are not the message that was expected."""
    try:
        return GetMessageClass(method.input_type).FromString(data)
    except DecodeError as error:
        message = f"{len(data)} bytes are not a {method.input_type.full_name}; check that both sides use the same contract"
        raise InvalidArgument(message) from error


def _method_handler(method: MethodDescriptor, function: Callable[..., Any], calls: Calls) -> grpc.RpcMethodHandler:
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_duplex(method, function, calls))
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
    async def unary(stream: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        try:
            with begin(calls, method, context):
                answer = serialise(await function(await receive(stream, method, calls.request_seconds)))
                check_answer(len(answer), calls.answer_bytes)
                await _compress(context)
                return answer
        except Exception as error:
            await abort(error, method, context)

    return unary


def _stream(
    method: MethodDescriptor, function: Callable[[Any], AsyncGenerator[Message, None]], calls: Calls
) -> Callable[..., Any]:
    async def stream(data: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            with begin(calls, method, context):
                await _compress(context)
                async with aclosing(function(await receive(data, method, calls.request_seconds))) as answers:
                    async for message in answers:
                        part = serialise(message)
                        check_answer(len(part), calls.answer_bytes)
                        await _write(context, part, calls.answer_seconds)
        except Exception as error:
            await abort(error, method, context)

    return stream


def _duplex(
    method: MethodDescriptor, function: Callable[[AsyncIterator[Any]], AsyncGenerator[Message, None]], calls: Calls
) -> Callable[..., Any]:
    async def duplex(data: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            with begin(calls, method, context):
                requests = (parse(each, method) async for each in data)  # each when it is taken, so that none wait in memory
                async with aclosing(function(requests)) as answers:
                    async for message in answers:
                        part = serialise(message)
                        check_answer(len(part), calls.answer_bytes)
                        await _write(context, part, calls.answer_seconds)
        except Exception as error:
            await abort(error, method, context)

    return duplex


async def receive(stream: AsyncIterator[bytes], method: MethodDescriptor, seconds: float) -> Any:
    """Read the call's only message, here and not by gRPC: one without a token would keep its place until it had sent all.

    Raises `DeadlineExceeded` when it is not whole in `seconds`: a call that never sends it would keep its place for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            async for data in stream:
                return parse(data, method)
    except TimeoutError as error:
        raise too_slow(seconds) from error
    raise Unimplemented("no message, expected one")


async def _compress(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """Compress what is sent from here on where the client asks for it, by a key: how its request was packed no Python sees."""
    if (ANSWER_ENCODING_KEY, "gzip") in (context.invocation_metadata() or ()):
        context.set_compression(grpc.Compression.Gzip)
        await context.send_initial_metadata(())  # without it, gRPC forgets the encoding of a unary answer


async def _write(context: grpc.aio.ServicerContext[Any, Any], data: bytes, seconds: float) -> None:
    """Send a message of a stream; `DeadlineExceeded` when the client leaves those before it untaken for `seconds`.

    Where the caller is gone the call is cancelled: gRPC may tell so by a write that fails before it cancels the call itself.
    """
    try:
        async with asyncio.timeout(seconds):
            await context.write(data)
    except TimeoutError as error:
        raise not_taken(seconds) from error
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
