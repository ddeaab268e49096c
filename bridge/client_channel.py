"""How Python's client reaches a sidecar: in the clear or over TLS, with or without a token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc

RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
"""A sidecar that was restarted is back within seconds; by default a client waits up to two minutes before it looks again."""


@dataclass(frozen=True)
class ClientTls:
    """PEM files of a client: the authorities that the sidecar's certificate comes from, and for mutual TLS its own pair."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None


def open_channel(address: str, token: str = "", tls: ClientTls | None = None) -> Any:
    """Return a channel to `host:port` or `unix:path`; `OSError` for a file of `tls` that cannot be read."""
    options = [("grpc.enable_http_proxy", 0), *RECONNECT]
    if tls is None:
        channel = grpc.insecure_channel(address, options=options)
    else:
        parts = (tls.ca, tls.key, tls.certificate)
        credentials = grpc.ssl_channel_credentials(*(path.read_bytes() if path else None for path in parts))
        channel = grpc.secure_channel(address, credentials, options=options)
    return grpc.intercept_channel(channel, _Bearer(token)) if token else channel


class _CallDetails(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """Adds a token to every call."""

    def __init__(self, token: str) -> None:
        self._token = token

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Go on with the token."""
        return continuation(self._with_token(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        """Go on with the token."""
        return continuation(self._with_token(details), request)

    def _with_token(self, details: Any) -> Any:
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._token}")]
        return _CallDetails(details.method, details.timeout, metadata, details.credentials, details.wait_for_ready)
