"""The batcher: whoever comes together or leaves early, every answer equals the unbatched one."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import tiny_models
from batcher_cases import Doubles, feeds, in_loop, turns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import ResourceExhausted
from bridge.model_card import read_card
from bridge.session import Session

REQUESTS = st.lists(
    st.tuples(st.integers(1, 20), st.integers(1, 3), st.sampled_from(["stay", "stay", "cancel", "wait"])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30)
@given(REQUESTS, st.integers(1, 9), st.sampled_from([0.0, 0.002]), st.booleans(), st.randoms(use_true_random=False))
def test_answers_equal_the_unbatched_ones_whoever_comes_and_goes(requests, max_batch, max_wait_s, inline, random):
    session = Doubles(inline=inline)
    arrays = [np.array([[random.random() for _ in range(width)] for _ in range(rows)]) for rows, width, _ in requests]

    async def test(batcher):
        tasks = []
        for array, (_, _, what) in zip(arrays, requests, strict=True):
            tasks.append(asyncio.create_task(batcher.run({"x": array})))
            if what != "stay":
                await asyncio.sleep(0.001 if what == "wait" else 0)
            if what == "cancel":
                tasks[-1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = in_loop(test, session, max_batch=max_batch, max_wait_s=max_wait_s)
    for array, answer, (_, _, what) in zip(arrays, answers, requests, strict=True):
        if what == "cancel" and isinstance(answer, asyncio.CancelledError):
            continue
        np.testing.assert_array_equal(answer["y"], array * 2)
    assert max(session.sizes, default=0) <= max_batch


def test_requests_that_wait_share_a_run():
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        first = asyncio.create_task(batcher.run(feeds(1)))
        await asyncio.to_thread(session.started.wait, 30)
        others = [asyncio.create_task(batcher.run(feeds(value, value))) for value in (2, 3, 4)]
        await turns()
        session.gate.set()
        return await asyncio.gather(first, *others)

    answers = in_loop(test, session)
    assert [answer["y"].ravel().tolist() for answer in answers] == [[2], [4, 4], [6, 6], [8, 8]]
    assert session.sizes == [1, 6]


def test_requests_of_different_shapes_and_types_never_share_a_run():
    session = Doubles()

    async def test(batcher):
        kinds = [feeds(1), feeds(2, width=2), {"x": np.array([[3]], np.int32)}, feeds(4)]
        return await asyncio.gather(*(batcher.run(kind) for kind in kinds))

    answers = in_loop(test, session, max_wait_s=0.01)
    assert session.sizes == [1, 1, 1, 1]
    assert [answer["y"].dtype.kind for answer in answers] == ["f", "f", "i", "f"]


def test_a_full_batch_does_not_wait():
    async def test(batcher):
        return await asyncio.gather(*(batcher.run(feeds(value)) for value in range(4)))

    session = Doubles()
    in_loop(test, session, max_batch=4, max_wait_s=3600.0)
    assert session.sizes == [4]


def test_a_full_queue_does_not_wait():
    async def test(batcher):
        return await asyncio.gather(*(batcher.run(feeds(value)) for value in range(3)))

    session = Doubles()
    in_loop(test, session, capacity=3, max_wait_s=3600.0)
    assert session.sizes == [3]


def test_the_wait_counts_from_the_arrival_of_the_first_request():
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        full = asyncio.create_task(batcher.run(feeds(*range(8))))
        await asyncio.to_thread(session.started.wait, 30)
        late = asyncio.create_task(batcher.run(feeds(1)))
        await turns()
        batcher._queue[0].arrived_s -= 3600.0
        session.gate.set()
        return await asyncio.gather(full, late)

    in_loop(test, session, max_wait_s=3600.0)
    assert session.sizes == [8, 1]


def test_a_request_above_the_largest_batch_is_run_in_parts_and_put_together():
    session = Doubles()

    async def test(batcher):
        return await batcher.run(feeds(*range(20)))

    assert in_loop(test, session)["y"].ravel().tolist() == list(range(0, 40, 2))
    assert session.sizes == [8, 8, 4]


@pytest.mark.parametrize("inline", [True, False])
def test_a_failure_reaches_its_own_run_alone(inline):
    session = Doubles(inline=inline)

    async def test(batcher):
        calls = (batcher.run(feeds(value)) for value in (1, -1, 2))
        return await asyncio.gather(*calls, return_exceptions=True)

    first, second, third = in_loop(test, session, max_batch=1)
    assert first["y"].tolist() == [[2.0]]
    assert isinstance(second, RuntimeError)
    assert third["y"].tolist() == [[4.0]]


def test_who_shares_a_run_with_a_failure_is_answered():
    async def test(batcher):
        calls = (batcher.run(feeds(value)) for value in (1, -1, 2))
        return await asyncio.gather(*calls, return_exceptions=True)

    first, second, third = in_loop(test, Doubles(), max_batch=8)
    assert first["y"].tolist() == [[2.0]]
    assert isinstance(second, RuntimeError)
    assert third["y"].tolist() == [[4.0]]


def test_after_a_failure_the_next_request_is_answered():
    async def test(batcher):
        with pytest.raises(RuntimeError, match="negative"):
            await batcher.run(feeds(-1))
        return await batcher.run(feeds(5))

    assert in_loop(test, Doubles())["y"].tolist() == [[10.0]]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back():
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        running = asyncio.create_task(batcher.run(feeds(0)))
        await asyncio.to_thread(session.started.wait, 30)
        waiting = [asyncio.create_task(batcher.run(feeds(value))) for value in (1, 2)]
        await turns()
        with pytest.raises(ResourceExhausted, match="2 requests wait") as caught:
            await batcher.run(feeds(3))
        assert caught.value.retry_s
        session.gate.set()
        return await asyncio.gather(running, *waiting)

    assert len(in_loop(test, session, capacity=2)) == 3


def test_work_that_has_begun_is_let_into_a_full_queue():
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        running = asyncio.create_task(batcher.run(feeds(0)))
        await asyncio.to_thread(session.started.wait, 30)
        waiting = [asyncio.create_task(batcher.run(feeds(value))) for value in (1, 2)]
        await turns()
        going_on = asyncio.create_task(batcher.run(feeds(3), begun=True))
        await turns()
        with pytest.raises(ResourceExhausted, match="3 requests wait"):
            await batcher.run(feeds(4))
        session.gate.set()
        return await asyncio.gather(running, *waiting, going_on)

    assert len(in_loop(test, session, capacity=2)) == 4


def test_so_many_instances_run_at_the_same_time_and_no_more():
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        calls = [asyncio.create_task(batcher.run(feeds(value))) for value in range(5)]
        while session.running < 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert (session.running, len(batcher._queue)) == (2, 3)
        session.gate.set()
        return await asyncio.gather(*calls)

    answers = in_loop(test, session, instances=2, max_batch=1)
    assert [answer["y"].tolist() for answer in answers] == [[[0.0]], [[2.0]], [[4.0]], [[6.0]], [[8.0]]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """A real session of a tiny policy, and its card."""
    folder = tiny_models.write_npc(tmp_path_factory.mktemp("models"))
    card = read_card(folder / "card.json").graph("policy")
    return Session(folder, card, providers=["CPUExecutionProvider"], threads=1, warm_up_rows=8, strict=False)


ROWS = st.lists(st.integers(1, 40), min_size=2, max_size=12)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.integers(1, 64), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_what_onnx_runtime_makes_of_a_batch_equals_the_unbatched_answers(policy, rows, max_batch, instances, seed):
    generator = np.random.default_rng(seed)
    requests = [
        {
            "position": generator.normal(size=(count, 3)).astype(np.float32),
            "noise": generator.normal(size=(count, 7)).astype(np.float32),
            "action_mask": np.ones((count, 5), bool),
        }
        for count in rows
    ]

    async def test(batcher):
        answers = await asyncio.gather(*(batcher.run(request) for request in requests))
        return answers, max(batcher.batch_sizes)

    answers, largest = in_loop(test, policy, max_batch=max_batch, instances=instances, max_wait_s=0.001)
    assert largest <= max_batch
    if rows[0] + rows[1] <= max_batch:
        assert largest >= rows[0] + rows[1], "nothing was batched, so nothing was tested"
    for request, answer in zip(requests, answers, strict=True):
        alone = policy.run(request)
        np.testing.assert_allclose(answer["move"], alone["move"], rtol=0, atol=1e-4 * 2)
        np.testing.assert_array_equal(answer["act"], alone["act"])


def test_the_worker_ends_when_nothing_waits_and_starts_again():
    async def test(batcher):
        for value in range(3):
            await batcher.run(feeds(value))
            await turns()
            assert not batcher._workers

    in_loop(test, Doubles())


@pytest.mark.parametrize("max_wait_s", [0.0, 60.0])
def test_a_request_alone_waits_for_nobody_and_shares_its_run_with_nobody(max_wait_s):
    session = Doubles()

    async def test(batcher):
        session.gate.clear()
        first = asyncio.create_task(batcher.run(feeds(0), alone=True))
        await asyncio.to_thread(session.started.wait, 30)
        others = [asyncio.create_task(batcher.run(feeds(*values), alone=alone)) for values, alone in QUEUE]
        await turns()
        session.gate.set()
        if max_wait_s:
            others[-1].cancel()
        return await asyncio.gather(first, *others, return_exceptions=True)

    answers = in_loop(test, session, max_wait_s=max_wait_s)
    assert session.sizes == ([1, 2, 1, 2] if max_wait_s else [1, 2, 1, 2, 1])
    for (values, _), answer in zip(QUEUE[:-1], answers[1:], strict=False):
        np.testing.assert_array_equal(answer["y"], feeds(*values)["x"] * 2)


QUEUE = [((1, 2), True), ((3,), True), ((4, 5), True), ((6,), False)]


def test_a_request_alone_that_is_too_large_is_run_in_parts_alone():
    session = Doubles()

    async def test(batcher):
        return await asyncio.gather(batcher.run(feeds(*range(10)), alone=True), batcher.run(feeds(1)))

    answer, _ = in_loop(test, session)
    np.testing.assert_array_equal(answer["y"], feeds(*range(10))["x"] * 2)
    assert sorted(session.sizes) == [1, 2, 8]
