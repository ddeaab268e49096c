"""Many requests, one ONNX Runtime run, many answers: the dynamic batcher in front of every session."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from bridge.calls import Call, current_call
from bridge.errors import DeadlineExceeded, ResourceExhausted

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
RETRY_SECONDS = 0.05


class Runs(Protocol):
    """What the batcher needs of a session."""

    def run(self, feeds: Mapping[str, Array]) -> Arrays:
        """Run the graph once."""

    def inline(self, rows: int) -> bool:
        """Return whether a batch may run on the event loop."""


@dataclass(frozen=True)
class BatchLimits:
    """How requests are put together."""

    max_batch: int
    """Rows in one ONNX Runtime run at the most; a larger request is run in parts."""
    max_wait_s: float = 0.0
    """Seconds that the first request of a batch waits for others; 0 takes only those that are already there."""
    capacity: int = 256
    """Requests that may wait; one more is answered with RESOURCE_EXHAUSTED at once."""
    instances: int = 1
    """Runs at the same time."""


@dataclass(eq=False)  # compared by identity: arrays have no truth value
class _Request:
    feeds: Mapping[str, Array]
    rows: int
    key: tuple[Any, ...]
    answer: asyncio.Future[Arrays]
    arrived_s: float
    alone: bool
    call: Call | None


class Batcher:
    """Queues requests for one session and runs those of equal shape together, as many runs at a time as it has instances.

    An answer equals the unbatched one within the parity tolerance. A request whose caller is gone (cancelled, or past its
    deadline) leaves the queue and is not run. After an exception of the session, the requests of that run are run one by one:
    it reaches those that cause it.
    """

    def __init__(
        self, session: Runs, limits: BatchLimits, executor: Executor, on_run: Callable[[float], None] = lambda rows: None
    ) -> None:
        self._session = session
        self._limits = limits
        self._executor = executor
        self._on_run = on_run
        self._queue: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._workers: set[asyncio.Task[None]] = set()
        self._gathering = asyncio.Lock()
        self.batch_sizes: deque[int] = deque(maxlen=1024)

    async def run(self, feeds: Mapping[str, Array], *, alone: bool = False, begun: bool = False) -> Arrays:
        """Run arrays [rows, ...] (rows at least 1, equal for all) and return the outputs [rows, ...].

        `alone` keeps the rows of other requests out of the run: equal feeds give equal bytes. Raises
        `ResourceExhausted` with a retry delay when the queue is full, unless the run goes on with work that has `begun`: what
        was let in once is not thrown away half done. Raises `DeadlineExceeded` when the current call's deadline is past.
        """
        rows = len(next(iter(feeds.values())))
        limit = self._limits.max_batch
        if rows > limit:
            cuts = range(0, rows, limit)
            parts = [await self.run({n: a[i : i + limit] for n, a in feeds.items()}, alone=alone, begun=begun) for i in cuts]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        call, start = current_call(), time.monotonic()
        if call is not None and call.deadline_s is not None and start >= call.deadline_s:
            raise _too_late()
        if self.at_once(rows):
            self._count(rows)
            outputs = self._session.run(feeds)
            if call is not None:
                call.waited(0.0, time.monotonic() - start)
            return outputs
        return await self._enqueue(feeds, rows, alone, begun)

    def at_once(self, rows: int) -> bool:
        """Return whether `run` would run so many rows now, on the event loop, without waiting for anything."""
        free = not self._workers and not self._limits.max_wait_s and rows <= self._limits.max_batch
        return free and self._session.inline(rows)

    @property
    def depth(self) -> int:
        """Return the number of requests that wait."""
        return len(self._queue)

    def _count(self, rows: int) -> None:
        self.batch_sizes.append(rows)
        self._on_run(rows)

    async def _enqueue(self, feeds: Mapping[str, Array], rows: int, alone: bool, begun: bool) -> Arrays:
        if len(self._queue) >= self._limits.capacity and not begun:
            message = f"{len(self._queue)} requests wait for this model already; try again or raise --queue-capacity"
            raise ResourceExhausted(message, retry_s=RETRY_SECONDS)
        key = tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(feeds.items()))
        loop = asyncio.get_running_loop()
        request = _Request(feeds, rows, key, loop.create_future(), loop.time(), alone, current_call())
        self._queue.append(request)
        self._arrived.set()
        if len(self._workers) < self._limits.instances:
            worker = asyncio.create_task(self._work(), context=Context())
            self._workers.add(worker)
        try:
            return await request.answer
        finally:
            if not request.answer.done() or request.answer.cancelled():
                self._forget(request)

    def _forget(self, request: _Request) -> None:
        if request in self._queue:
            self._queue.remove(request)

    async def _work(self) -> None:
        """Run batches until the queue is empty."""
        try:
            while self._queue:
                async with self._gathering:
                    await self._gather()
                    batch = self._take()
                if batch:
                    await self._run(batch)
        finally:
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _gather(self) -> None:
        """Wait until the first request's time is up, a batch is full, or the queue is."""
        loop = asyncio.get_running_loop()
        while self._queue and sum(request.rows for request in self._queue) < self._limits.max_batch:
            self._arrived.clear()
            left = self._queue[0].arrived_s + self._limits.max_wait_s - loop.time()
            if left <= 0 or self._queue[0].alone or len(self._queue) >= self._limits.capacity:
                return
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                return

    def _take(self) -> list[_Request]:
        """Take the requests from the front that fit into one run with the first."""
        batch: list[_Request] = []
        rows = 0
        while self._queue:
            request = self._queue[0]
            if batch and not self._fits(request, batch[0], rows):
                break
            self._queue.popleft()
            if request.answer.done():
                continue
            if request.call is not None and request.call.expired():
                request.answer.set_exception(_too_late())
            else:
                batch.append(request)
                rows += request.rows
        return batch

    def _fits(self, request: _Request, first: _Request, rows: int) -> bool:
        """Return whether a request can run with `first`, when `rows` rows do so already."""
        if request.alone or first.alone:
            return False
        return request.key == first.key and rows + request.rows <= self._limits.max_batch

    async def _run(self, batch: list[_Request]) -> None:
        rows = sum(request.rows for request in batch)
        self._count(rows)
        start_s = asyncio.get_running_loop().time()
        try:
            feeds = batch[0].feeds if len(batch) == 1 else _concatenate(batch)
            if self._session.inline(rows):
                outputs = self._session.run(feeds)
            else:
                loop = asyncio.get_running_loop()
                outputs = await loop.run_in_executor(self._executor, self._session.run, feeds)
        except BaseException as error:
            if len(batch) > 1 and isinstance(error, Exception):  # one of them may be at fault, the others are not
                for request in batch:
                    if not request.answer.done():
                        await self._run([request])
                return
            _fail(batch, error)
            if not isinstance(error, Exception):
                raise
            return
        run_s = asyncio.get_running_loop().time() - start_s
        start = 0
        for request in batch:
            if request.call is not None:
                request.call.waited(start_s - request.arrived_s, run_s)
            if not request.answer.done():
                part = {name: array[start : start + request.rows] for name, array in outputs.items()}
                request.answer.set_result(part)
            start += request.rows


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline was past before the model could run; give the call more time, or send fewer at once")


def _concatenate(batch: list[_Request]) -> Arrays:
    return {name: np.concatenate([request.feeds[name] for request in batch]) for name in batch[0].feeds}


def _fail(batch: list[_Request], error: BaseException) -> None:
    for request in batch:
        if not request.answer.done():
            if isinstance(error, Exception):
                request.answer.set_exception(error)
            else:
                request.answer.cancel()
