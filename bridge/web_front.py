"""What the web port does before a call: the Host header is checked against DNS rebinding, and `GET /metrics` is answered."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from bridge.access import Access
from bridge.errors import Unauthenticated
from bridge.metrics import CONTENT_TYPE

METRICS_PATH = "/metrics"
Application = Callable[[Any, Any, Any], Any]


class WebFront:
    """An ASGI application in front of the calls.

    A page of another site can point its own name at this address and then call it as its own: hence a host is an IP address,
    `localhost` or one of `allowed_hosts`, and every other is answered with 421.
    """

    def __init__(
        self, application: Application, metrics: Callable[[], Awaitable[bytes]], access: Access, allowed_hosts: Collection[str]
    ) -> None:
        self._application = application
        self._metrics = metrics
        self._access = access
        self._allowed = {"localhost", *(host.lower() for host in allowed_hosts)}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return
        host = _header(scope, b"host")
        odd = next((name for name, value in scope["headers"] if not (name.isascii() and value.isascii())), None)
        if odd is not None:
            text = f"header {odd.decode('ascii', 'replace')[:100]} has bytes beyond ASCII; percent-encode them, or leave it out"
            await _answer(send, 400, text.encode())
        elif not _is_allowed(host, self._allowed):
            text = (
                f'this sidecar does not answer to host "{host[:100]}"; name it with --allowed-hosts if that is what you call it'
            )
            await _answer(send, 421, text.encode())
        elif scope["path"] == METRICS_PATH and scope["method"] == "GET":
            await self._show_metrics(scope, send)
        else:
            await self._application(scope, receive, send)

    async def _show_metrics(self, scope: Any, send: Any) -> None:
        try:
            self._access.check(METRICS_PATH, _header(scope, b"authorization"))
        except Unauthenticated as error:
            await _answer(send, 401, error.message.encode(), (b"www-authenticate", b"Bearer"))
            return
        await _answer(send, 200, await self._metrics(), content_type=CONTENT_TYPE)


def _header(scope: Any, name: bytes) -> str:
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if values else ""


def _is_allowed(header: str, allowed: Collection[str]) -> bool:
    """Return whether a Host header names an address or an allowed name, with or without a port."""
    host = header.rsplit(":", 1)[0] if header.rsplit(":", 1)[-1].isdecimal() and not header.endswith("]") else header
    if host.lower() in allowed:
        return True
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


async def _answer(
    send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes], content_type: str = "text/plain; charset=utf-8"
) -> None:
    head = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
