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

import uvicorn
from connectrpc.codec import Codec
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from starlette.middleware.cors import CORSMiddleware

from bridge.calls import Calls
from bridge.config import Limits
from bridge.errors import InvalidArgument, ResourceExhausted, check_answer
from bridge.tls import Tls
from bridge.web_calls import CallError, Door, TimedBody
from bridge.web_compression import Gzip, PackedMessage, pack
from bridge.web_front import WebFront
from bridge.web_protocol import Bounds, bounded

MAX_JSON_BYTES = 256 << 10
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
    "grpc-accept-encoding",
    "connect-accept-encoding",
)
EXPOSED_HEADERS = ("grpc-status", "grpc-message", "grpc-status-details-bin")
Services = Sequence[tuple[ServiceDescriptor, object]]


class Application(ConnectASGIApplication[Services]):
    """All services as one ASGI application."""

    def __init__(self, services: Services, max_message_bytes: int, calls: Calls) -> None:
        methods = {
            f"{descriptor.full_name}/{method.name}": method for descriptor, _ in services for method in descriptor.methods
        }
        self._request_seconds = calls.request_seconds
        super().__init__(
            service=services,
            endpoints=lambda served: _endpoints(served, max_message_bytes),
            interceptors=[Door(methods, calls)],
            read_max_bytes=max_message_bytes,
            codecs=[CheckedCodec(google_protobuf_binary_codec()), CheckedCodec(google_protobuf_json_codec())],
            compressions=[Gzip()],
        )

    @property
    def path(self) -> str:
        """Return the prefix of every method's path."""
        return "/"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, whose body has a time to come in."""
        await super().__call__(scope, TimedBody(receive, self._request_seconds), send)


class CheckedCodec(Codec[Any, Any]):
    """A codec whose failures are INVALID_ARGUMENT, and which refuses large JSON."""

    def __init__(self, codec: Codec[Any, Any]) -> None:
        self._codec = codec

    def name(self) -> str:
        """Return the codec's name in content types."""
        return self._codec.name()

    def encode(self, message: Any) -> bytes:
        """Write a message; `ConnectError` (RESOURCE_EXHAUSTED) for JSON that would be too large."""
        if isinstance(message, PackedMessage):
            return message.data
        size = message.ByteSize()
        if self.name() == "json" and size > MAX_JSON_BYTES:
            text = f"the answer has {size} bytes, JSON carries at most {MAX_JSON_BYTES}; ask for less or use binary"
            raise CallError(ResourceExhausted(text), type(message).__name__)
        return bytes(self._codec.encode(message))

    def decode(self, data: bytes | bytearray, message_class: type[Any]) -> Any:
        """Read a message; `ConnectError` (INVALID_ARGUMENT) for bytes that are none."""
        name = message_class.DESCRIPTOR.full_name
        if self.name() == "json" and len(data) > MAX_JSON_BYTES:
            text = f"the request has {len(data)} bytes, JSON carries at most {MAX_JSON_BYTES}; use binary"
            raise CallError(ResourceExhausted(text), name)
        try:
            return self._codec.decode(data, message_class)
        except (DecodeError, ParseError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"{len(data)} bytes are not a {name} ({error}); check that both sides use the same contract"
            raise CallError(InvalidArgument(text), name) from error


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
    application: Any = Application(services, limits.max_message_bytes, calls)
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
            http=bounded(Bounds(limits.max_header_bytes, limits.head_seconds, limits.answer_seconds)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=limits.max_concurrent_calls * CONNECTIONS_PER_CALL,
            timeout_graceful_shutdown=math.ceil(drain_seconds),
            ssl_context_factory=(lambda config, default: tls.web_context()) if tls else None,
        )
    )


def _endpoints(services: Services, answer_bytes: int) -> Any:
    endpoints = {}
    for descriptor, service in services:
        for method in descriptor.methods:
            if method.client_streaming:  # HTTP/1.1 answers when all is asked: such a method is for HTTP/2
                continue
            endpoint = (_stream if method.server_streaming else _unary)(method, getattr(service, method.name), answer_bytes)
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


def _unary(method: MethodDescriptor, function: Callable[[Any], Awaitable[Message]], answer_bytes: int) -> Endpoint[Any, Any]:
    async def unary(request: Any, context: RequestContext[Any, Any]) -> Any:
        try:
            answer = await function(request)
            check_answer(answer.ByteSize(), answer_bytes)
            return await pack(answer, context)
        except Exception as error:
            raise CallError(error, method.full_name) from error

    return Endpoint.unary(_info(method), unary)


def _stream(
    method: MethodDescriptor, function: Callable[[Any], AsyncIterator[Message]], answer_bytes: int
) -> Endpoint[Any, Any]:
    async def stream(request: Any, context: RequestContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for message in function(request):
                check_answer(message.ByteSize(), answer_bytes)
                yield await pack(message, context)
        except Exception as error:
            raise CallError(error, method.full_name) from error

    return Endpoint.server_stream(_info(method), stream)
