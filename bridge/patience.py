"""An end to waiting, for many waits at once: a timer for each would cost a call more than to read its message does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """Waits that end after `seconds` each, all watched by one timer. For the event loop that first uses it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due_s: dict[asyncio.Task[Any], float] = {}
        """When the wait of a task has to end; as all waits are as long, the first one here is the first one due."""
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, awaited: Awaitable[T]) -> T:
        """Return what comes of `awaited`; `TimeoutError` when it does not in time. A task has one such wait at a time."""
        task = asyncio.current_task()
        assert task is not None, "only tasks wait"
        loop, cancelling = task.get_loop(), task.cancelling()
        self._due_s[task] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._end_overdue, loop)
        try:
            return await awaited
        except asyncio.CancelledError as error:
            if task not in self._due_s and task.cancelling() <= cancelling + 1:  # it is this that ended it, and nobody else
                raise TimeoutError from error
            raise
        finally:
            if self._due_s.pop(task, None) is None:
                task.uncancel()

    def _end_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the waits whose time is over, and look again when the next one's is."""
        now_s, self._timer = loop.time(), None
        while self._due_s:
            task, due_s = next(iter(self._due_s.items()))
            if due_s > now_s:
                self._timer = loop.call_at(due_s, self._end_overdue, loop)
                return
            del self._due_s[task]
            task.cancel()
