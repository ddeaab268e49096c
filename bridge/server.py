"""The sidecar: registry, services and both ports in one event loop, from start to graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc
import onnxruntime
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2

from bridge import __version__
from bridge.bundle_loader import LoadOptions, load_bundle
from bridge.calls import Calls, Places
from bridge.config import Limits, ServeConfig
from bridge.game_sessions import GameSessions, KeptLimits
from bridge.metrics import Metrics
from bridge.ports import bind_tcp, bind_unix, bracket, channel_options, listen, most_open_calls, raise_file_limit
from bridge.probe import Probe, ProbeSettings, cache_folder
from bridge.providers import ProviderError, choose_providers
from bridge.registry import Registry, ServedModel, UnservedModel
from bridge.reloader import Reloader
from bridge.rpc import Methods
from bridge.services import admin, family_modules, kserve
from bridge.services import model as model_service
from bridge.serving_settings import parse_overrides
from bridge.standard_services import health_handler, reflection_handlers
from bridge.start_checks import StartError, check, command_settings, open_tls, read_access, version_policy
from bridge.supervisor import Supervisor
from bridge.tracing import TracingError, open_tracing
from bridge.web import WebServer, web_server

if TYPE_CHECKING:
    from bridge.worker import Worker

SWEEPS = 8
"""How often in the time to live of a game session what is too old is freed."""
log = logging.getLogger("metabridge")


class Sidecar:
    """A running sidecar: `async with Sidecar(config) as sidecar` serves until the block ends.

    gRPC's health service answers NOT_SERVING until every model is loaded and warmed up. Leaving the block stops taking calls,
    gives those that run `drain_seconds`, and frees the ports. A sidecar that is one `worker` of several shares its ports with
    the others, and binds them when its models are there.
    """

    def __init__(self, config: ServeConfig, worker: Worker | None = None) -> None:
        check(config)
        self.config = config
        self._worker = worker
        self.port = 0
        self.web_port = 0
        self.registry = Registry()
        self.access = read_access(config)
        self._tls = open_tls(config)
        self._executor = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1), thread_name_prefix="run")
        self.reloader = Reloader(self.registry, config.models, self._load, version_policy(config), config.load_seconds)
        self._load_options: LoadOptions | None = None
        self.metrics = Metrics()
        self.sessions = GameSessions(_kept_limits(config.limits))
        self._tracing = open_tracing(__version__)
        observers = (self.metrics.observe, *((self._tracing.observe,) if self._tracing else ()))
        limits = config.limits
        places = Places(limits.max_concurrent_calls)
        self._calls = Calls(
            self.access, observers, places, limits.request_seconds, limits.answer_seconds, limits.max_message_bytes
        )
        self._services = self._make_services()
        self._health = health.aio.HealthServicer()
        self._server: Any = None
        self._web: WebServer | None = None
        self._web_task: asyncio.Task[None] | None = None
        self._watch_task: asyncio.Task[None] | None = None
        self._sweep_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Sidecar:
        self._load_options = self._make_load_options()
        self.reloader.probe = self._make_probe(self._load_options)
        if self._worker:
            await self._worker.join(self)
            await self.reloader.start()
            await self._worker.catch_up()
        self._server = self._grpc_server()
        self.port = self._bind_grpc()
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        try:
            await self._start_web()
            if not self._worker:
                await self.reloader.start()
            self._sweep_task = asyncio.create_task(self._sweep())
            if self.config.watch_seconds:
                self._watch_task = asyncio.create_task(self.reloader.watch(self.config.watch_seconds))
        except BaseException:
            await self._stop(0.0)
            raise
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop(self.config.drain_seconds)

    def ready_line(self) -> str:
        """Return what `serve` prints when the sidecar is ready: one line of JSON with its addresses."""
        host, scheme = bracket(self.config.host), "https" if self._tls else "http"
        address = f"{host}:{self.port}"
        web = f"{scheme}://{host}:{self.web_port}" if self.web_port else ""
        served = [f"{name}:{version}" for name, version in sorted(self.registry.served)]
        refused = [f"{name}:{version}" for name, version in sorted(self.registry.refused)]
        line = {
            "address": address,
            "tls": bool(self._tls),
            "web": web,
            "models": served,
            "refused": refused,
            "pid": os.getpid(),
        }
        return json.dumps(line)

    def _make_services(self) -> list[tuple[ServiceDescriptor, object]]:
        limits = self.config.limits
        self.metrics.watch(self.registry, self.reloader, self.sessions)
        modules = [model_service, kserve, *family_modules().values()]
        services = [(module.DESCRIPTOR, module.Service(self.registry, limits, self.sessions)) for module in modules]
        if self.access.admin_token:
            services.append((admin.DESCRIPTOR, admin.Service(self.reloader, self._worker)))
        return services

    def _grpc_server(self) -> Any:
        limits = self.config.limits
        options = channel_options(limits, bool(self._worker))
        server = grpc.aio.server(options=options, maximum_concurrent_rpcs=most_open_calls(limits))
        server.add_generic_rpc_handlers((Methods(self._services, self._calls),))
        names = [descriptor.full_name for descriptor, _ in self._services]
        server.add_generic_rpc_handlers(
            (health_handler(self._health), *reflection_handlers([*names, health.SERVICE_NAME], self._calls))
        )
        return server

    def _bind_grpc(self) -> int:
        if self.config.unix_socket:
            bind_unix(self._server, self.config.unix_socket, int(self.config.unix_mode, 8))
        return bind_tcp(self._server, self.config.host, self.config.port, self._tls)

    async def _start_web(self) -> None:
        port = self.config.web_port
        if port is None:
            port = self.config.port and self.config.port + 1
        if port < 0:
            return
        listener = listen(self.config.host, port, bool(self._worker))
        self.web_port = listener.getsockname()[1]
        self._web = web_server(
            self._services,
            self._calls,
            self._show_metrics,
            tls=self._tls,
            allowed_hosts=self.config.allowed_hosts,
            limits=self.config.limits,
            cors_origins=self.config.cors_origins,
            drain_seconds=self.config.drain_seconds,
        )
        self._web_task = await self._web.start(listener)

    async def _show_metrics(self) -> bytes:
        """Return the metrics of this sidecar or, where it is one worker of several, of all of them."""
        return await (self._worker.metrics() if self._worker else asyncio.to_thread(self.metrics.exposition))

    def _make_load_options(self) -> LoadOptions:
        return LoadOptions(
            providers=choose_providers(self.config.providers, self.config.device_id, self.config.gpu_memory_mib),
            strict="strict" in self.config.providers,
            executor=self._executor,
            command=command_settings(self.config),
            overrides=parse_overrides(self.config.model_settings),
            allow_bare_onnx=self.config.allow_bare_onnx,
            io_binding=self.config.io_binding,
            rows_of=self.metrics.rows_of,
        )

    def _make_probe(self, options: LoadOptions) -> Probe | None:
        if self.config.load_isolation == "never":
            return None
        settings = ProbeSettings(
            providers=list(options.providers),
            strict=options.strict,
            command=options.command,
            overrides=options.overrides,
            allow_bare_onnx=options.allow_bare_onnx,
            io_binding=options.io_binding,
            seconds=self.config.load_seconds,
            memory_mib=self.config.load_memory_mib,
        )
        return Probe(settings, always=self.config.load_isolation == "always", cache=cache_folder())

    def _load(self, folder: Path) -> ServedModel | UnservedModel:
        assert self._load_options is not None, "bundles are loaded after the start has chosen the providers"
        return load_bundle(folder, family_modules(), self._load_options)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *(descriptor.full_name for descriptor, _ in self._services)):
            await self._health.set(name, status)

    async def _sweep(self) -> None:
        """Free again and again what sessions and agents left that are too old."""
        while True:
            await asyncio.sleep(self.config.limits.session_seconds / SWEEPS)
            for _ in self.sessions.sweep():
                await asyncio.sleep(0)

    async def _stop(self, grace: float) -> None:
        await self._health.enter_graceful_shutdown()
        for task in (self._watch_task, self._sweep_task):
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self.sessions.close()
        if self._web and self._web_task:
            self._web.should_exit = True
        await self._server.stop(grace)
        if self.config.unix_socket:
            self.config.unix_socket.unlink(missing_ok=True)
        if self._web_task:
            await self._web_task
        self._executor.shutdown(wait=True)
        if self._tracing:
            await asyncio.to_thread(self._tracing.close)


def _kept_limits(limits: Limits) -> KeptLimits:
    return KeptLimits(
        sessions=limits.max_sessions,
        agents=limits.kept_agents,
        agents_per_group=limits.max_agents,
        bytes=limits.kept_mib << 20,
        seconds=limits.session_seconds,
    )


async def serve(config: ServeConfig, worker: Worker | None = None) -> None:
    """Serve until SIGINT or SIGTERM, which end a start that still loads too; print the ready line on standard output.

    A `worker` tells it to its supervisor instead.
    """
    start, ready = time.perf_counter(), False
    raise_file_limit()
    stop, task = asyncio.Event(), asyncio.current_task()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if task is not None and not ready and not stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in its event loop
            loop.add_signal_handler(number, end)
    try:
        async with Supervisor(config) if config.workers > 1 and not worker else Sidecar(config, worker) as running:
            ready = True
            if worker:
                await worker.announce(running.ready_line())
            else:
                print(running.ready_line(), flush=True)
            log.info("ready after %.2f s with ONNX Runtime %s", time.perf_counter() - start, onnxruntime.__version__)
            await stop.wait()
            log.info("stopping: calls that run get %.0f s", config.drain_seconds)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        log.info("stopped before it was ready")


def run(config: ServeConfig, worker: Worker | None = None) -> int:
    """Serve until a signal; return the exit code: 0, or 1 for a start that failed and was explained."""
    try:
        asyncio.run(serve(config, worker))
    except (StartError, ProviderError, TracingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
