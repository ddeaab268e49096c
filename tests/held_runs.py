"""Runs that wait until a test lets them go: a real session behind a gate, so that nothing depends on how fast a machine is."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from bridge.server import Sidecar

SECONDS = 60


class HeldRuns:
    """A session whose runs wait for one another's `let_go`; `started` is released once a run."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.started = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)

    def run(self, feeds: Any) -> Any:
        """Run the graph when it is let go."""
        self.started.release()
        assert self._gate.acquire(timeout=SECONDS)
        return self.session.run(feeds)

    def inline(self, rows: int) -> bool:
        """Keep runs off the event loop."""
        return False

    def wait(self) -> None:
        """Return when one more run has started."""
        assert self.started.acquire(timeout=SECONDS)

    def let_go(self, runs: int = 1) -> None:
        """Let so many runs go on."""
        self._gate.release(runs)


@contextlib.contextmanager
def held(sidecar: Sidecar, model: str, *, stay: bool = False) -> Iterator[HeldRuns]:
    """Hold the runs of a policy until the block ends; those that wait go on then, or `stay`, and later ones run at once."""
    batcher = sidecar.registry.served[model, 1].batchers["policy"]
    session = batcher._session
    batcher._session = gate = HeldRuns(session)
    try:
        yield gate
    finally:
        batcher._session = session
        if not stay:
            gate.let_go(1000)


def until(true: Callable[[], bool]) -> None:
    """Return when something has become true."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)
