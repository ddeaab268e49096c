"""The batcher, and those who leave: a request whose caller is gone is not run, and disturbs no other."""

from __future__ import annotations

import asyncio

import pytest
from batcher_cases import Doubles, feeds, in_loop, turns

from bridge.calls import Calls, Metadata
from bridge.errors import DeadlineExceeded
from bridge.v1 import npc_service_pb2

METHOD = npc_service_pb2.DESCRIPTOR.services_by_name["NpcService"].methods_by_name["ChooseActions"]


def begin(seconds_left):
    """Make this task a call with a deadline."""
    return Calls().begin(METHOD, "grpc", Metadata(seconds_left=seconds_left)).__enter__()


def test_a_request_whose_deadline_is_past_is_never_run_even_if_nobody_cancels_it():
    session = Doubles()

    async def call(batcher, value, seconds_left):
        begin(seconds_left)
        return await batcher.run(feeds(value))

    async def test(batcher):
        session.gate.clear()
        calls = [asyncio.create_task(call(batcher, 0, None))]
        await asyncio.to_thread(session.started.wait, 30)
        calls += [asyncio.create_task(call(batcher, value, left)) for value, left in ((1, 0.01), (2, 60), (3, None))]
        await asyncio.sleep(0.05)
        session.gate.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    first, late, third, fourth = in_loop(test, session)
    assert isinstance(late, DeadlineExceeded)
    assert [answer["y"].tolist() for answer in (first, third, fourth)] == [[[0.0]], [[4.0]], [[6.0]]]
    assert session.sizes == [1, 2]


@pytest.mark.parametrize("inline", [True, False])
def test_a_large_request_stops_between_its_parts_when_its_deadline_is_past(inline):
    session = Doubles(inline=inline)

    async def test(batcher):
        call = begin(60)
        run = session.run

        def run_and_expire(given):
            call.deadline_s = 0.0
            return run(given)

        session.run = run_and_expire
        with pytest.raises(DeadlineExceeded, match="before the model could run"):
            await batcher.run(feeds(*range(20)))

    in_loop(test, session)
    assert session.sizes == [8]


@pytest.mark.parametrize("who", [0, 1, 2])
def test_a_cancelled_request_leaves_the_queue_and_is_not_run(who):
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        running = asyncio.create_task(batcher.run(feeds(0)))
        await asyncio.to_thread(session.started.wait, 30)
        waiting = [asyncio.create_task(batcher.run(feeds(value, value))) for value in (1, 2, 3)]
        await turns()
        waiting[who].cancel()
        await turns()
        assert len(batcher._queue) == 2
        session.gate.set()
        return await asyncio.gather(running, *waiting, return_exceptions=True)

    answers = in_loop(test, session)
    assert isinstance(answers[1 + who], asyncio.CancelledError)
    assert [a["y"].ravel().tolist() for i, a in enumerate(answers) if i != 1 + who] == [
        [0],
        *[[2 * value] * 2 for value in (1, 2, 3) if value != 1 + who],
    ]
    assert session.sizes == [1, 4]


def test_a_request_past_its_deadline_leaves_the_queue():
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        running = asyncio.create_task(batcher.run(feeds(0)))
        await asyncio.to_thread(session.started.wait, 30)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.run(feeds(1)), 0.01)
        assert not batcher._queue
        session.gate.set()
        await running

    in_loop(test, session)
    assert session.sizes == [1]


def test_a_request_cancelled_while_it_runs_does_not_disturb_the_others_of_its_run():
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        first = asyncio.create_task(batcher.run(feeds(1)))
        second = asyncio.create_task(batcher.run(feeds(2)))
        await asyncio.to_thread(session.started.wait, 30)
        first.cancel()
        session.gate.set()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = in_loop(test, session)
    assert isinstance(first, asyncio.CancelledError)
    assert second["y"].tolist() == [[4.0]]
