"""The HTTP/1.1 edge: gRPC-Web and Connect (binary and JSON) from the same service objects as gRPC.

The protocols are `connectrpc`'s, the server is uvicorn inside the sidecar's event loop. JSON is for small messages: a JSON
body over 256 KiB, in either direction, is refused, since writing it would hold up every other call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import grpc
import uvicorn
from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from protobuf.wkt import Any as ConnectAny
from starlette.middleware.cors import CORSMiddleware

from bridge.calls import REQUEST_ID_KEY, TRACE_KEY, Calls, Metadata, Running, current_call
from bridge.config import Limits
from bridge.errors import InvalidArgument, ResourceExhausted, to_status
from bridge.tls import Tls
from bridge.web_front import WebFront
from bridge.web_protocol import bounded

MAX_JSON_BYTES = 256 << 10
RETRY_SECONDS = 0.05
CONNECTIONS_PER_CALL = 8
GRPC_WEB_HEADERS = (
    "content-type",
    "x-grpc-web",
    "x-user-agent",
    "grpc-timeout",
    "connect-protocol-version",
    "connect-timeout-ms",
    "authorization",
    "x-request-id",
    "traceparent",
)
EXPOSED_HEADERS = ("grpc-status", "grpc-message", "grpc-status-details-bin")
Services = Sequence[tuple[ServiceDescriptor, object]]


class Application(ConnectASGIApplication[Services]):
    """All services as one ASGI application."""

    def __init__(self, services: Services, read_max_bytes: int, slots: Slots, calls: Calls) -> None:
        super().__init__(
            service=services,
            endpoints=lambda served: _endpoints(served, slots, calls),
            read_max_bytes=read_max_bytes,
            codecs=[CheckedCodec(google_protobuf_binary_codec()), CheckedCodec(google_protobuf_json_codec())],
            compressions=(),  # both ends are on one machine: compressing a picture would only hold up the event loop
        )

    @property
    def path(self) -> str:
        """Return the prefix of every method's path."""
        return "/"


