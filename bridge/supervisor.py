"""Several worker processes on the same ports: started, watched and ended together.

The kernel gives each new connection to one of them (SO_REUSEPORT), and the connection stays there; so does the state of its
game sessions. A worker that ends is replaced. What AdminService changes is done by all, in one order, and by those that come
later.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import pickle
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bridge.config import ServeConfig
from bridge.errors import Unavailable
from bridge.metrics_sum import sum_of
from bridge.ports import reserve
from bridge.start_checks import StartError, check
from bridge.worker_link import WorkerLink

FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 0.2, 10.0, 10.0
KILL_AFTER_S = 10.0
log = logging.getLogger("metabridge")
Change = list[Any]


@dataclass(eq=False)
class _Worker:
    number: int
    process: Process
    link: WorkerLink
    answering: asyncio.Task[None]
    serving: asyncio.Future[str]


class Supervisor:
    """`async with Supervisor(config) as supervisor`: workers serve until the block ends, each draining as a sidecar does."""

    def __init__(self, config: ServeConfig) -> None:
        check(config)
        if not sys.platform.startswith("linux"):
            raise StartError(f"--workers is {config.workers}: only Linux spreads connections over processes; leave it at 1")
        if config.unix_socket:
            raise StartError(
                "--unix-socket and --workers do not go together: a Unix domain socket has one owner; leave one out"
            )
        self._config = config
        self._places: list[socket.socket] = []
        self._workers: dict[int, _Worker] = {}
        self._changes: dict[tuple[str, int], Change] = {}
        self._changing = asyncio.Lock()
        self._keepers: list[asyncio.Task[None]] = []
        self._first_line = ""

    async def __aenter__(self) -> Supervisor:
        self._config = self._reserve()
        started: list[asyncio.Future[str]] = [asyncio.get_running_loop().create_future() for _ in range(self._config.workers)]
        self._keepers = [asyncio.create_task(self._keep(number, first)) for number, first in enumerate(started)]
        try:
            self._first_line = (await asyncio.gather(*started))[0]
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    def ready_line(self) -> str:
        """Return a sidecar's line with this process's id, and the ids of the workers."""
        line = json.loads(self._first_line)
        pids = [worker.process.pid for _, worker in sorted(self._workers.items())]
        return json.dumps(line | {"pid": os.getpid(), "workers": pids})

    def _reserve(self) -> ServeConfig:
        """Take both ports without listening, so that they stay ours while workers come and go; return the settings."""
        config = self._config
        self._places.append(reserve(config.host, config.port, "--port"))
        port = self._places[-1].getsockname()[1]
        web_port = config.web_port if config.web_port is not None else config.port and config.port + 1
        if web_port >= 0:
            self._places.append(reserve(config.host, web_port, "--web-port"))
            web_port = self._places[-1].getsockname()[1]
        return replace(config, port=port, web_port=web_port)

    async def _keep(self, number: int, started: asyncio.Future[str]) -> None:
        """Keep a worker running: one that ends after it has served is replaced, after a pause that grows while that is soon."""
        pause_s = FIRST_PAUSE_S
        while True:
            begun_s = time.monotonic()
            worker = await self._start(number)
            try:
                code = await self._watch(worker, started)
            finally:
                self._workers.pop(number, None)
                await self._end(worker)
            if not started.done():
                started.set_exception(StartError(f"worker {number} ended with {code} before it served; its log says why"))
                return
            if time.monotonic() - begun_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            log.error("worker %d (pid %d) ended with %s; another starts in %.1f s", number, worker.process.pid, code, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _start(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bridge.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.PIPE,
            )
        assert process.stdin is not None
        process.stdin.write(base64.b64encode(pickle.dumps(self._config)) + b"\n")
        process.stdin.close()
        serving: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def answer(question: str, value: Any) -> Any:
            if question == "serving":
                serving.set_result(value)
                return None
            if question == "changes":
                async with self._changing:  # from here on it is told of new ones
                    self._workers[number] = worker
                    return list(self._changes.values())
            return await self._answer(question, value)

        link = await WorkerLink.open(ours, answer)
        worker = _Worker(number, process, link, asyncio.create_task(link.run()), serving)
        return worker

    async def _watch(self, worker: _Worker, started: asyncio.Future[str]) -> int:
        ended = asyncio.ensure_future(worker.process.wait())
        either: list[asyncio.Future[Any]] = [ended, worker.serving]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if worker.serving.done() and not started.done():
            started.set_result(worker.serving.result())
        return await ended

    async def _answer(self, question: str, value: Any) -> Any:
        if question == "metrics":
            texts = await _ask_all([worker for worker in self._workers.values() if worker.serving.done()], question, None)
            return (await asyncio.to_thread(sum_of, [text.encode() for text in texts])).decode()
        async with self._changing:
            done: Change = (await _ask_all(self._workers.values(), question, value))[0]
            if done[0] != "reload":
                self._changes[done[1], done[2]] = done
        return done

    async def _end(self, worker: _Worker) -> None:
        """Have a worker drain and end; one that does not is killed."""
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(worker.process.wait(), self._config.drain_seconds + KILL_AFTER_S)
        except TimeoutError:
            log.error("worker %d does not end; it is killed", worker.number)
            worker.process.kill()
        worker.answering.cancel()

    async def _stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for place in self._places:
            place.close()


async def _ask_all(workers: Iterable[_Worker], question: str, value: Any) -> list[Any]:
    """Return the answers of workers, without those that end meanwhile; the first error of any, once all have answered."""
    answers = await asyncio.gather(*(worker.link.ask(question, value) for worker in workers), return_exceptions=True)
    for error in answers:
        if isinstance(error, BaseException) and not isinstance(error, Unavailable):
            raise error
    given = [answer for answer in answers if not isinstance(answer, BaseException)]
    if not given:
        raise Unavailable("no worker serves at the moment; try again", retry_s=FIRST_PAUSE_S)
    return given
