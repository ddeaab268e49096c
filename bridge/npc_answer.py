"""What a game gets of a policy group: the policy's actions; for a failed or late agent, its last or its neutral ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.npc_card import LOG_PROBABILITY, MASK, Spec
from bridge.npc_memory import NpcMemory, states_after
from bridge.npc_request import INVALID, LATE, LOST, MASKED, Bools, Fault, GroupBatch, branches
from bridge.v1 import npc_service_pb2 as pb

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Rows = npt.NDArray[np.intp]
AGENT_OK, FROM_MODEL = pb.AGENT_STATUS_OK, pb.SOURCE_MODEL
LOST_MESSAGE = (
    "nothing is kept of the agent's episode, it acts as at an episode's start; expected episode_starts in an agent's first call"
)


def chosen(batch: GroupBatch, outputs: Arrays, memory: NpcMemory | None, message: pb.GroupActions) -> None:
    """Write the group's answer to checked `outputs`, arrays [N, ...] by name.

    Agents that failed get what `memory` last had of them, or their neutral action.
    """
    spec = batch.spec
    actions = {action.name: outputs[action.name] for action in spec.actions}
    message.name = batch.name
    message.model.CopyFrom(batch.model.served_by())
    if batch.faults or (batch.lost is not None and batch.lost.any()):
        actions = _with_faults(batch, outputs, actions, memory, message)
    else:
        message.MergeFromString(_all_chosen(len(batch.agents)))
        if spec.log_probability:
            message.log_probabilities.extend(outputs[LOG_PROBABILITY].tolist())
    tensors.write_arrays(message.actions, actions)
    if memory is None and spec.states:
        tensors.write_arrays(message.states, states_after(batch, outputs))


@lru_cache(maxsize=256)
def _all_chosen(rows: int) -> bytes:
    """Return a serialised answer whose agents all act as the policy says, without the actions."""
    message = pb.GroupActions(statuses=[AGENT_OK] * rows, sources=[FROM_MODEL] * rows)
    data: bytes = message.SerializeToString()
    return data


def _with_faults(
    batch: GroupBatch, outputs: Arrays, actions: Arrays, memory: NpcMemory | None, message: pb.GroupActions
) -> Arrays:
    """Write statuses, sources and failures where some agents failed or lost their state; return the actions of all."""
    spec, rows = batch.spec, len(batch.agents)
    statuses, sources = [AGENT_OK] * rows, [FROM_MODEL] * rows
    log_probabilities = outputs[LOG_PROBABILITY] if spec.log_probability else np.empty(0, np.float32)
    if batch.faults:
        failed = np.array(sorted(batch.faults), np.intp)
        cached, instead = _instead(batch, failed, memory)
        actions = {name: array.copy() for name, array in actions.items()}
        for name, array in actions.items():
            array[failed] = instead[name]
        for row, repeats in zip(failed.tolist(), cached.tolist(), strict=True):
            statuses[row] = batch.faults[row].status
            sources[row] = pb.SOURCE_CACHE if repeats else pb.SOURCE_FALLBACK
        if spec.log_probability:
            log_probabilities = log_probabilities.copy()
            log_probabilities[failed] = 0.0
    failures = _failures(batch)
    for row in () if batch.lost is None else np.flatnonzero(batch.lost).tolist():
        if row not in batch.faults:
            statuses[row] = LOST
            failures.append(_failure(batch, row, Fault(LOST, f"{batch.path}.episode_starts", LOST_MESSAGE)))
    message.statuses.extend(statuses)
    message.sources.extend(sources)
    message.failures.extend(failures)
    message.log_probabilities.extend(log_probabilities.tolist())
    return actions


def late(batch: GroupBatch, memory: NpcMemory | None, message: pb.GroupActions) -> None:
    """Write the answer of a group whose policy is not ready in time: what its agents last did, or their neutral actions."""
    spec, rows = batch.spec, len(batch.agents)
    cached, actions = _instead(batch, np.arange(rows), memory)
    statuses = [LATE] * rows
    for row, fault in batch.faults.items():
        statuses[row] = fault.status
    message.name = batch.name
    message.model.CopyFrom(batch.model.served_by())
    message.statuses.extend(statuses)
    message.sources.extend(np.where(cached, pb.SOURCE_CACHE, pb.SOURCE_FALLBACK).tolist())
    message.failures.extend(_failures(batch))
    message.log_probabilities.extend([0.0] * rows if spec.log_probability else [])
    tensors.write_arrays(message.actions, actions)
    if memory is None and spec.states:
        tensors.write_arrays(message.states, states_after(batch, None))


def fail_overflown(batch: GroupBatch, outputs: Mapping[str, Array]) -> None:
    """Mark agents whose finite observations drove the policy out of its numbers: no NaN ever reaches a game or a state."""
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not tensors.is_finite(array):
            bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            message = f'the policy makes of the observation no finite "{name}", expected numbers like those of its training'
            batch.fail(bad, INVALID, f"{batch.path}.observations", message)


def _failures(batch: GroupBatch) -> list[pb.AgentFailure]:
    return [_failure(batch, row, fault) for row, fault in sorted(batch.faults.items())]


def _failure(batch: GroupBatch, row: int, fault: Fault) -> pb.AgentFailure:
    agent = batch.agents[row]
    return pb.AgentFailure(agent_id=agent, message=f"agent {agent}: {fault.message}", field=fault.field)


def _instead(batch: GroupBatch, rows: Rows, memory: NpcMemory | None) -> tuple[Bools, Arrays]:
    """Return for K rows whether last actions are repeated, bool[K], and their actions [K, ...]: those or neutral ones.

    A last action is repeated unless the episode starts, the mask forbids it now, or every action of a branch is forbidden.
    """
    spec = batch.spec
    mask = batch.feeds[MASK][rows] if MASK in batch.feeds else None
    neutral = _neutral(spec, len(rows), mask)
    if memory is None:
        return np.zeros(len(rows), bool), neutral
    repeated, last = memory.last_actions([batch.agents[row] for row in rows.tolist()])
    masked = [row for row, fault in batch.faults.items() if fault.status == MASKED]
    repeated &= ~batch.starts[rows] & ~np.isin(rows, masked)
    if mask is not None:
        repeated &= _allowed(spec, last, mask)
    return repeated, {name: np.where(repeated[:, None], last[name], array) for name, array in neutral.items()}


def _neutral(spec: Spec, rows: int, mask: Array | None) -> Arrays:
    """Return neutral actions [K, size]; a choice that the mask bool[K, width] forbids is the first one that it allows."""
    actions = {action.name: np.tile(action.at_rest, (rows, 1)) for action in spec.actions}
    if mask is None:
        return actions
    start = 0
    for action, branch, size in branches(spec.actions):
        allowed, column = mask[:, start : start + size], actions[action.name][:, branch]
        forbidden = ~allowed[np.arange(rows), column]
        column[forbidden] = allowed.argmax(axis=1)[forbidden]
        start += size
    return actions


def _allowed(spec: Spec, actions: Arrays, mask: Array) -> Bools:
    """Return for K rows whether the mask allows their choices in every branch."""
    rows, start = np.arange(len(mask)), 0
    allowed = np.ones(len(mask), bool)
    for action, branch, size in branches(spec.actions):
        allowed &= mask[rows, start + actions[action.name][:, branch]]
        start += size
    return allowed
