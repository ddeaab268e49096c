"""Questions and answers between a supervisor and one of its workers, both ways over one socket: a JSON object a line."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from bridge.errors import FailedPrecondition, ServiceError, Unavailable, service_error

MAX_LINE_BYTES = 1 << 26
log = logging.getLogger("metabridge")
Answer = Callable[[str, Any], Awaitable[Any]]


class WorkerLink:
    """One end. `answer` is called with the name of a question and its value, both of them JSON; its errors reach who asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader, self._writer, self._answer = reader, writer, answer
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True

    @classmethod
    async def open(cls, end: socket.socket, answer: Answer) -> WorkerLink:
        """Return the link over one end of a socket pair; it answers while `run` runs."""
        reader, writer = await asyncio.open_connection(sock=end, limit=MAX_LINE_BYTES)
        return cls(reader, writer, answer)

    async def ask(self, question: str, value: Any = None) -> Any:
        """Return the other end's answer; its error if it had one, and `Unavailable` if it is gone."""
        if not self._open:
            raise _gone()
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"number": number, "question": question, "value": value})
            return await self._waiting[number]
        finally:
            del self._waiting[number]

    async def run(self) -> None:
        """Answer until the other end is gone."""
        try:
            while line := await self._reader.readline():
                self._receive(json.loads(line))
        except (ConnectionError, ValueError) as error:
            log.error("a worker's link is broken: %s", error)
        finally:
            self._open = False
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(_gone())
            for task in self._tasks:
                task.cancel()
            self._writer.close()

    def _receive(self, message: dict[str, Any]) -> None:
        number = message["number"]
        if "question" in message:
            task = asyncio.create_task(self._reply(number, message["question"], message["value"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(service_error(**message["error"]))
        else:
            future.set_result(message["answer"])

    async def _reply(self, number: int, question: str, value: Any) -> None:
        try:
            self._send({"number": number, "answer": await self._answer(question, value)})
        except ServiceError as error:
            details = {"code": error.code.name, "message": error.message, "field": error.field, "retry_s": error.retry_s}
            self._send({"number": number, "error": details})
        except Exception as error:
            log.exception("%s failed", question)
            failed = FailedPrecondition(f"{question} failed inside a worker ({type(error).__name__}); the log says why")
            self._send({"number": number, "error": {"code": failed.code.name, "message": failed.message}})

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(json.dumps(message).encode() + b"\n")


def _gone() -> Unavailable:
    return Unavailable("the process at the other end has ended; try again", retry_s=0.5)
