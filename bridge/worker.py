"""One of several processes that serve the same ports: a sidecar that answers its supervisor. Started by `bridge.supervisor`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import pickle
import signal
import socket
import sys
from typing import Any

from bridge import logs
from bridge.config import ServeConfig
from bridge.errors import ServiceError
from bridge.registry import Key
from bridge.reloader import Reloader
from bridge.server import Sidecar, run
from bridge.v1.model_service_pb2 import ModelSelector
from bridge.worker_link import WorkerLink


class Worker:
    """What a sidecar among others needs of the rest: changes that reach all, and the metrics of all."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sidecar: Sidecar | None = None
        self._link: WorkerLink | None = None
        self._running: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    async def join(self, sidecar: Sidecar) -> None:
        """Begin to answer; a sidecar whose supervisor ends drains and ends too."""
        self._sidecar = sidecar
        self._link = await WorkerLink.open(self._end, self._answer)
        self._running = asyncio.create_task(self._link.run())
        self._running.add_done_callback(_end)

    async def catch_up(self) -> None:
        """Do what AdminService changed since the others started."""
        for change in await self._ask("changes"):
            with contextlib.suppress(ServiceError):  # a bundle that is gone or refused by now: its state says so
                await apply(self._loaded.reloader, change)
        self._caught_up.set()

    async def announce(self, line: str) -> None:
        """Say that this worker serves."""
        await self._ask("serving", line)

    async def change(self, action: str, name: str = "", version: int = 0) -> Key:
        """Have all workers do what AdminService asks; return the bundle's name and version. Raises the first error of any."""
        _, name, version = await self._ask("change", [action, name, version])
        return name, version

    async def metrics(self) -> bytes:
        """Return the metrics of all workers as those of one sidecar."""
        text: str = await self._ask("metrics")
        return text.encode()

    @property
    def _loaded(self) -> Sidecar:
        assert self._sidecar is not None, "join comes first"
        return self._sidecar

    async def _ask(self, question: str, value: Any = None) -> Any:
        assert self._link is not None, "join comes first"
        return await self._link.ask(question, value)

    async def _answer(self, question: str, value: Any) -> Any:
        if question == "metrics":
            return (await asyncio.to_thread(self._loaded.metrics.exposition)).decode()
        await self._caught_up.wait()
        return await apply(self._loaded.reloader, value)


def _end(link: asyncio.Task[None]) -> None:
    """End this process as its supervisor would have, now that it is gone."""
    if not link.cancelled():
        os.kill(os.getpid(), signal.SIGTERM)


async def apply(reloader: Reloader, change: list[Any]) -> list[Any]:
    """Do a change of AdminService, `[action, name, version]`; return it with the version that it was done to."""
    action, name, version = change
    if action == "reload":
        await reloader.reload()
        return change
    do = reloader.load_model if action == "load" else reloader.unload_model
    return [action, *await do(ModelSelector(name=name, version=version))]


def main() -> int:
    """Serve as the supervisor says: the descriptor of the link is an argument, the settings come on standard input."""
    config: ServeConfig = pickle.loads(base64.b64decode(sys.stdin.readline()))
    logs.set_up(config.log_format, config.log_level)
    return run(config, Worker(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    sys.exit(main())
