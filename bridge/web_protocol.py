"""HTTP/1.1 as uvicorn speaks it, with an end to heads that never end: too large, or too slow."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b"
)


def bounded(max_head_bytes: int, head_seconds: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with a bound on the bytes and the seconds that a request's head may take.

    A head that is too large is answered with 431; a connection that sends none in time, or a part of one, is closed, and so is
    one whose body is followed by trailers that are as large, or has chunks with such extensions.
    """

    class BoundedHttp(HttpToolsProtocol):
        """A connection; `_head_bytes` counts what came of an unfinished head, `_idle_bytes` what came beside bodies."""

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._in_head, self._head_bytes, self._idle_bytes = True, 0, 0
            self._head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._idle_bytes += len(data)
            super().data_received(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > max_head_bytes:
                    self._refuse()
            elif self._idle_bytes > max_head_bytes:  # trailers are kept by the parser and by uvicorn, and have no end
                self._give_up()

        def on_body(self, body: bytes) -> None:
            self._idle_bytes = 0
            super().on_body(body)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._expect_head()

        def on_headers_complete(self) -> None:
            self._stop_timer()
            self._idle_bytes = 0
            self._in_head, size = False, sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
            if size > max_head_bytes:
                self._refuse()
            else:
                super().on_headers_complete()

        def _expect_head(self) -> None:
            self._stop_timer()
            self._in_head, self._head_bytes = True, 0
            self._head_timer = self.loop.call_later(head_seconds, self._give_up)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _give_up(self) -> None:
            if not self.transport.is_closing():
                self.transport.close()

        def _refuse(self) -> None:
            if not self.transport.is_closing():
                text = b"a request's head has at most %d bytes, see --limits.max-header-bytes" % max_head_bytes
                self.transport.write(TOO_LARGE % (len(text), text))
                self.transport.close()

    return BoundedHttp
