"""One timer ends many waits, each in its own time, and takes nobody else's cancellation for its own."""

import asyncio

import pytest

from bridge.patience import Patience

FOR_EVER = 60.0


def test_what_comes_in_time_is_returned():
    async def wait():
        patience = Patience(FOR_EVER)
        return [await patience.wait(asyncio.sleep(0, i)) for i in range(3)]

    assert asyncio.run(wait()) == [0, 1, 2]


def test_every_wait_ends_in_its_own_time():
    async def wait():
        patience, loop = Patience(0.2), asyncio.get_running_loop()

        async def one(pause_s):
            await asyncio.sleep(pause_s)
            begun_s = loop.time()
            with pytest.raises(TimeoutError):
                await patience.wait(asyncio.sleep(FOR_EVER))
            assert asyncio.current_task().cancelling() == 0
            return loop.time() - begun_s

        return await asyncio.gather(*(one(0.05 * i) for i in range(4)), patience.wait(asyncio.sleep(0.01, 0.2)))

    assert min(asyncio.run(wait())) >= 0.2 - 0.02


def test_a_wait_that_comes_after_the_timer_has_stopped_ends_too():
    async def wait():
        patience = Patience(0.05)
        await patience.wait(asyncio.sleep(0))
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            await patience.wait(asyncio.sleep(FOR_EVER))

    asyncio.run(asyncio.wait_for(wait(), 10))


def test_another_s_cancellation_stays_one():
    async def wait():
        task = asyncio.create_task(Patience(FOR_EVER).wait(asyncio.sleep(FOR_EVER)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(wait())


def test_an_error_passes_as_it_is():
    async def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(Patience(FOR_EVER).wait(fail()))


def test_a_timeout_around_it_is_told_apart():
    async def wait():
        async with asyncio.timeout(0.02):
            await Patience(FOR_EVER).wait(asyncio.sleep(FOR_EVER))

    with pytest.raises(TimeoutError):
        asyncio.run(wait())
