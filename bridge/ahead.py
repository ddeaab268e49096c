"""Working a few items ahead of whoever takes them: in order, or each as soon as it is ready. Leaving stops the work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
Make = Callable[[int], Awaitable[T]]


async def in_order(make: Make[T], count: int, ahead: int) -> AsyncGenerator[T, None]:
    """Yield what `make` makes of 0 to `count` - 1, one after the other; `ahead` of them are being made or wait to be taken."""
    begun = deque(asyncio.ensure_future(make(index)) for index in range(min(ahead, count)))
    try:
        for index in range(count):
            made = await begun.popleft()
            if index + ahead < count:
                begun.append(asyncio.ensure_future(make(index + ahead)))
            yield made
    finally:
        await _stop(begun)


async def as_ready(make: Make[T], count: int, ahead: int) -> AsyncGenerator[tuple[int, T], None]:
    """Yield (index, what `make` makes of it) for 0 to `count` - 1 as they are done; of those done together the first first.

    They are begun in order, and `ahead` of them are being made or wait to be taken.
    """
    begun = {asyncio.ensure_future(make(index)): index for index in range(min(ahead, count))}
    try:
        for following in range(len(begun), count + len(begun)):
            await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
            first = min((task for task in begun if task.done()), key=begun.__getitem__)
            index = begun.pop(first)
            if following < count:
                begun[asyncio.ensure_future(make(following))] = following
            yield index, await first
    finally:
        await _stop(begun)


async def _stop(tasks: Iterable[asyncio.Future[T]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
