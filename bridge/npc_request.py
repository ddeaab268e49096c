"""A policy group of a request as checked arrays: what the graph is fed, and which agents cannot be served and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import seeds, tensors
from bridge.agent_states import AgentStates, Bools, recall
from bridge.errors import InvalidArgument
from bridge.game_sessions import LastActions
from bridge.model_card import TensorSpec
from bridge.npc_card import MASK, NOISE, ActionSpec, ObservationSpec, Spec, bounds
from bridge.registry import ServedModel
from bridge.v1 import npc_service_pb2 as pb
from bridge.v1 import tensor_pb2

Array = npt.NDArray[Any]
INVALID, MASKED, LOST = (
    pb.AGENT_STATUS_INVALID_OBSERVATION,
    pb.AGENT_STATUS_ALL_ACTIONS_MASKED,
    pb.AGENT_STATUS_STATE_LOST,
)
SAMPLINGS = frozenset(pb.Sampling.values())
SEEDED = pb.SAMPLING_SEEDED
_DRAWS = {"normal": seeds.action_normals, "gumbel": seeds.action_gumbels, "uniform": seeds.action_uniforms}


@dataclass(frozen=True)
class Fault:
    """Why an agent is not served: its status, the path of the field at fault, and what is wrong there."""

    status: pb.AgentStatus
    field: str
    message: str


@dataclass
class GroupBatch:
    """A checked policy group: arrays of N rows, and which agents cannot be served."""

    model: ServedModel
    name: str
    path: str
    agents: list[int]
    feeds: dict[str, Array]
    starts: Sequence[bool]
    lost: Bools | None = None
    """Rows whose recurrent state is lost; none for a policy without state."""
    faults: dict[int, Fault] = field(default_factory=dict)
    """By row, what keeps an agent from being served; every other row is."""

    def key(self) -> tuple[str, str]:
        """Return the key under which is kept what the group's agents leave from tick to tick."""
        return group_key(self.name, self.model)

    def fail(self, bad: npt.ArrayLike, status: pb.AgentStatus, field: str, message: str) -> None:
        """Give the rows where `bad` is true a fault, unless they have one already."""
        for row in np.flatnonzero(bad).tolist():
            self.faults.setdefault(row, Fault(status, field, message))


def group_key(name: str, model: ServedModel) -> tuple[str, str]:
    """Return the key of a group: what is kept for one policy is never fed to another, nor to other files of its version."""
    return name, model.digest


def check_group(
    group: pb.PolicyGroup, path: str, model: ServedModel, request: pb.ChooseActionsRequest, last: LastActions | None
) -> GroupBatch:
    """Return the group's batch; `InvalidArgument` below `path` where its structure is wrong."""
    spec: Spec = model.spec
    agents = _agents(group, path, last)
    rows, starts, observations = len(agents), group.episode_starts, group.observations
    if starts and len(starts) != rows:
        message = f"{len(starts)} flags for {rows} agents, expected none or {rows}"
        raise InvalidArgument(message, field=f"{path}.episode_starts")
    inputs = model.inputs["policy"]
    wanted = [inputs[observation.name] for observation in spec.observations]
    feeds = tensors.match_named(observations, wanted, rows, f"{path}.observations")
    batch = GroupBatch(model, group.name, path, agents, feeds, starts)
    for observation in spec.observations:
        _check_observation(batch, observation, observations)
    if spec.mask_size or group.HasField("action_mask"):
        feeds[MASK] = _mask(group, spec, batch)
    if spec.noise_size or group.sampling not in SAMPLINGS:
        feeds[NOISE] = _noise(group, spec, agents, request, path)
    if spec.states:
        _recall(batch, spec, request.session_id, last.states if last else None)
    return batch


def _agents(group: pb.PolicyGroup, path: str, last: LastActions | None) -> list[int]:
    """Return the group's ids; those of the tick before are known to be unique."""
    ids = list(group.agent_ids)
    if last is not None and ids == last.agents:
        return last.agents
    if not ids:
        raise InvalidArgument("no agent, expected at least one", field=f"{path}.agent_ids")
    if len(set(ids)) != len(ids):
        twice = next(agent for agent, count in Counter(ids).items() if count > 1)
        raise InvalidArgument(f"agent {twice} is there twice, expected unique ids", field=f"{path}.agent_ids")
    return ids


