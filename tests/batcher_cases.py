"""A session for the batcher's tests, whose runs are held and counted, and a loop to run them in."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bridge.batcher import Batcher, BatchLimits


class Doubles:
    """A session whose graph doubles `x`; it keeps the sizes of its runs, and can be held up or told to fail."""

    def __init__(self, *, inline=False, limit=None):
        self.sizes = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self._inline = inline
        self._limit = limit
        self.running = 0

    def run(self, feeds):
        self.running += 1
        self.started.set()
        assert self.gate.wait(30)
        self.running -= 1
        self.sizes.append(len(feeds["x"]))
        if (feeds["x"] < 0).any():
            raise RuntimeError("a negative number")
        return {"y": feeds["x"] * 2, "row": np.arange(len(feeds["x"]))}

    def inline(self, rows):
        return self._inline


def in_loop(test, session, **limits):
    """Run `test(batcher)` in an event loop with a batcher of `session`."""

    async def main():
        with ThreadPoolExecutor(2) as executor:
            batcher = Batcher(session, BatchLimits(**({"max_batch": 8} | limits)), executor)
            result = await asyncio.wait_for(test(batcher), 30)
            assert not batcher._queue
            return result

    return asyncio.run(main())


def feeds(*values, width=1):
    return {"x": np.repeat(np.array(values, np.float64)[:, None], width, axis=1)}


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)
