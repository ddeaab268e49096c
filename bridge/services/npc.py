"""`NpcService`: one call a tick; each group's observations → its policy → actions, and a status an agent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from bridge.calls import current_call
from bridge.config import Limits
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.game_sessions import GameSessions
from bridge.npc_card import Spec
from bridge.npc_description import describe
from bridge.npc_memory import NpcMemory
from bridge.npc_request import check_group
from bridge.npc_turn import Turn, answer_all
from bridge.registry import Registry
from bridge.v1 import npc_service_pb2 as pb

__all__ = ["DESCRIPTOR", "GRAPHS", "MAX_BATCH", "OPTIONAL_GRAPHS", "THREADS", "Service", "Spec"]

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["NpcService"]
GRAPHS = ("policy",)
OPTIONAL_GRAPHS: tuple[str, ...] = ()
MAX_BATCH = 4096
THREADS = 1
MAX_SESSION_ID = 128


class Service:
    """Chooses actions for all agents of a tick."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry
        self._limits = limits
        self._sessions = sessions

    async def ChooseActions(self, request: pb.ChooseActionsRequest) -> pb.ChooseActionsResponse:
        """Run every group's policy once; groups wait for one another within their budgets, and failed agents disturb nobody."""
        call = current_call()
        started_s = call.started_s if call else time.monotonic()
        self._check_call(request)
        batches = [
            check_group(group, f"groups[{i}]", self._registry.find(group.model, "npc", f"groups[{i}].model"), request)
            for i, group in enumerate(request.groups)
        ]
        session, response = request.session_id, pb.ChooseActionsResponse()
        if session:
            response.session_restarted = self._restart(request)
            response.keeper = self._sessions.keeper
        memories = [NpcMemory(self._sessions, session, batch) if session else None for batch in batches]
        turns = [
            Turn(batch, memory, started_s + batch.budget_s if batch.budget_s else None, response.groups.add())
            for batch, memory in zip(batches, memories, strict=True)
        ]
        await answer_all(turns)
        return response

    async def DescribePolicy(self, request: pb.DescribePolicyRequest) -> pb.DescribePolicyResponse:
        """Describe what a policy observes and how it acts."""
        return describe(self._registry.find(request.model, "npc", "model"))

    async def EndSession(self, request: pb.EndSessionRequest) -> pb.EndSessionResponse:
        """Forget all that is kept for a session."""
        _check_session(request.session_id)
        return pb.EndSessionResponse(existed=self._sessions.end(request.session_id))

    async def HoldSession(self, request: pb.HoldSessionRequest) -> AsyncIterator[pb.HoldSessionResponse]:
        """Hold a session until the caller is gone or the sidecar stops."""
        _check_session(request.session_id)
        most = max(1, self._limits.max_concurrent_calls // 2)
        if self._sessions.holders >= most:
            message = f"{most} sessions are held already, half of --limits.max-concurrent-calls; end sessions yourself"
            raise ResourceExhausted(message, field="session_id")
        with self._sessions.held(request.session_id):
            yield pb.HoldSessionResponse(keeper=self._sessions.keeper)
            await self._sessions.closing.wait()

    def _check_call(self, request: pb.ChooseActionsRequest) -> None:
        if request.session_id:
            _check_session(request.session_id)
        if not request.groups:
            raise InvalidArgument("no group, expected at least one", field="groups")
        agents = sum([len(group.agent_ids) for group in request.groups])
        if agents > self._limits.max_agents:
            message = f"{agents} agents in one call, expected at most {self._limits.max_agents}; split the tick"
            raise ResourceExhausted(message, field="groups")
        names = [group.name for group in request.groups] if len(request.groups) > 1 else []
        if len(set(names)) != len(names):
            raise InvalidArgument(f"group names are {names}, expected different ones", field="groups")

    def _restart(self, request: pb.ChooseActionsRequest) -> bool:
        """Forget a session that another process has kept since; return whether it went on and nothing is kept of it."""
        if not request.keeper:
            return False
        if request.keeper != self._sessions.keeper:
            self._sessions.end(request.session_id, "keeper")
        return request.session_id not in self._sessions


def _check_session(session_id: str) -> None:
    if not session_id:
        raise InvalidArgument("is empty, expected the id of a session", field="session_id")
    if len(session_id) > MAX_SESSION_ID:
        message = f"has {len(session_id)} characters, expected at most {MAX_SESSION_ID}"
        raise InvalidArgument(message, field="session_id")
