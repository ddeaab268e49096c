"""How a training run is stopped from outside: the step in progress ends and is saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list, so that a step in progress can finish and be saved."""
    received: list[int] = []
    old = {name: signal.signal(name, lambda n, _: received.append(n)) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for name, previous in old.items():
            signal.signal(name, previous)
