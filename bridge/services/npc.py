"""`NpcService`: one call a tick; each group's observations → its policy → actions, and a status an agent."""

from __future__ import annotations

import asyncio

from bridge.config import Limits
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.game_sessions import GameSessions
from bridge.npc_answer import answer
from bridge.npc_card import Spec
from bridge.npc_description import describe
from bridge.npc_request import GroupBatch, check_group, group_key
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
        """Run every group's policy once; groups wait for one another, agents that fail do not disturb the others."""
        self._check_call(request)
        batches = [self._batch(group, f"groups[{i}]", request) for i, group in enumerate(request.groups)]
        runs = (batch.model.batchers["policy"].run(batch.feeds) for batch in batches)
        outputs = [await next(runs)] if len(batches) == 1 else await asyncio.gather(*runs)
        response = pb.ChooseActionsResponse()
        for batch, output in zip(batches, outputs, strict=True):
            last = self._sessions.last(request.session_id, batch.key()) if request.session_id else None
            kept = answer(batch, output, last, response.groups.add())
            self._sessions.keep(request.session_id, batch.key(), kept)
        return response

    async def DescribePolicy(self, request: pb.DescribePolicyRequest) -> pb.DescribePolicyResponse:
        """Describe what a policy observes and how it acts."""
        return describe(self._registry.find(request.model, "npc", "model"))

    async def EndSession(self, request: pb.EndSessionRequest) -> pb.EndSessionResponse:
        """Forget all that is kept for a session."""
        if not request.session_id:
            raise InvalidArgument("is empty, expected the id of a session", field="session_id")
        return pb.EndSessionResponse(existed=self._sessions.end(request.session_id))

    def _check_call(self, request: pb.ChooseActionsRequest) -> None:
        if len(request.session_id) > MAX_SESSION_ID:
            message = f"has {len(request.session_id)} characters, expected at most {MAX_SESSION_ID}"
            raise InvalidArgument(message, field="session_id")
        if not request.groups:
            raise InvalidArgument("no group, expected at least one", field="groups")
        agents = sum([len(group.agent_ids) for group in request.groups])
        if agents > self._limits.max_agents:
            message = f"{agents} agents in one call, expected at most {self._limits.max_agents}; split the tick"
            raise ResourceExhausted(message, field="groups")
        names = [group.name for group in request.groups] if len(request.groups) > 1 else []
        if len(set(names)) != len(names):
            raise InvalidArgument(f"group names are {names}, expected different ones", field="groups")

    def _batch(self, group: pb.PolicyGroup, path: str, request: pb.ChooseActionsRequest) -> GroupBatch:
        model = self._registry.find(group.model, "npc", f"{path}.model")
        last = self._sessions.last(request.session_id, group_key(group.name, model)) if request.session_id else None
        return check_group(group, path, model, request, last)
