"""The turns of a tick's groups: each recalls what its agents left, runs its policy, and keeps what they leave, in time or late.

While a recurrent policy runs for a group of a session, no other call's run for that group begins: each step of an agent's state
follows the one before. A group with a frame budget is answered without its policy when the budget is over. If there is a
session, the policy still finishes, and what it chose is kept; until then the group's next turn waits, as long as its own budget
lets it, and is dropped after that. So at most one run of a group is ever outstanding.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from bridge.calls import current_call
from bridge.errors import DeadlineExceeded, ResourceExhausted
from bridge.npc_answer import chosen, fail_overflown, late
from bridge.npc_memory import NpcMemory
from bridge.npc_request import GroupBatch
from bridge.v1 import npc_service_pb2 as pb

Arrays = dict[str, npt.NDArray[Any]]
log = logging.getLogger("metabridge")
_background: set[asyncio.Task[None]] = set()
"""Runs that are late: tasks that nobody else holds."""


class Turn:
    """One group's turn in a call, whose answer goes into `message`.

    `due_s` is the moment of `time.monotonic` when it is due, if there is one.
    """

    def __init__(self, batch: GroupBatch, memory: NpcMemory | None, due_s: float | None, message: pb.GroupActions) -> None:
        self.batch = batch
        self.memory = memory
        self.due_s = due_s
        self.message = message
        self.is_late = False
        self.outputs: Arrays = {}
        self._taken: asyncio.Future[None] | None = None

    def overdue(self) -> bool:
        """Return whether the answer should have left."""
        return self.due_s is not None and time.monotonic() >= self.due_s

    def others(self) -> asyncio.Future[None] | None:
        """Return what is done when the run of another turn that this one has to wait for has ended, or `None`."""
        if self.memory is None or self._taken or not (self.batch.spec.states or self.due_s is not None):
            return None
        return self.memory.group.running

    def take(self) -> None:
        """Make others wait, from now on until `release`."""
        if self.memory is not None and self._taken is None:
            self._taken = self.memory.group.running = asyncio.get_running_loop().create_future()

    def release(self) -> None:
        """Let others take their turn."""
        if self._taken is None:
            return
        assert self.memory is not None
        self._taken.set_result(None)
        if self.memory.group.running is self._taken:
            self.memory.group.running = None
        self._taken = None

    async def run(self) -> None:
        """Run the policy."""
        if self.memory is not None:
            self.memory.begin()
            if self.batch.spec.states:
                self.memory.recall(self.batch)
        self.outputs = await self.batch.model.batchers["policy"].run(self.batch.feeds)

    def at_once(self) -> bool:
        """Return whether the policy would run now, without waiting for anything."""
        return self.others() is None and self.batch.model.batchers["policy"].at_once(len(self.batch.agents))

    def answer(self) -> None:
        """Write the answer to what the policy made, and keep it."""
        fail_overflown(self.batch, self.outputs)
        chosen(self.batch, self.outputs, self.memory, self.message)
        if self.memory is not None:
            self.memory.keep(self.batch, self.outputs)
        self._count(len(self.batch.agents) - len(self.batch.faults))

    def answer_late(self, task: asyncio.Task[None]) -> None:
        """Write the answer without the policy; `task`, which runs it, goes on if that is of use to anybody."""
        late(self.batch, self.memory, self.message)
        self._count(0)
        if self.memory is None:
            task.cancel()
            return
        self.memory.begin()
        self.memory.not_chosen(self.batch)
        if task.done() or self.others() is not None:
            task.cancel()
            return
        self.take()
        self.is_late = True
        _background.add(task)
        task.add_done_callback(self._end_late)

    def _count(self, from_model: int) -> None:
        """Note in the call's record where the actions come from."""
        call = current_call()
        if call is None:
            return
        name, agents = self.batch.model.card.name, len(self.batch.agents)
        cached = 0 if from_model == agents else list(self.message.sources).count(pb.SOURCE_CACHE)
        for source, count in (("model", from_model), ("cache", cached), ("fallback", agents - from_model - cached)):
            if count:
                call.answers.append((name, source, count))

    def _end_late(self, task: asyncio.Task[None]) -> None:
        """Keep what came too late for its call; if the run failed, all stays as it was."""
        _background.discard(task)
        try:
            error = None if task.cancelled() else task.exception()
            if error is None and not task.cancelled() and self.memory is not None:
                fail_overflown(self.batch, self.outputs)
                self.memory.keep(self.batch, self.outputs, late=True)
            elif error is not None and not isinstance(error, (DeadlineExceeded, ResourceExhausted)):
                log.error('the late run of "%s" failed', self.batch.model.card.name, exc_info=error)
        finally:
            self.release()


async def answer_all(turns: Sequence[Turn]) -> None:
    """Write the answer of every group; a call that fails or is cancelled leaves everything as it was.

    Raises what the batchers do, but a full queue is no error of a group with a frame budget: it is late at once.
    """
    bound = [turn for turn in turns if turn.due_s is not None]
    try:
        if not bound or (len(turns) == 1 and not turns[0].overdue() and turns[0].at_once()):
            await _run(turns)
            for turn in turns:
                turn.answer()
        else:
            await _answer_in_time(turns)
    finally:
        for turn in turns:
            if not turn.is_late:
                turn.release()


async def _run(turns: Sequence[Turn]) -> None:
    """Run the policies when no group has a run outstanding; all turns are taken at once, so that no two calls block."""
    while others := {other for turn in turns if (other := turn.others()) is not None}:
        await asyncio.wait(others)
    for turn in turns:
        if turn.batch.spec.states:
            turn.take()
    if len(turns) == 1:
        await turns[0].run()
    else:
        await asyncio.gather(*(turn.run() for turn in turns))


async def _answer_in_time(turns: Sequence[Turn]) -> None:
    """Run each group with a budget by itself, and the others together; answer when none is there to wait for."""
    tasks = {turn: asyncio.create_task(_run([turn])) for turn in turns if turn.due_s is not None}
    patient = [turn for turn in turns if turn.due_s is None]
    rest = [asyncio.create_task(_run(patient))] if patient else []
    try:
        await _wait(tasks, rest)
    except BaseException:
        for task in (*tasks.values(), *rest):
            task.cancel()
            task.add_done_callback(_look)
        raise
    for turn in turns:
        own = tasks.get(turn)
        if own is None or (own.done() and own.exception() is None):
            turn.answer()
        else:
            turn.answer_late(own)


def _look(task: asyncio.Task[None]) -> None:
    """See the error of a task that nobody waits for, so that it is not reported as overlooked."""
    if not task.cancelled():
        task.exception()


async def _wait(tasks: Mapping[Turn, asyncio.Task[None]], rest: Sequence[asyncio.Task[None]]) -> None:
    """Return when every task is done or due; raise the first error but that of a full queue."""
    while True:
        open_turns = [turn for turn, task in tasks.items() if not task.done() and not turn.overdue()]
        waiting = [task for task in rest if not task.done()] + [tasks[turn] for turn in open_turns]
        for task in (*tasks.values(), *rest):
            error = task.exception() if task.done() else None
            if error is not None and (task in rest or not isinstance(error, ResourceExhausted)):
                raise error
        if not waiting:
            return
        left = min((turn.due_s for turn in open_turns if turn.due_s is not None), default=None)
        timeout = None if left is None else max(0.0, left - time.monotonic())
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION)
