"""OpenTelemetry traces, where the environment names an exporter and the extra `metabridge[tracing]` is installed.

One span a call, as a child of the caller's `traceparent`. Settings are OpenTelemetry's own, OTEL_EXPORTER_OTLP_ENDPOINT first.
"""

from __future__ import annotations

import os
import time
from typing import Any

import grpc

from bridge.calls import TRACE_KEY, Call

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
OFF = "OTEL_SDK_DISABLED"


class TracingError(RuntimeError):
    """Traces are asked for and cannot be made; the message says what to install."""


class Tracing:
    """Sends a span for every call that ends; `close` sends what is left."""

    def __init__(self, provider: Any, propagator: Any, kinds: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("metabridge")
        self._propagator = propagator
        self._span_kind, self._error = kinds

    def observe(self, call: Call) -> None:
        """Make the span of a call that has ended."""
        parent = self._propagator.extract({TRACE_KEY: call.trace_parent}) if call.trace_parent else None
        now_s, now_ns = time.monotonic(), time.time_ns()
        service, _, method = call.method.rpartition(".")
        attributes = {
            "rpc.system": "grpc" if call.protocol == "grpc" else "connect_rpc" if call.protocol == "connect" else "grpc_web",
            "rpc.service": service,
            "rpc.method": method,
            "rpc.grpc.status_code": call.code.value[0],
            "metabridge.model": call.model,
            "metabridge.request_id": call.request_id,
            "metabridge.queue_seconds": call.queue_s,
            "metabridge.run_seconds": call.run_s,
        }
        begun_ns = now_ns - round((now_s - call.started_s) * 1e9)
        span = self._tracer.start_span(
            f"{service}/{method}", parent, kind=self._span_kind, attributes=attributes, start_time=begun_ns
        )
        if call.code is not grpc.StatusCode.OK:
            span.set_status(self._error)
        span.end(begun_ns + round((call.ended_s - call.started_s) * 1e9))

    def close(self) -> None:
        """Send what is left; waits for the exporter, a few seconds at most."""
        self._provider.shutdown()


def open_tracing(version: str) -> Tracing | None:
    """Return tracing where the environment names an endpoint; `TracingError` where it does and the libraries are missing."""
    if not any(os.environ.get(name) for name in ENDPOINTS) or os.environ.get(OFF, "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError as error:
        named = next(name for name in ENDPOINTS if os.environ.get(name))
        message = f"{named} asks for traces, and {error.name} is missing; pip install 'metabridge[tracing]' or unset it"
        raise TracingError(message) from error
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "metabridge"), "service.version": version})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, TraceContextTextMapPropagator(), (SpanKind.SERVER, StatusCode.ERROR))
