"""Prometheus metrics of the sidecar: calls and where their time went, batches, queues, sessions, models, reloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bridge.calls import Call
from bridge.game_sessions import GameSessions
from bridge.registry import Registry
from bridge.reloader import Reloader
from bridge.v1.model_service_pb2 import ModelState

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "metabridge"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
PHASES = ("queue", "run", "encode")


class Metrics:
    """What is counted while the sidecar runs; `Calls` and the batchers tell, `exposition` shows."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        names = ["method", "model"]
        self._calls = Counter(f"{PREFIX}_calls", "Calls that ended.", ["method", "protocol", "code"], registry=self._registry)
        self._seconds = Histogram(
            f"{PREFIX}_call_seconds", "Seconds from a call's begin to its end.", names, buckets=SECONDS, registry=self._registry
        )
        self._phases = Histogram(
            f"{PREFIX}_call_phase_seconds",
            "Seconds of a call in queues, in ONNX Runtime, and for everything else (checks, arrays, pictures).",
            [*names, "phase"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._rows = Histogram(
            f"{PREFIX}_batch_rows", "Rows of an ONNX Runtime run.", ["model", "graph"], buckets=ROWS, registry=self._registry
        )
        self._agents = Counter(
            f"{PREFIX}_agents_answered",
            "Agents that were given an action, by where it comes from: the model, the last action, a neutral one.",
            ["model", "source"],
            registry=self._registry,
        )
        self._sources = cache(self._agents.labels)
        self._children = cache(self._phase_children)
        self._counts = cache(self._calls.labels)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def observe(self, call: Call) -> None:
        """Count a call that has ended."""
        self._counts(call.method, call.protocol, call.code.name).inc()
        total, phases = self._children(call.method, call.model)
        seconds = call.ended_s - call.started_s
        total.observe(seconds)
        for phase, value in zip(phases, (call.queue_s, call.run_s, max(seconds - call.queue_s - call.run_s, 0.0)), strict=True):
            phase.observe(value)

        for model, source, count in call.answers:
            self._sources(model, source).inc(count)

    def rows_of(self, model: str, graph: str) -> Callable[[float], None]:
        """Return what a batcher calls with the rows of each run."""
        observe: Callable[[float], None] = self._rows.labels(model, graph).observe
        return observe

    def watch(self, registry: Registry, reloader: Reloader, sessions: GameSessions) -> None:
        """Show, from now on, what these hold at the moment of asking."""
        self._registry.register(_State(registry, reloader, sessions))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def _phase_children(self, method: str, model: str) -> tuple[Histogram, tuple[Histogram, ...]]:
        return self._seconds.labels(method, model), tuple(self._phases.labels(method, model, phase) for phase in PHASES)


class _State(Collector):
    """Gauges that are read when they are asked for."""

    def __init__(self, registry: Registry, reloader: Reloader, sessions: GameSessions) -> None:
        self._models, self._reloader, self._sessions = registry, reloader, sessions

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges and the counts of reloads."""
        yield from self._kept()
        yield self._queues()
        yield from self._bundles()
        reloads = CounterMetricFamily(
            f"{PREFIX}_bundle_loads", "Bundles that were loaded, refused, unloaded.", labels=["result"]
        )
        for result, count in vars(self._reloader.counts).items():
            reloads.add_metric([result], count)
        yield reloads

    def _kept(self) -> Iterator[Metric]:
        sessions = self._sessions
        yield GaugeMetricFamily(f"{PREFIX}_game_sessions", "Game sessions that are kept.", value=len(sessions))
        yield GaugeMetricFamily(f"{PREFIX}_kept_agents", "Agents whose action and state are kept.", value=sessions.agents)
        yield GaugeMetricFamily(f"{PREFIX}_kept_bytes", "Bytes that what is kept of agents takes.", value=sessions.bytes)
        forgotten = CounterMetricFamily(
            f"{PREFIX}_forgotten_agents",
            "Agents that were forgotten: session ended, age, no room, another model, another keeper, its holder gone.",
            labels=["reason"],
        )
        for reason, count in sessions.forgotten.items():
            forgotten.add_metric([reason], count)
        yield forgotten

    def _queues(self) -> Metric:
        family = GaugeMetricFamily(f"{PREFIX}_queue_depth", "Requests that wait.", labels=["model", "version", "graph"])
        for (name, version), model in self._models.served.items():
            for graph, batcher in model.batchers.items():
                family.add_metric([name, str(version), graph], batcher.depth)
        return family

    def _bundles(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            f"{PREFIX}_model_info", "1 for every model that serves.", labels=["model", "version", "family", "provider"]
        )
        for (name, version), model in self._models.served.items():
            info.add_metric([name, str(version), model.card.family, model.provider], 1)
        yield info
        states = GaugeMetricFamily(f"{PREFIX}_bundles", "Bundles in each state.", labels=["state"])
        counts = dict.fromkeys(ModelState.values()[1:], 0)
        counts[ModelState.Value("MODEL_STATE_SERVING")] = len(self._models.served)
        for entry in self._models.unserved.values():
            counts[entry.state] += 1
        for state, count in counts.items():
            states.add_metric([ModelState.Name(state).removeprefix("MODEL_STATE_").lower()], count)
        yield states
