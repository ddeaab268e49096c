"""HTTP/1.1 as uvicorn speaks it, with an end to what never ends: heads too large or too slow, bodies that nobody reads any
more, answers that nobody takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b"
)

LINGER_SECONDS = 2.0


@dataclass(frozen=True)
class Bounds:
    """What a client may take: bytes of a head, seconds to send one, and seconds in which to take some of what is sent."""

    max_head_bytes: int
    head_seconds: float
    answer_seconds: float


class BoundedHttp(HttpToolsProtocol):
    """A connection with bounds on what a client may take of its bytes and seconds.

    A head that is too large is answered with 431; a connection that sends none in time, or a part of one, is closed, and so is
    one whose body is followed by trailers that are as large, or has chunks with such extensions. After an answer that came
    before the end of the body, the rest has `LINGER_SECONDS` to come, unread, so that the client sees the answer. A client that
    takes nothing of what is sent to it in time loses its connection.

    `_head_bytes` counts what came of an unfinished head, `_idle_bytes` what came beside bodies.
    """

    bounds: Bounds

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._in_head, self._head_bytes, self._idle_bytes = True, 0, 0
        self._in_body = False
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1)  # writing pauses until the client has taken all that was sent
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.bounds.max_head_bytes:
                self._refuse()
        elif self._idle_bytes > self.bounds.max_head_bytes:  # trailers are kept by the parser and by uvicorn, and have no end
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
        self._in_head, self._in_body = False, True
        size = sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
        if size > self.bounds.max_head_bytes:
            self._refuse()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        if self.cycle.response_complete:
            self._give_up_in(self.bounds.head_seconds)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete:
            self._give_up_in(LINGER_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_taken(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    def _expect_taken(self, left: int) -> None:
        self._stop_write_timer()
        self._write_timer = self.loop.call_later(self.bounds.answer_seconds, self._check_taken, left)

    def _check_taken(self, before: int) -> None:
        """End a connection whose client took nothing since, when `before` bytes were left."""
        left = self.transport.get_write_buffer_size()
        if left < before:
            self._expect_taken(left)
        else:
            self.transport.abort()

    def _expect_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._give_up_in(self.bounds.head_seconds)

    def _give_up_in(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            text = b"a request's head has at most %d bytes, see --limits.max-header-bytes" % self.bounds.max_head_bytes
            self.transport.write(TOO_LARGE % (len(text), text))
            self.transport.close()


def bounded(bounds: Bounds) -> type[BoundedHttp]:
    """Return uvicorn's protocol with these bounds; uvicorn makes its connections of a class."""
    return type("BoundedHttp", (BoundedHttp,), {"bounds": bounds})
