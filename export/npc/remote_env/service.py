"""`EnvironmentService`: which engines take part, and which call belongs to which of them."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator

from bridge.errors import FailedPrecondition, InvalidArgument, NotFound
from bridge.v1 import environment_service_pb2 as pb
from export.npc.remote_env.session import EngineSession, Timing
from export.npc.remote_env.spec import EngineSpec, check_same, read_spec

PROTOCOL_VERSION = 1
LOOK_SECONDS, FAREWELL_LOOK_SECONDS = 0.5, 0.02
DESCRIPTOR = pb.DESCRIPTOR.services_by_name["EnvironmentService"]


class Places:
    """The places for engines of a training, one after another, and who takes them.

    All engines offer the same spaces; the first offer, or a run that goes on, says which. Their numbers of rows may differ
    until the training begins; from then on an engine that takes another one's place brings as many rows.
    """

    def __init__(self, count: int, timing: Timing, max_bytes: int, expected: EngineSpec | None = None) -> None:
        self.sessions: list[EngineSession | None] = [None] * count
        self.expected = expected
        self._rows: list[int] | None = None
        self._timing, self._max_bytes = timing, max_bytes
        self._changed = asyncio.Event()

    def begin(self) -> None:
        """Keep to the rows that the places have now."""
        self._rows = [session.spec.rows if session else 0 for session in self.sessions]

    async def filled(self) -> list[EngineSession]:
        """Return the engines when every place is taken by one that answers."""
        while True:
            sessions = [session for session in self.sessions if session is not None and not session.problem]
            if len(sessions) == len(self.sessions):
                return sessions
            with contextlib.suppress(TimeoutError):  # one that was silent for a while comes back without an offer
                await asyncio.wait_for(self._changed.wait(), LOOK_SECONDS)

    async def replaced(self, place: int, session: EngineSession) -> EngineSession:
        """Return the engine that takes the place of another, when it does."""
        while (present := self.sessions[place]) is session or present is None:
            await self._changed.wait()
        return present

    def end(self, reason: str) -> None:
        """Tell all engines that the training is over."""
        for session in self.sessions:
            if session is not None:
                session.end(reason)

    async def dismissed(self, seconds: float) -> None:
        """Return when every engine that is still there has heard the farewell, at the latest after so many seconds."""
        end = asyncio.get_running_loop().time() + seconds
        while any(session is not None and session.expects_farewell for session in self.sessions):
            if asyncio.get_running_loop().time() >= end:
                return
            await asyncio.sleep(FAREWELL_LOOK_SECONDS)

    def find(self, report: pb.EnvironmentReport) -> EngineSession:
        """Return the session that a report belongs to: a new one for an offer without a token."""
        if report.kind not in pb.ReportKind.values() or not report.kind:
            raise InvalidArgument(f"is {report.kind}, expected one of ReportKind's values", field="report.kind")
        if report.kind == pb.REPORT_KIND_OFFER:
            self._check_version(report)
            if not report.resume_token:
                return self._admit(read_spec(report.spec, self._max_bytes, "report.spec"))
        session = self._of(report.resume_token)
        if report.kind == pb.REPORT_KIND_OFFER:
            again = read_spec(report.spec, self._max_bytes, "report.spec")
            check_same(session.spec, again, same_rows=True, field="report.spec")
            session.resume()
            self._announce()
        return session

    def _check_version(self, report: pb.EnvironmentReport) -> None:
        if report.protocol_version != PROTOCOL_VERSION:
            text = (
                f"is {report.protocol_version}, this trainer speaks {PROTOCOL_VERSION}; use a client of the trainer's release"
            )
            raise FailedPrecondition(text, field="report.protocol_version")

    def _of(self, token: str) -> EngineSession:
        given = token.encode("utf-8", "replace")
        for session in self.sessions:
            if session is not None and hmac.compare_digest(given, session.token.encode()):
                return session
        text = "belongs to no engine: the trainer was started anew, or another engine took the place; offer without a token"
        raise NotFound(text, field="report.resume_token")

    def _admit(self, spec: EngineSpec) -> EngineSession:
        if self.expected is not None:
            check_same(self.expected, spec, same_rows=False, field="report.spec")
        place = self._free_place(spec.rows)
        session, before = EngineSession(spec, self._timing), self.sessions[place]
        if before is not None:
            before.end("another engine took the place")
        self.expected = self.expected or spec
        self.sessions[place] = session
        self._announce()
        return session

    def _free_place(self, rows: int) -> int:
        free = [i for i, session in enumerate(self.sessions) if session is None or session.problem]
        if not free:
            count, seconds = len(self.sessions), self._timing.silence_seconds
            text = f"this trainer has its {count} engine{'s' if count > 1 else ''}; give it more with --engines"
            raise FailedPrecondition(f"{text}, or wait {seconds:g} s where one of them is gone")
        fitting = [i for i in free if self._rows is None or self._rows[i] == rows]
        if not fitting and self._rows is not None:
            wanted = sorted({self._rows[i] for i in free})
            text = f"{rows} rows, expected {wanted}, which the training was begun with; offer as many"
            raise FailedPrecondition(text, field="report.spec.environments")
        return fitting[0]

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Service:
    """The methods of `EnvironmentService`."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def OfferEnvironment(  # noqa: N802
        self, requests: AsyncIterator[pb.OfferEnvironmentRequest]
    ) -> AsyncIterator[pb.OfferEnvironmentResponse]:
        """Answer each report of a stream with a command; an engine whose stream ends is gone at once."""
        carrier, session = object(), None
        try:
            async for request in requests:
                session = self._places.find(request.report)
                command = await session.exchange(request.report, carrier)
                yield pb.OfferEnvironmentResponse(command=command)
                if command.kind == pb.COMMAND_KIND_CLOSE:
                    return
        finally:
            if session is not None:
                session.detach(carrier)

    async def ExchangeEnvironment(  # noqa: N802
        self, request: pb.ExchangeEnvironmentRequest
    ) -> pb.ExchangeEnvironmentResponse:
        """Answer one report with a command."""
        session = self._places.find(request.report)
        return pb.ExchangeEnvironmentResponse(command=await session.exchange(request.report, object()))
