"""How a model's requests are batched and run: the command line goes before the card, the card before the family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bridge.model_card import Serving
from bridge.registry import Family

QUEUE_CAPACITY = 256


@dataclass(frozen=True)
class ServingSettings:
    """What holds for one model."""

    max_batch: int
    """Rows in one ONNX Runtime run."""
    max_wait_s: float
    """Seconds that the first request of a batch waits for others."""
    queue_capacity: int
    """Requests that may wait for one graph."""
    instances: int
    """Runs of one graph at the same time."""
    threads: int
    """ONNX Runtime's threads in one run; 0 is all cores."""


def resolve(override: Serving | None, command: Serving, card: Serving, family: Family) -> ServingSettings:
    """Return each setting from the first place that has it: the model's override, the command, its card, its family."""
    layers = [layer for layer in (override, command, card) if layer is not None]

    def first(name: str, default: float) -> float:
        found = (getattr(layer, name) for layer in layers)
        return next((value for value in found if value is not None), default)

    return ServingSettings(
        max_batch=int(first("max_batch", family.MAX_BATCH)),
        max_wait_s=first("max_wait_ms", 0.0) / 1000,
        queue_capacity=int(first("queue_capacity", QUEUE_CAPACITY)),
        instances=int(first("instances", 1)),
        threads=int(first("threads", family.THREADS)),
    )


def parse_overrides(texts: Sequence[str]) -> Mapping[str, Serving]:
    """Read overrides like `guard.max_batch=64`; `ValueError` quotes the one that is wrong."""
    values: dict[str, dict[str, str]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        name, dot, setting = place.rpartition(".")
        if not (equals and dot and name):
            raise ValueError(f'"{text}" is no setting, expected MODEL.SETTING=VALUE as in guard.max_batch=64')
        if setting not in Serving.__struct_fields__:
            raise ValueError(f'"{text}" sets "{setting}", expected one of {list(Serving.__struct_fields__)}')
        values.setdefault(name, {})[setting] = value
    overrides = {}
    for name, given in values.items():
        try:
            overrides[name] = msgspec.convert(given, Serving, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"{name}: {error}") from error
    return overrides