def _check_observation(batch: GroupBatch, spec: ObservationSpec, given: Sequence[tensor_pb2.NamedTensor]) -> None:
    """Mark agents with values that no policy takes and give them zeros, so that nothing of theirs reaches the batch.

    That is NaN and infinity; and for whole numbers, of which a policy makes categories, any beyond the card's range.
    """
    array = batch.feeds[spec.name]
    is_float = array.dtype.kind == "f"
    if is_float and tensors.is_finite(array):
        return
    flat = array.reshape(len(array), -1)
    if is_float:
        wrong, expected = ~np.isfinite(flat), "a finite number"
    else:
        low, high = bounds(spec.low, -np.inf), bounds(spec.high, np.inf)
        if array.dtype == np.uint8 and low.max() <= 0 and high.min() >= np.iinfo(np.uint8).max:
            return
        wrong, expected = (flat < low) | (flat > high), "a number within the range that the card gives"
    bad = wrong.any(axis=1)
    if not bad.any():
        return
    place = [named.name for named in given].index(spec.name)
    field = f"{batch.path}.observations[{place}].tensor"
    for row in np.flatnonzero(bad).tolist():
        element = int(wrong[row].argmax())
        called = f' ("{spec.elements[element]}")' if spec.elements else ""
        value = {"nan": "NaN"}.get(str(flat[row, element]), str(flat[row, element]))
        message = f'observation "{spec.name}", element {element}{called} is {value}, expected {expected}'
        batch.faults.setdefault(row, Fault(INVALID, field, message))
    batch.feeds[spec.name] = array.copy()
    batch.feeds[spec.name][bad] = 0


def _mask(group: pb.PolicyGroup, spec: Spec, batch: GroupBatch) -> Array:
    """Return the mask bool[rows, mask_size]; agents with a branch all forbidden are marked, and that branch is freed."""
    rows, field = len(batch.agents), f"{batch.path}.action_mask"
    if not spec.mask_size:
        raise InvalidArgument("the policy takes no mask, expected none", field=field)
    if not group.HasField("action_mask"):
        return np.ones((rows, spec.mask_size), bool)
    wanted = TensorSpec(name=MASK, dtype="bool", shape=["batch", spec.mask_size])
    mask = tensors.match(group.action_mask, wanted, rows, field)
    start = 0
    for action, branch, size in branches(spec.actions):
        forbidden = ~mask[:, start : start + size].any(axis=1)
        if forbidden.any():
            mask = mask.copy()
            mask[forbidden, start : start + size] = True
            message = f'the mask forbids every action of branch {branch} of "{action.name}", expected one of {size} allowed'
            batch.fail(forbidden, MASKED, field, message)
        start += size
    return mask


def branches(actions: Sequence[ActionSpec]) -> list[tuple[ActionSpec, int, int]]:
    """Return action, number and size of every branch, in the order of the mask."""
    return [(action, branch, size) for action in actions for branch, size in enumerate(action.branches)]


def _noise(group: pb.PolicyGroup, spec: Spec, agents: list[int], request: pb.ChooseActionsRequest, path: str) -> Array:
    """Return zeros for deterministic actions, else draws keyed by seed, agent and tick."""
    if group.sampling not in SAMPLINGS:
        message = f"is {group.sampling}, expected one of {pb.Sampling.keys()}"
        raise InvalidArgument(message, field=f"{path}.sampling")
    if group.sampling != SEEDED:
        return np.zeros((len(agents), spec.noise_size), np.float32)
    columns, start = np.empty((len(agents), spec.noise_size), np.float32), 0
    for part in spec.noise:
        drawn = _DRAWS[part.kind](request.seed, agents, request.tick, start + part.size)
        columns[:, start : start + part.size] = drawn[:, start:]
        start += part.size
    return columns


def _recall(batch: GroupBatch, spec: Spec, session_id: str, kept: AgentStates | None) -> None:
    """Feed the batch with its agents' recurrent state."""
    states, batch.lost = recall(kept, batch.agents, batch.starts, spec.states)
    if not session_id and batch.lost.any():
        agent = batch.agents[int(batch.lost.argmax())]
        message = (
            f'is empty, but "{batch.model.card.name}" is recurrent and the episode of agent {agent} does not start with '
            f"this call; name the session, or set {batch.path}.episode_starts"
        )
        raise InvalidArgument(message, field="session_id")
    batch.feeds.update(states)