class CheckedCodec(Codec[Any, Any]):
    """A codec whose failures are INVALID_ARGUMENT, and which refuses large JSON."""

    def __init__(self, codec: Codec[Any, Any]) -> None:
        self._codec = codec

    def name(self) -> str:
        """Return the codec's name in content types."""
        return self._codec.name()

    def encode(self, message: Any) -> bytes:
        """Write a message; `ConnectError` (RESOURCE_EXHAUSTED) for JSON that would be too large."""
        size = message.ByteSize()
        if self.name() == "json" and size > MAX_JSON_BYTES:
            text = f"the answer has {size} bytes, JSON carries at most {MAX_JSON_BYTES}; ask for less or use binary"
            raise _connect_error(ResourceExhausted(text), type(message).__name__)
        return bytes(self._codec.encode(message))

    def decode(self, data: bytes | bytearray, message_class: type[Any]) -> Any:
        """Read a message; `ConnectError` (INVALID_ARGUMENT) for bytes that are none."""
        name = message_class.DESCRIPTOR.full_name
        if self.name() == "json" and len(data) > MAX_JSON_BYTES:
            text = f"the request has {len(data)} bytes, JSON carries at most {MAX_JSON_BYTES}; use binary"
            raise _connect_error(ResourceExhausted(text), name)
        try:
            return self._codec.decode(data, message_class)
        except (DecodeError, ParseError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"{len(data)} bytes are not a {name} ({error}); check that both sides use the same contract"
            raise _connect_error(InvalidArgument(text), name) from error


class WebServer(uvicorn.Server):
    """uvicorn as a part of the sidecar: it leaves signals to the sidecar."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def start(self, listener: socket.socket) -> asyncio.Task[None]:
        """Serve on `listener` in a task of its own; return it when the server accepts connections."""
        task = asyncio.create_task(self.serve(sockets=[listener]))
        while not self.started and not task.done():
            await asyncio.sleep(0.005)
        return task


class Slots:
    """Counts the calls that run; one more than `limit` is answered with RESOURCE_EXHAUSTED, as on the gRPC port."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def __enter__(self) -> None:
        if self._taken >= self._limit:
            message = f"{self._taken} calls run already; try again or raise --limits.max-concurrent-calls"
            raise ResourceExhausted(message, retry_s=RETRY_SECONDS)
        self._taken += 1

    def __exit__(self, *_: object) -> None:
        self._taken -= 1


def web_server(
    services: Services,
    calls: Calls,
    metrics: Callable[[], Awaitable[bytes]],
    *,
    tls: Tls | None,
    allowed_hosts: Sequence[str],
    limits: Limits,
    cors_origins: Sequence[str],
    drain_seconds: float,
) -> WebServer:
    """Return a server, not yet started, for gRPC-Web and Connect; CORS is off without origins."""
    application: Any = Application(services, limits.max_message_bytes, Slots(limits.max_concurrent_calls), calls)
    if cors_origins:
        application = CORSMiddleware(
            application,
            allow_origins=list(cors_origins),
            allow_methods=["POST"],
            allow_headers=list(GRPC_WEB_HEADERS),
            expose_headers=list(EXPOSED_HEADERS),
        )
    return WebServer(
        uvicorn.Config(
            WebFront(application, metrics, calls.access, allowed_hosts),
            http=bounded(limits.max_header_bytes, limits.head_seconds),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=limits.max_concurrent_calls * CONNECTIONS_PER_CALL,
            timeout_graceful_shutdown=math.ceil(drain_seconds),
            ssl_context_factory=(lambda config, default: tls.web_context()) if tls else None,
        )
    )


def _endpoints(services: Services, slots: Slots, calls: Calls) -> Any:
    endpoints = {}
    for descriptor, service in services:
        for method in descriptor.methods:
            function = getattr(service, method.name)
            endpoint = (_stream if method.server_streaming else _unary)(method, function, slots, calls)
            endpoints[f"/{descriptor.full_name}/{method.name}"] = endpoint
    return endpoints


def _info(method: MethodDescriptor) -> MethodInfo[Any, Any]:
    return MethodInfo(
        name=method.name,
        service_name=method.containing_service.full_name,
        input=GetMessageClass(method.input_type),
        output=GetMessageClass(method.output_type),
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.SERVER_STREAM if method.server_streaming else StreamType.UNARY,
    )


def _unary(
    method: MethodDescriptor, function: Callable[[Any], Awaitable[Message]], slots: Slots, calls: Calls
) -> Endpoint[Any, Any]:
    async def unary(request: Any, context: RequestContext[Any, Any]) -> Any:
        try:
            with _begin(calls, method, context), slots:
                return await function(request)
        except Exception as error:
            raise _connect_error(error, method.full_name) from error

    return Endpoint.unary(_info(method), unary)


def _stream(
    method: MethodDescriptor, function: Callable[[Any], AsyncIterator[Message]], slots: Slots, calls: Calls
) -> Endpoint[Any, Any]:
    async def stream(request: Any, context: RequestContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            with _begin(calls, method, context), slots:
                async for message in function(request):
                    yield message
        except Exception as error:
            raise _connect_error(error, method.full_name) from error

    return Endpoint.server_stream(_info(method), stream)


def _begin(calls: Calls, method: MethodDescriptor, context: RequestContext[Any, Any]) -> Running:
    headers, timeout_ms = context.request_headers, context.timeout_ms
    protocol = "grpc-web" if headers.get("content-type", "").startswith("application/grpc-web") else "connect"
    metadata = Metadata(
        headers.get("authorization", ""),
        headers.get(REQUEST_ID_KEY, ""),
        headers.get(TRACE_KEY, ""),
        None if timeout_ms is None else timeout_ms / 1000,
    )
    return calls.begin(method, protocol, metadata)


def _connect_error(error: Exception, method: str) -> ConnectError:
    call = current_call()
    code, status = to_status(error, method, call.request_id if call else "")
    details = [ErrorDetail(ConnectAny(type_url=detail.type_url, value=detail.value)) for detail in status.details]
    return ConnectError(_code(code), status.message, details)


def _code(code: grpc.StatusCode) -> Code:
    return Code.CANCELED if code is grpc.StatusCode.CANCELLED else Code[code.name]
