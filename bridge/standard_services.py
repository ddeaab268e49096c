"""The services every gRPC tool knows: health v1, and server reflection as v1 and v1alpha.

The stock registration parses requests outside of any handler, where gRPC for Python answers INTERNAL to bytes that do not
parse; here they are parsed as every other request is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from bridge.calls import Calls
from bridge.errors import ResourceExhausted, ServiceError
from bridge.patience import Patience
from bridge.rpc import abort, begin, head, parse, receive, serialise

REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
MAX_HEALTH_CALLS = 32
REQUEST_SECONDS = 5.0
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods_by_name["ServerReflectionInfo"]


def health_handler(servicer: health.aio.HealthServicer) -> grpc.GenericRpcHandler:
    """Return the handler of `grpc.health.v1.Health`.

    It asks for no token, hence it has a few of all calls' places, and its requests have `REQUEST_SECONDS` to come.
    """
    running: set[object] = set()
    patience = Patience(REQUEST_SECONDS)

    def parsed(name: str) -> Any:
        method, function = _HEALTH.methods_by_name[name], getattr(servicer, name)

        async def call(stream: object, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            this = object()
            try:
                if len(running) >= MAX_HEALTH_CALLS:
                    raise ResourceExhausted(f"{len(running)} calls ask for health already; end some that watch")
                running.add(this)
                return await function(await receive(context, method, patience), context)
            except ServiceError as error:
                await abort(error, method, context)
            finally:
                running.discard(this)

        return call

    handlers = {
        "Check": grpc.stream_unary_rpc_method_handler(parsed("Check"), None, serialise),
        "Watch": grpc.stream_stream_rpc_method_handler(parsed("Watch"), None, serialise),
    }
    return grpc.method_handlers_generic_handler(health.SERVICE_NAME, handlers)


def reflection_handlers(names: Sequence[str], calls: Calls) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return a handler for each version of server reflection, which differ in their package's name alone."""
    servicer: Any = reflection.aio.ReflectionServicer((*names, reflection.SERVICE_NAME))

    async def info(stream: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            with begin(calls, _REFLECTION, context, head(context)):
                requests = _until_idle(stream, calls.request_seconds)
                async for answer in servicer.ServerReflectionInfo(requests, context):
                    yield answer
        except Exception as error:
            await abort(error, _REFLECTION, context)

    handler = grpc.stream_stream_rpc_method_handler(info, None, serialise)
    return tuple(
        grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": handler}) for service in REFLECTION_SERVICES
    )


async def _until_idle(stream: AsyncIterator[bytes], seconds: float) -> AsyncIterator[Any]:
    """Yield requests until the client ends, or sends none for `seconds`: a call that only waits gives its place back."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                data = await anext(stream)
        except (StopAsyncIteration, TimeoutError):
            return
        yield parse(data, _REFLECTION)
