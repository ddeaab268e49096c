"""What a game gets of a policy group: the policy's actions, or in place of a failed agent's its last ones or neutral ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.agent_states import AgentStates, remember
from bridge.game_sessions import LastActions
from bridge.npc_card import LOG_PROBABILITY, MASK, Spec, bounds
from bridge.npc_request import INVALID, LOST, MASKED, Fault, GroupBatch, branches
from bridge.v1 import npc_service_pb2 as pb

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
AGENT_OK, FROM_MODEL = pb.AGENT_STATUS_OK, pb.SOURCE_MODEL
LOST_MESSAGE = (
    "nothing is kept of the agent's episode, it acts as at an episode's start; expected episode_starts in an agent's first call"
)


def answer(batch: GroupBatch, outputs: Arrays, last: LastActions | None, message: pb.GroupActions) -> LastActions:
    """Write the group's answer to `outputs`, arrays [N, ...] by name; return what is to be kept for its next tick."""
    spec: Spec = batch.model.spec
    _fail_overflown(batch, outputs)
    states = _next_states(batch, spec, outputs, last.states if last else None)
    actions = {action.name: outputs[action.name] for action in spec.actions}
    message.name = batch.name
    message.model.CopyFrom(batch.model.served_by())
    if batch.faults or (batch.lost is not None and batch.lost.any()):
        actions = _with_faults(batch, outputs, actions, last, message)
    else:
        message.MergeFromString(_all_chosen(len(batch.agents)))
        if spec.log_probability:
            message.log_probabilities.extend(outputs[LOG_PROBABILITY].tolist())
    tensors.write_arrays(message.actions, actions)
    return LastActions(batch.agents, actions, states)


@lru_cache(maxsize=256)
def _all_chosen(rows: int) -> bytes:
    """Return a serialised answer whose agents all act as the policy says, without the actions."""
    message = pb.GroupActions(statuses=[AGENT_OK] * rows, sources=[FROM_MODEL] * rows)
    data: bytes = message.SerializeToString()
    return data


def _with_faults(
    batch: GroupBatch, outputs: Arrays, actions: Arrays, last: LastActions | None, message: pb.GroupActions
) -> Arrays:
    """Write statuses, sources and failures where some agents failed or lost their state; return the actions of all."""
    rows = len(batch.agents)
    statuses, sources = [AGENT_OK] * rows, [FROM_MODEL] * rows
    failures = []
    log_probabilities = outputs.get(LOG_PROBABILITY, np.empty(0, np.float32))
    if batch.faults:
        actions = {name: array.copy() for name, array in actions.items()}
        log_probabilities = log_probabilities.copy()
        for row, fault in sorted(batch.faults.items()):
            statuses[row] = fault.status
            sources[row] = _replace(batch, actions, row, last)
            log_probabilities[row : row + 1] = 0.0
            failures.append(_failure(batch, row, fault))
    for row in () if batch.lost is None else np.flatnonzero(batch.lost).tolist():
        if row not in batch.faults:
            statuses[row] = LOST
            failures.append(_failure(batch, row, Fault(LOST, f"{batch.path}.episode_starts", LOST_MESSAGE)))
    message.statuses.extend(statuses)
    message.sources.extend(sources)
    message.failures.extend(failures)
    message.log_probabilities.extend(log_probabilities.tolist())
    return actions


def _failure(batch: GroupBatch, row: int, fault: Fault) -> pb.AgentFailure:
    agent = batch.agents[row]
    return pb.AgentFailure(agent_id=agent, message=f"agent {agent}: {fault.message}", field=fault.field)


def _next_states(batch: GroupBatch, spec: Spec, outputs: Arrays, kept: AgentStates | None) -> AgentStates | None:
    """Return the states to keep: an agent that failed keeps what it had, if it had anything."""
    if batch.lost is None:
        return None
    rows = list(batch.faults)
    arrays, usable = {}, np.ones(len(batch.agents), bool)
    for state in spec.states:
        after = outputs[state.output]
        if rows:
            after = after.copy()
            after[rows] = batch.feeds[state.name][rows]
        arrays[state.name] = after
    usable[rows] = ~batch.lost[rows]
    return remember(kept, batch.agents, arrays, usable)


def _fail_overflown(batch: GroupBatch, outputs: Arrays) -> None:
    """Mark agents whose finite observations drove the policy out of its numbers: no NaN ever reaches a game or a state."""
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not tensors.is_finite(array):
            bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            message = f'the policy makes of the observation no finite "{name}", expected numbers like those of its training'
            batch.fail(bad, INVALID, f"{batch.path}.observations", message)


def _replace(batch: GroupBatch, actions: Arrays, row: int, last: LastActions | None) -> pb.Source:
    """Put the agent's last action, or a neutral one, in place of what the policy made of zeros; return the source."""
    spec: Spec = batch.model.spec
    mask = batch.feeds[MASK][row] if MASK in batch.feeds else None
    starts = bool(batch.starts) and batch.starts[row]
    masked = batch.faults[row].status == MASKED
    cached = None if last is None or starts or masked else last.of(batch.agents[row])
    if cached is not None and (mask is None or _allowed(spec, cached, mask)):
        for name, values in cached.items():
            actions[name][row] = values
        return pb.SOURCE_CACHE
    _neutralise(spec, actions, row, mask)
    return pb.SOURCE_FALLBACK


def _neutralise(spec: Spec, actions: Arrays, row: int, mask: Array | None) -> None:
    """Give an agent the neutral action: continuous 0, clipped to the range; discrete the first that the mask allows."""
    for action in spec.actions:
        if action.kind == "continuous":
            actions[action.name][row] = np.clip(0.0, bounds(action.low, -np.inf), bounds(action.high, np.inf))
    start = 0
    for action, branch, size in branches(spec.actions):
        actions[action.name][row, branch] = 0 if mask is None else int(mask[start : start + size].argmax())
        start += size


def _allowed(spec: Spec, actions: Arrays, mask: Array) -> bool:
    start = 0
    for action, branch, size in branches(spec.actions):
        if not mask[start + int(actions[action.name][branch])]:
            return False
        start += size
    return True
