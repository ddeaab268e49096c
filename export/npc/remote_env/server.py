"""The trainer's server: `EnvironmentService` over gRPC, gRPC-Web and Connect, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc

from bridge.calls import Calls
from bridge.calls import Places as CallPlaces
from bridge.config import Limits, ServeConfig
from bridge.metrics import Metrics
from bridge.ports import bind_tcp, bracket, channel_options, listen, most_open_calls
from bridge.rpc import Methods
from bridge.start_checks import StartError, check_exposure, open_tls, read_access
from bridge.tls import Tls
from bridge.web import WebServer, web_server
from export.npc.remote_env.service import DESCRIPTOR, Places, Service
from export.npc.remote_env.session import Timing
from export.npc.remote_env.spec import EngineSpec

T = TypeVar("T")
__all__ = ["EngineServer", "ListenConfig", "StartError", "StoppedError"]

GRACE_SECONDS = 2.0
POLL_SECONDS = 0.25
CALLS_PER_ENGINE = 4


class StoppedError(Exception):
    """The wait for an engine was given up, because the training is to stop."""


@dataclass(frozen=True)
class ListenConfig:
    """Where engines find the trainer, and when it takes them for lost."""

    host: str = "127.0.0.1"
    """Address to bind; one that other machines can reach needs TLS and a token, or --listen.insecure."""
    port: int = 50_061
    """Port for gRPC over HTTP/2; 0 takes a free one."""
    web_port: int | None = None
    """Port for gRPC-Web and Connect: by default the one after the port, or a free one if that is 0."""
    tls_cert: Path | None = None
    """PEM file with the certificate chain of both ports; without one they speak in the clear."""
    tls_key: Path | None = None
    """PEM file with the key of the certificate."""
    token_file: Path | None = None
    """File with the bearer token that engines must send; without one, that of METABRIDGE_TOKEN, else none."""
    insecure: bool = False
    """Let other machines in without TLS or a token: on a network where everybody is trusted."""
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages whose engines (WebGL) may call, https://game.example."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside localhost and addresses, by which the web port may be called; any other Host header is refused."""
    max_message_mib: int = 64
    """MiB of one report or command; an offer whose step would not fit is refused."""
    timing: Timing = field(default_factory=Timing)
    """When an engine is taken for lost."""


class EngineServer:
    """Serves from `__enter__` to `__exit__`; `address` and `web` say where. `run` lets a thread await what runs on the loop."""

    def __init__(self, config: ListenConfig, engines: int = 1, expected: EngineSpec | None = None) -> None:
        if engines < 1:
            raise ValueError(f"there are to be {engines} engines, expected at least 1")
        self.config = config
        self.address = self.web = ""
        self._count, self._expected = engines, expected
        self._places: Places | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="engines", daemon=True)

    @property
    def places(self) -> Places:
        """The places for engines; only to be used on the loop."""
        assert self._places is not None, "the server is not started"
        return self._places

    def start(self) -> None:
        """Bind the ports and serve; raises what binding them raises. `with` does the same where it was not done before."""
        if self._thread.ident is None:
            self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def __enter__(self) -> EngineServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close("the training is over" if error is None else f"the training ended: {error}")

    def close(self, reason: str) -> None:
        """Tell the engines that all is over, and free the ports; a second call does nothing."""
        if not self._thread.is_alive():
            return

        def stop() -> None:
            self.places.end(reason)
            self._stop.set()

        self._loop.call_soon_threadsafe(stop)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, T], should_stop: Callable[[], bool] = lambda: False) -> T:
        """Return what a coroutine on the loop returns; `StoppedError` as soon as `should_stop` says so."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while not wait([future], POLL_SECONDS).done:
            if should_stop():
                future.cancel()
                raise StoppedError("stopped while waiting for an engine")
        try:
            return future.result()
        except CancelledError:
            raise StoppedError("the server has ended") from None

    def call(self, function: Callable[[], T]) -> T:
        """Return what a function returns that has to run on the loop."""

        async def once() -> T:
            return function()

        return self.run(once())

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _main(self) -> None:
        config, limits = self.config, self._limits()
        settings = ServeConfig(**{name: getattr(config, name) for name in _SHARED})
        check_exposure(settings)
        if bool(config.tls_cert) != bool(config.tls_key):
            raise StartError("--listen.tls-cert and --listen.tls-key go together; name the missing file")
        self._places = places = Places(self._count, config.timing, limits.max_message_bytes, self._expected)
        service, metrics, tls = Service(places), Metrics(), open_tls(settings)
        calls = Calls(
            read_access(settings),
            (metrics.observe,),
            CallPlaces(limits.max_concurrent_calls),
            limits.request_seconds,
            limits.answer_seconds,
            limits.max_message_bytes,
        )
        server = grpc.aio.server(options=channel_options(limits), maximum_concurrent_rpcs=most_open_calls(limits))
        server.add_generic_rpc_handlers((Methods([(DESCRIPTOR, service)], calls),))
        web = web_server(
            [(DESCRIPTOR, service)],
            calls,
            metrics,
            tls=tls,
            allowed_hosts=config.allowed_hosts,
            limits=limits,
            cors_origins=config.cors_origins,
            drain_seconds=GRACE_SECONDS,
        )
        await self._serve_on(server, web, tls)

    async def _serve_on(self, server: Any, web: WebServer, tls: Tls | None) -> None:
        """Bind both ports and serve until `close`; engines that wait hear the farewell first."""
        config = self.config
        port = bind_tcp(server, config.host, config.port, tls)
        listener = listen(config.host, config.web_port if config.web_port is not None else config.port and config.port + 1)
        self.address = f"{bracket(config.host)}:{port}"
        self.web = f"{'https' if tls else 'http'}://{bracket(config.host)}:{listener.getsockname()[1]}"
        await server.start()
        web_task = await web.start(listener)
        self._ready.set()
        await self._stop.wait()
        await self.places.dismissed(GRACE_SECONDS)
        web.should_exit = True
        await server.stop(GRACE_SECONDS)
        await asyncio.gather(web_task, return_exceptions=True)
        await self._settle()

    def _limits(self) -> Limits:
        calls = 8 + CALLS_PER_ENGINE * self._count
        return Limits(max_message_bytes=self.config.max_message_mib << 20, max_concurrent_calls=calls, max_streams=2 * calls)

    async def _settle(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.gather(*rest, return_exceptions=True)


_SHARED = ("host", "port", "tls_cert", "tls_key", "token_file", "insecure", "cors_origins")
