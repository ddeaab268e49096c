"""The metrics of several worker processes as those of one sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bridge.metrics import PREFIX

ALIKE = frozenset(
    {f"{PREFIX}_model_info", f"{PREFIX}_bundles", f"{PREFIX}_bundle_loads_total", "python_info", "process_max_fds"}
)
"""What every worker has the same of: the largest value is shown, not the sum."""
EARLIEST = frozenset({"process_start_time_seconds"})


def sum_of(expositions: Sequence[bytes]) -> bytes:
    """Return one exposition in Prometheus's text format: counters, histograms and most gauges are the sums over the workers."""
    return generate_latest(_Summed(expositions))


class _Summed:
    """What `generate_latest` needs of a registry."""

    def __init__(self, expositions: Sequence[bytes]) -> None:
        self._expositions = expositions

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        yield GaugeMetricFamily(f"{PREFIX}_workers", "Processes that serve.", value=len(self._expositions))
        families: dict[str, Metric] = {}
        values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
        for text in self._expositions:
            for family in text_string_to_metric_families(text.decode()):
                families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                samples = values.setdefault(family.name, {})
                for name, labels, value, *_ in family.samples:
                    samples.setdefault((name, tuple(labels.items())), []).append(value)
        for name, family in families.items():
            for (sample, keys), numbers in values[name].items():
                family.add_sample(sample, dict(keys), _rule(sample)(numbers))
            yield family


def _rule(sample: str) -> Callable[[Any], float]:
    return max if sample in ALIKE else min if sample in EARLIEST else sum
