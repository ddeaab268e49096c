"""A policy group of a request as checked arrays: what the graph is fed, and which agents cannot be served and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import seeds, tensors
from bridge.errors import InvalidArgument
from bridge.model_card import TensorSpec
from bridge.npc_card import MASK, NOISE, ActionSpec, ObservationSpec, Spec, StateSpec, bounds
from bridge.registry import ServedModel
from bridge.v1 import npc_service_pb2 as pb
from bridge.v1 import tensor_pb2

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
INVALID, MASKED, LOST = (
    pb.AGENT_STATUS_INVALID_OBSERVATION,
    pb.AGENT_STATUS_ALL_ACTIONS_MASKED,
    pb.AGENT_STATUS_STATE_LOST,
)
LATE = pb.AGENT_STATUS_LATE
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
    starts: Bools
    """Rows whose episode starts."""
    budget_s: float = 0.0
    """Seconds in which the group is to be answered; 0 for as long as it takes."""
    lost: Bools | None = None
    """Rows whose recurrent state is lost; none where nothing was looked for."""
    faults: dict[int, Fault] = field(default_factory=dict)
    """By row, what keeps an agent from being served; every other row is."""

    @property
    def spec(self) -> Spec:
        """Return the npc section of the model's card."""
        spec: Spec = self.model.spec
        return spec

    def fail(self, bad: npt.ArrayLike, status: pb.AgentStatus, field: str, message: str) -> None:
        """Give the rows where `bad` is true a fault, unless they have one already."""
        for row in np.flatnonzero(bad).tolist():
            self.faults.setdefault(row, Fault(status, field, message))


def check_group(group: pb.PolicyGroup, path: str, model: ServedModel, request: pb.ChooseActionsRequest) -> GroupBatch:
    """Return the group's batch; `InvalidArgument` below `path` where its structure is wrong.

    Where there is a session, the recurrent state is still to be fed.
    """
    spec: Spec = model.spec
    agents = _agents(group, path)
    rows, starts, observations = len(agents), group.episode_starts, group.observations
    if starts and len(starts) != rows:
        message = f"{len(starts)} flags for {rows} agents, expected none or {rows}"
        raise InvalidArgument(message, field=f"{path}.episode_starts")
    inputs = model.inputs["policy"]
    wanted = [inputs[observation.name] for observation in spec.observations]
    feeds = tensors.match_named(observations, wanted, rows, f"{path}.observations")
    flags = np.array(starts, bool) if starts else np.zeros(rows, bool)
    batch = GroupBatch(model, group.name, path, agents, feeds, flags, _budget(group, path, request))
    for observation in spec.observations:
        _check_observation(batch, observation, observations)
    if spec.mask_size or group.HasField("action_mask"):
        feeds[MASK] = _mask(group, spec, batch)
    if spec.noise_size or group.sampling not in SAMPLINGS:
        feeds[NOISE] = _noise(group, spec, agents, request, path)
    if spec.states:
        _brought(batch, group, spec, request.session_id)
    elif group.states:
        raise InvalidArgument(f'"{model.card.name}" has no memory, expected none', field=f"{path}.states")
    return batch


def _budget(group: pb.PolicyGroup, path: str, request: pb.ChooseActionsRequest) -> float:
    """Return the group's frame budget in seconds."""
    field, value = f"{path}.frame_budget_ms", group.frame_budget_ms
    if value == 0:
        field, value = "frame_budget_ms", request.frame_budget_ms
    if not 0 <= value < math.inf:
        raise InvalidArgument(f"is {value:g}, expected milliseconds, 0 for none", field=field)
    return value / 1000


def _agents(group: pb.PolicyGroup, path: str) -> list[int]:
    ids = list(group.agent_ids)
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


def _brought(batch: GroupBatch, group: pb.PolicyGroup, spec: Spec, session_id: str) -> None:
    """Feed a group without a session with the recurrent state that it brought; an episode that starts has the initial one."""
    path = f"{batch.path}.states"
    if session_id and group.states:
        message = f'session "{session_id}" keeps the states, expected none; leave out the session or the states'
        raise InvalidArgument(message, field=path)
    if session_id:
        return
    rows = len(batch.agents)
    if not group.states:
        if not batch.starts.all():
            raise _no_states(batch)
        batch.feeds.update({state.name: initial(state, rows) for state in spec.states})
        return
    inputs = batch.model.inputs["policy"]
    states = tensors.match_named(group.states, [inputs[state.name] for state in spec.states], rows, path)
    anew = batch.starts.copy()
    for i, named in enumerate(group.states):
        array = states[named.name]
        bad = ~np.isfinite(array).reshape(rows, -1).all(axis=1) & ~batch.starts
        message = f'state "{named.name}" holds NaN or an infinity, expected the state of the last answer'
        batch.fail(bad, INVALID, f"{path}[{i}].tensor", message)
        anew |= bad
    for state in spec.states:
        batch.feeds[state.name] = np.where(along(anew, state), np.float32(state.initial), states[state.name])


def initial(state: StateSpec, rows: int) -> Array:
    """Return the state of an episode's start, float32[rows, ...]."""
    return np.full((rows, *state.shape), state.initial, np.float32)


def along(rows: Bools, state: StateSpec) -> Bools:
    """Return flags bool[N] in a shape that goes along with the states [N, ...]."""
    return rows.reshape(-1, *(1 for _ in state.shape))


def _no_states(batch: GroupBatch) -> InvalidArgument:
    agent = batch.agents[int((~batch.starts).argmax())]
    message = (
        f'is empty, but "{batch.model.card.name}" is recurrent and the episode of agent {agent} does not start with '
        f"this call; name the session, bring {batch.path}.states, or set {batch.path}.episode_starts"
    )
    return InvalidArgument(message, field="session_id")
