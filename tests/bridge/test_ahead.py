"""Working ahead: what comes out in which order, how much is begun, and that leaving stops it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from bridge.ahead import as_ready, in_order


class Work:
    """Items that are done when their event is set; it remembers what was begun and what was stopped."""

    def __init__(self, count):
        self.done = [asyncio.Event() for _ in range(count)]
        self.begun, self.stopped = [], []

    async def make(self, index):
        self.begun.append(index)
        try:
            await self.done[index].wait()
        except asyncio.CancelledError:
            self.stopped.append(index)
            raise
        if index == 4:
            raise RuntimeError("four")
        return f"item {index}"


async def begun(work, count):
    while len(work.begun) < count:
        await asyncio.sleep(0)


@pytest.mark.parametrize("ahead", [1, 2, 3, 9])
def test_in_order_is_in_order_whatever_is_done_first(ahead):
    async def run():
        work = Work(4)
        for event in work.done:
            event.set()
        return [item async for item in in_order(work.make, 4, ahead)], work.begun

    items, started = asyncio.run(run())
    assert items == [f"item {index}" for index in range(4)]
    assert started == [0, 1, 2, 3]


def test_as_ready_gives_each_when_it_is_done_with_its_index():
    async def run():
        work, seen = Work(4), []
        work.done[1].set()
        async with aclosing(as_ready(work.make, 4, 2)) as items:
            async for index, item in items:
                seen.append((index, item))
                following = {1: 2, 2: 3, 3: 0}.get(index)
                if following is not None:
                    work.done[following].set()
        return seen, work.begun

    seen, started = asyncio.run(run())
    assert seen == [(1, "item 1"), (2, "item 2"), (3, "item 3"), (0, "item 0")]
    assert started == [0, 1, 2, 3]


def test_of_items_done_together_the_first_comes_first():
    async def run():
        work = Work(3)
        async with aclosing(as_ready(work.make, 3, 3)) as items:
            for event in reversed(work.done):
                event.set()
            return [index async for index, _ in items]

    assert asyncio.run(run()) == [0, 1, 2]


@pytest.mark.parametrize("stream", [in_order, as_ready])
def test_only_a_few_are_begun_until_one_is_taken_and_leaving_stops_them(stream):
    async def run():
        work = Work(50)
        work.done[0].set()
        async with aclosing(stream(work.make, 50, 3)) as items:
            await anext(items)
            await begun(work, 4)
            await asyncio.sleep(0.01)
            started = list(work.begun)
        return started, work.stopped

    started, stopped = asyncio.run(run())
    assert started == [0, 1, 2, 3]
    assert stopped == [1, 2, 3]


@pytest.mark.parametrize("stream", [in_order, as_ready])
def test_what_fails_is_raised_and_the_rest_stopped(stream):
    async def run():
        work = Work(50)
        for index in range(5):
            work.done[index].set()
        with pytest.raises(RuntimeError, match="four"):
            _ = [item async for item in stream(work.make, 50, 3)]
        return set(work.begun), set(work.stopped)

    started, stopped = asyncio.run(run())
    assert stopped == started - {0, 1, 2, 3, 4}
    assert stopped


@pytest.mark.parametrize("stream", [in_order, as_ready])
def test_nothing_asked_for_is_nothing_made(stream):
    async def run():
        return [item async for item in stream(Work(0).make, 0, 3)]

    assert asyncio.run(run()) == []
