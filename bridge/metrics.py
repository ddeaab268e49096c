"""Prometheus metrics of the sidecar: calls and where their time went, batches, queues, sessions, models, reloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import grpc
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bridge.calls import Call
from bridge.game_sessions import GameSessions
from bridge.histograms import Histogram
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
        self._counts = _Counts()
        self._registry.register(self._counts)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def observe(self, call: Call) -> None:
        """Count a call that has ended."""
        counts = self._counts
        counts.ended[call.method, call.protocol, call.code] += 1
        times = counts.times.get((call.method, call.model)) or counts.new_times(call.method, call.model)
        seconds, queue_s, run_s = call.ended_s - call.started_s, call.queue_s, call.run_s
        total, queue, run, encode = times
        total.observe(seconds)
        queue.observe(queue_s)
        run.observe(run_s)
        encode.observe(max(seconds - queue_s - run_s, 0.0))
        for model, source, count in call.answers:
            counts.answered[model, source] += count

    def rows_of(self, model: str, graph: str) -> Callable[[float], None]:
        """Return what a batcher calls with the rows of each run."""
        return self._counts.rows.setdefault((model, graph), Histogram(ROWS)).observe

    def watch(self, registry: Registry, reloader: Reloader, sessions: GameSessions) -> None:
        """Show, from now on, what these hold at the moment of asking."""
        self._registry.register(_State(registry, reloader, sessions))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class _Counts(Collector):
    """What was counted since the start: calls by how they ended, where their time and their actions came from, rows of runs."""

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str, grpc.StatusCode]] = Counter()
        self.answered: Counter[tuple[str, str]] = Counter()
        self.times: dict[tuple[str, str], tuple[Histogram, ...]] = {}
        self.rows: dict[tuple[str, str], Histogram] = {}

    def new_times(self, method: str, model: str) -> tuple[Histogram, ...]:
        """Return new histograms of a method's calls for a model: of the whole, and of each phase."""
        times = tuple(Histogram(SECONDS) for _ in ("whole", *PHASES))
        self.times[method, model] = times
        return times

    def collect(self) -> Iterator[Metric]:
        """Yield the counters and histograms."""
        calls = CounterMetricFamily(f"{PREFIX}_calls", "Calls that ended.", labels=["method", "protocol", "code"])
        for (method, protocol, code), count in self.ended.copy().items():
            calls.add_metric([method, protocol, code.name], count)
        answered = CounterMetricFamily(
            f"{PREFIX}_agents_answered",
            "Agents that were given an action, by where it comes from: the model, the last action, a neutral one.",
            labels=["model", "source"],
        )
        for key, count in self.answered.copy().items():
            answered.add_metric(list(key), count)
        yield from (calls, answered)
        names = ["method", "model"]
        whole = HistogramMetricFamily(f"{PREFIX}_call_seconds", "Seconds from a call's begin to its end.", labels=names)
        parts = HistogramMetricFamily(
            f"{PREFIX}_call_phase_seconds",
            "Seconds of a call in queues, in ONNX Runtime, and for everything else (checks, arrays, pictures).",
            labels=[*names, "phase"],
        )
        for key, (total, *phases) in self.times.copy().items():
            whole.add_metric(list(key), *total.shown())
            for phase, histogram in zip(PHASES, phases, strict=True):
                parts.add_metric([*key, phase], *histogram.shown())
        rows = HistogramMetricFamily(f"{PREFIX}_batch_rows", "Rows of an ONNX Runtime run.", labels=["model", "graph"])
        for key, histogram in self.rows.copy().items():
            rows.add_metric(list(key), *histogram.shown())
        yield from (whole, parts, rows)


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
