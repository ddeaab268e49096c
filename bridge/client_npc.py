"""The calls of `NpcService` as Python's client makes them: groups of agents in, actions as arrays out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.client_connection import Connection, client_error
from bridge.v1 import model_service_pb2, npc_service_pb2
from bridge.v1.npc_service_pb2_grpc import NpcServiceStub

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Group:
    """Agents that share a policy, as `choose_actions` takes them: arrays have one row an agent.

    `states` is what the last answer gave, for a recurrent policy without a session. `frame_budget_ms` is the group's own, in
    place of the call's.
    """

    model: str
    agents: Sequence[int]
    observations: Mapping[str, Array]
    name: str = ""
    version: int = 0
    episode_starts: Sequence[bool] = ()
    action_mask: Array | None = None
    seeded: bool = False
    states: Mapping[str, Array] = field(default_factory=dict)
    frame_budget_ms: float = 0.0


@dataclass(frozen=True)
class GroupAnswer:
    """Actions by name [N, ...], and for each agent its status and source as the contract's enum numbers.

    `log_probabilities` are float32[N], or empty for a policy that has none. `states` are a recurrent policy's for the next
    call, by name [N, ...], where there is no session. `session_restarted` says that a session that went on was not kept.
    """

    actions: dict[str, Array]
    statuses: list[int]
    sources: list[int]
    failures: dict[int, str]
    log_probabilities: Array
    model: str
    version: int
    provider: str
    states: dict[str, Array]
    session_restarted: bool


class NpcCalls(Connection):
    """What a client asks of policies."""

    @cached_property
    def _npcs(self) -> Any:
        return NpcServiceStub(self.channel)  # type: ignore[no-untyped-call]

    @cached_property
    def _keepers(self) -> dict[str, int]:
        """Return who keeps each session, as its last answer said."""
        return {}

    def choose_actions(
        self,
        groups: Sequence[Group],
        *,
        session: str = "",
        tick: int = 0,
        seed: int = 0,
        frame_budget_ms: float = 0.0,
    ) -> list[GroupAnswer]:
        """Choose the actions of all agents of a tick.

        With a frame budget the answer leaves the sidecar after so many milliseconds, whatever is ready: the agents of a late
        policy have the status LATE, and their last action or a neutral one. 0 waits for every policy.
        """
        request = npc_service_pb2.ChooseActionsRequest(
            session_id=session,
            groups=[group_message(group) for group in groups],
            tick=tick,
            seed=seed,
            frame_budget_ms=frame_budget_ms,
            keeper=self._keepers.get(session, 0),
        )
        answer = self._call(self._npcs.ChooseActions, request)
        if session:
            self._keepers[session] = answer.keeper
        return [group_answer(group, answer.session_restarted) for group in answer.groups]

    def describe_policy(self, model: str, version: int = 0) -> npc_service_pb2.DescribePolicyResponse:
        """Describe what a policy observes and how it acts."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        response: npc_service_pb2.DescribePolicyResponse = self._call(
            self._npcs.DescribePolicy, npc_service_pb2.DescribePolicyRequest(model=selector)
        )
        return response

    def end_session(self, session: str) -> bool:
        """End a session; return whether the sidecar kept anything for it."""
        self._keepers.pop(session, None)
        answer = self._call(self._npcs.EndSession, npc_service_pb2.EndSessionRequest(session_id=session))
        return bool(answer.existed)

    @contextlib.contextmanager
    def hold_session(self, session: str) -> Iterator[None]:
        """Hold a session until the block ends, or this process or its connection does: then the sidecar ends it."""
        call = self._npcs.HoldSession(npc_service_pb2.HoldSessionRequest(session_id=session))
        try:
            next(call)
            yield
        except grpc.RpcError as error:
            raise client_error(error) from error
        finally:
            call.cancel()
            self._keepers.pop(session, None)


def group_message(group: Group) -> npc_service_pb2.PolicyGroup:
    """Return a group as `choose_actions` sends it."""
    sampling = npc_service_pb2.SAMPLING_SEEDED if group.seeded else npc_service_pb2.SAMPLING_DETERMINISTIC
    mask = None if group.action_mask is None else tensors.from_array(group.action_mask)
    return npc_service_pb2.PolicyGroup(
        name=group.name,
        model=model_service_pb2.ModelSelector(name=group.model, version=group.version),
        agent_ids=group.agents,
        observations=tensors.from_arrays(group.observations),
        episode_starts=group.episode_starts,
        action_mask=mask,
        sampling=sampling,
        states=tensors.from_arrays(group.states),
        frame_budget_ms=group.frame_budget_ms,
    )


def group_answer(group: npc_service_pb2.GroupActions, restarted: bool) -> GroupAnswer:
    """Return what was answered for a group, as arrays; `restarted` is what the answer says of its session."""
    return GroupAnswer(
        actions={a.name: tensors.to_array(a.tensor, f"actions.{a.name}") for a in group.actions},
        statuses=list(group.statuses),
        sources=list(group.sources),
        failures={failure.agent_id: failure.message for failure in group.failures},
        log_probabilities=np.array(group.log_probabilities, np.float32),
        model=group.model.name,
        version=group.model.version,
        provider=group.model.provider,
        states={s.name: tensors.to_array(s.tensor, f"states.{s.name}") for s in group.states},
        session_restarted=restarted,
    )
