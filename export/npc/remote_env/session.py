"""One engine's session: the command it works on, the call that carries its messages, and whether it is still there.

Everything here runs on the server's event loop. A command stays the same, under its number, until its result is taken: whatever
is lost on the way is sent again, and nothing is done or counted twice.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from bridge.errors import FailedPrecondition, InvalidArgument, NotFound
from bridge.v1 import environment_service_pb2 as pb
from export.npc.remote_env.reports import Observed, read_report
from export.npc.remote_env.spec import EngineSpec

MAX_REASON = 500


@dataclass(frozen=True)
class Timing:
    """When an engine is taken for lost."""

    heartbeat_seconds: float = 5.0
    """Pause between two signs of life, in both directions."""
    silence_seconds: float = 30.0
    """Seconds without a report after which an engine is lost."""
    step_seconds: float = 120.0
    """Seconds after which a command that an engine still works on counts as stalled."""


class EngineGoneError(Exception):
    """An engine that does not answer now; the message says why. It may come back."""


class EngineSession:
    """An engine that offered itself, until another one takes its place."""

    def __init__(self, spec: EngineSpec, timing: Timing) -> None:
        self.spec = spec
        self.token = secrets.token_urlsafe(18)
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._command: pb.EnvironmentCommand | None = None
        self._answer: asyncio.Future[Observed] = self._loop.create_future()
        self._sequence = 0
        self._carrier: object | None = None
        self._lost = ""
        self._farewell, self._is_dismissed = "", False
        self._heard = self._asked = self._loop.time()
        self._changed = asyncio.Event()

    @property
    def problem(self) -> str:
        """Why the engine does not answer now; empty while nothing is wrong."""
        now, timing = self._loop.time(), self._timing
        if self._lost or self._farewell:
            return self._lost or self._farewell
        if now - self._heard > timing.silence_seconds:
            return (
                f"nothing was heard of it for {now - self._heard:.0f} s, expected a report every {timing.heartbeat_seconds:g} s"
            )
        if self._command is not None and now - self._asked > timing.step_seconds:
            return f"it is alive, but has worked on command {self._sequence} for {now - self._asked:.0f} s"
        return ""

    @property
    def expects_farewell(self) -> bool:
        """Whether the engine is there and has not been told yet that all is over."""
        is_silent = self._loop.time() - self._heard > self._timing.silence_seconds
        return bool(self._farewell) and not (self._is_dismissed or self._lost or is_silent)

    # The trainer's side

    def begin(self, command: pb.EnvironmentCommand) -> None:
        """Give the engine its next command, which `result` waits for."""
        if self._command is not None:
            raise RuntimeError(f"command {self._sequence} is not answered yet")
        self._sequence += 1
        command.sequence = self._sequence
        self._command, self._answer, self._asked = command, self._loop.create_future(), self._loop.time()
        self._announce()

    async def result(self) -> Observed:
        """Return what the command led to; `EngineGoneError` when the engine does not answer, then it may be awaited again."""
        while not self._answer.done():
            changed, problem = self._changed, self.problem
            if problem:
                raise EngineGoneError(problem)
            await _within(changed, self._timing.heartbeat_seconds / 4)
        return self._answer.result()

    async def returned(self, seconds: float) -> Observed | None:
        """Return the result when an engine that was gone gives it after all; `None` when that is not within `seconds`."""
        end = self._loop.time() + seconds
        while not self._answer.done() and self._loop.time() < end:
            changed = self._changed
            await _within(changed, min(self._timing.heartbeat_seconds / 4, max(end - self._loop.time(), 0.0)))
        return self._answer.result() if self._answer.done() else None

    def end(self, reason: str) -> None:
        """Tell the engine, with its next command, that all is over, and why."""
        self._farewell = self._farewell or reason[:MAX_REASON]
        self._announce()

    # The engine's side

    def resume(self) -> None:
        """Take the engine back: its time begins anew."""
        if self._farewell:
            raise NotFound(
                f"this engine's session is over: {self._farewell}; offer without a token", field="report.resume_token"
            )
        self._lost, self._asked = "", self._loop.time()

    def detach(self, carrier: object) -> None:
        """The connection that carried the engine's messages has ended."""
        if self._carrier is carrier:
            self._lost = self._lost or "its connection ended"
            self._announce()

    async def exchange(self, report: pb.EnvironmentReport, carrier: object) -> pb.EnvironmentCommand:
        """Take a report and return the command that answers it, WAIT if there is none within the time of a heartbeat."""
        if report.sequence > self._sequence:
            text = f"is {report.sequence}, but the last command was {self._sequence}; offer again"
            raise InvalidArgument(text, field="report.sequence")
        self._hear(carrier)
        if report.kind == pb.REPORT_KIND_OFFER:
            return self._wait(resume_token=self.token)
        if report.kind == pb.REPORT_KIND_CLOSE:
            reason = report.message[:MAX_REASON]
            self._lost = f"it left: {reason}" if reason else "it left"
            self._announce()
            return pb.EnvironmentCommand(kind=pb.COMMAND_KIND_CLOSE, message="goodbye")
        if report.kind == pb.REPORT_KIND_DONE:
            self._take(report)
        elif self._command is not None and report.sequence == self._command.sequence and not self._farewell:
            return self._wait()  # the engine works on it
        return await self._next(carrier)

    def _take(self, report: pb.EnvironmentReport) -> None:
        if self._command is None or report.sequence != self._command.sequence:
            return  # taken before: only its answer was lost
        try:
            seen = read_report(report, self.spec, is_step=self._command.kind == pb.COMMAND_KIND_STEP)
        except InvalidArgument as error:
            self._lost = f"its report was refused: {error.field}: {error.message}"[:MAX_REASON]
            self._announce()
            raise
        self._command = None
        if not self._answer.done():
            self._answer.set_result(seen)
        self._announce()

    async def _next(self, carrier: object) -> pb.EnvironmentCommand:
        end = self._loop.time() + self._timing.heartbeat_seconds
        while True:
            if self._carrier is not carrier:
                raise FailedPrecondition("a newer call carries this engine's messages; use one call at a time")
            if self._farewell:
                self._is_dismissed = True
                return pb.EnvironmentCommand(kind=pb.COMMAND_KIND_CLOSE, message=self._farewell)
            if self._command is not None:
                self._heard = self._loop.time()
                return self._command
            if self._loop.time() >= end:
                self._heard = self._loop.time()
                return self._wait()
            changed = self._changed
            await _within(changed, max(end - self._loop.time(), 0.0))

    def _hear(self, carrier: object) -> None:
        self._carrier, self._heard, self._lost = carrier, self._loop.time(), ""
        self._announce()

    def _wait(self, resume_token: str = "") -> pb.EnvironmentCommand:
        timing = self._timing
        return pb.EnvironmentCommand(
            kind=pb.COMMAND_KIND_WAIT,
            resume_token=resume_token,
            heartbeat_seconds=timing.heartbeat_seconds,
            silence_seconds=timing.silence_seconds,
        )

    def _announce(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
