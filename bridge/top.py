"""`python -m bridge top`: what a running sidecar does, live in a terminal, from its metrics."""

from __future__ import annotations

import ssl
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from bridge.access import TOKEN_VARIABLE, TokenError, read_token
from bridge.config import TopConfig
from bridge.metrics import PREFIX

CLEAR = "\x1b[H\x1b[J"
Labels = tuple[tuple[str, str], ...]


@dataclass
class Snapshot:
    """All samples of a moment by name and labels."""

    time_s: float
    samples: dict[str, dict[Labels, float]] = field(default_factory=lambda: defaultdict(dict))

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of `name` that have `labels`."""
        wanted = labels.items()
        return sum(value for key, value in self.samples[name].items() if wanted <= dict(key).items())

    def since(self, before: Snapshot | None, name: str, **labels: str) -> float:
        """Return how much `name` has grown."""
        return self.value(name, **labels) - (before.value(name, **labels) if before else 0.0)


def top(config: TopConfig) -> int:
    """Show the sidecar's calls and models again and again; once only with `--once`."""
    try:
        token = read_token(config.token_file, TOKEN_VARIABLE)
        context = ssl.create_default_context(cafile=config.tls_ca)
        if config.tls_cert:
            context.load_cert_chain(config.tls_cert, config.tls_key)
        before = None
        while True:
            now = fetch(config.web, token, config.timeout, context)
            print(("" if config.once else CLEAR) + "\n".join(page(now, before)), flush=True)
            if config.once:
                return 0
            before = now
            time.sleep(config.seconds)
    except KeyboardInterrupt:
        return 0
    except (TokenError, OSError, ValueError) as error:
        print(f"error: {config.web}/metrics: {error}; is a sidecar's web port there, and is the token right?", file=sys.stderr)
        return 1


def fetch(web: str, token: str, timeout_s: float, context: ssl.SSLContext | None = None) -> Snapshot:
    """Read the metrics of a sidecar's web port."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{web.rstrip('/')}/metrics", headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=timeout_s) as answer:
        return parse(answer.read().decode("utf-8"), time.monotonic())


def parse(text: str, time_s: float) -> Snapshot:
    """Read metrics in Prometheus's text format; `ValueError` for anything else."""
    snapshot = Snapshot(time_s)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            snapshot.samples[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    if f"{PREFIX}_bundles" not in snapshot.samples:
        raise ValueError("these are not the metrics of a sidecar")
    return snapshot


def page(now: Snapshot, before: Snapshot | None) -> list[str]:
    """Return the lines of a page: rates and times since `before`, or since the sidecar's start."""
    started_s = now.value("process_start_time_seconds")
    seconds = now.time_s - before.time_s if before else max(time.time() - started_s, 1e-3) if started_s else 1.0
    cpu = now.since(before, "process_cpu_seconds_total") / seconds
    memory = now.value("process_resident_memory_bytes") / 2**20
    states = {dict(key)["state"]: int(value) for key, value in now.samples[f"{PREFIX}_bundles"].items() if value}
    lines = [
        f"{sum(states.values())} bundles ({', '.join(f'{count} {state}' for state, count in states.items()) or 'none'})   "
        f"{int(now.value(f'{PREFIX}_game_sessions'))} game sessions with "
        f"{now.value(f'{PREFIX}_kept_bytes') / 2**20:.1f} MiB   {cpu:.0%} of a core   {memory:.0f} MiB",
        "",
        f"{'method':<42}{'model':<18}{'calls/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'queue':>9}{'run':>9}{'encode':>9}",
    ]
    for key in sorted(now.samples[f"{PREFIX}_call_seconds_count"]):
        lines += _call(dict(key), now, before, seconds)
    lines += ["", f"{'model':<18}{'graph':<14}{'version':>8}{'waiting':>9}{'runs/s':>9}{'rows/run':>9}  provider"]
    for key in sorted(now.samples[f"{PREFIX}_queue_depth"]):
        lines.append(_graph(dict(key), now, before, seconds))
    lines += _sources(now, before, seconds)
    lines += _errors(now, before, seconds)
    return lines


def _call(labels: Mapping[str, str], now: Snapshot, before: Snapshot | None, seconds: float) -> Iterable[str]:
    name = f"{PREFIX}_call_seconds"
    count = now.since(before, f"{name}_count", **labels)
    if not count:
        return
    phases = [
        now.since(before, f"{PREFIX}_call_phase_seconds_sum", phase=phase, **labels) / count * 1000
        for phase in ("queue", "run", "encode")
    ]
    middle, late = (quantile(now, before, f"{name}_bucket", labels, share) * 1000 for share in (0.5, 0.99))
    method = labels["method"].removeprefix("bridge.v1.")
    yield (
        f"{method[:41]:<42}{labels['model'][:17]:<18}{count / seconds:>9.1f}{middle:>9.2f}{late:>9.2f}"
        + "".join(f"{mean:>9.2f}" for mean in phases)
    )


def _graph(labels: Mapping[str, str], now: Snapshot, before: Snapshot | None, seconds: float) -> str:
    part = {"model": labels["model"], "graph": labels["graph"]}
    runs = now.since(before, f"{PREFIX}_batch_rows_count", **part)
    rows = now.since(before, f"{PREFIX}_batch_rows_sum", **part) / runs if runs else 0.0
    waiting = int(now.value(f"{PREFIX}_queue_depth", **labels))
    infos = (dict(key) for key in now.samples[f"{PREFIX}_model_info"])
    provider = next((i["provider"] for i in infos if (i["model"], i["version"]) == (labels["model"], labels["version"])), "")
    return (
        f"{part['model'][:17]:<18}{part['graph'][:13]:<14}{labels['version']:>8}{waiting:>9}{runs / seconds:>9.1f}{rows:>9.1f}"
        f"  {provider}"
    )


def _sources(now: Snapshot, before: Snapshot | None, seconds: float) -> list[str]:
    name = f"{PREFIX}_agents_answered_total"
    sources = sorted({dict(key)["source"] for key in now.samples[name]}, key=["model", "cache", "fallback"].index)
    rates = {source: now.since(before, name, source=source) / seconds for source in sources}
    shown = [f"{source} {rate:.1f}/s" for source, rate in rates.items() if rate]
    return ["", "agents by the source of their actions: " + ", ".join(shown)] if shown else []


def _errors(now: Snapshot, before: Snapshot | None, seconds: float) -> list[str]:
    codes = {dict(key)["code"] for key in now.samples[f"{PREFIX}_calls_total"]} - {"OK"}
    rates = {code: now.since(before, f"{PREFIX}_calls_total", code=code) / seconds for code in sorted(codes)}
    shown = [f"{code} {rate:.1f}/s" for code, rate in rates.items() if rate]
    return ["", "errors: " + ", ".join(shown)] if shown else []


def quantile(now: Snapshot, before: Snapshot | None, name: str, labels: Mapping[str, str], share: float) -> float:
    """Return the value that `share` of a histogram's observations since `before` stay under, interpolated in its bucket."""
    bounds = sorted({float(dict(key)["le"]) for key in now.samples[name] if labels.items() <= dict(key).items()})
    texts = {float(dict(key)["le"]): dict(key)["le"] for key in now.samples[name]}
    counts = [now.since(before, name, le=texts[bound], **labels) for bound in bounds]
    if not counts or not counts[-1]:
        return 0.0
    wanted, low, below = share * counts[-1], 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= wanted:
            if bound == float("inf") or count == below:
                return low
            return low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return low
