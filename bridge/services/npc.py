"""`NpcService`: one call a tick; each group's observations → its policy → actions, and a status an agent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from bridge import seeds, tensors
from bridge.config import Limits
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.game_sessions import GameSessions, LastActions
from bridge.model_card import ModelCard, TensorSpec
from bridge.registry import Registry, ServedModel
from bridge.v1 import npc_service_pb2 as pb

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["NpcService"]
GRAPHS = ("policy",)
OPTIONAL_GRAPHS: tuple[str, ...] = ()
MAX_BATCH = 4096
THREADS = 1
MAX_SESSION_ID = 128
MASK, NOISE = "action_mask", "noise"
Array = npt.NDArray[Any]
Statuses = dict[int, pb.AgentStatus]
AGENT_OK, FROM_MODEL = pb.AGENT_STATUS_OK, pb.SOURCE_MODEL
INVALID = pb.AGENT_STATUS_INVALID_OBSERVATION
SAMPLINGS = frozenset(pb.Sampling.values())
SEEDED = pb.SAMPLING_SEEDED
TensorType = tuple[str, list[int | str]]


class ObservationSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One observation of an agent: its shape without the batch, and what each element means."""

    name: str
    shape: list[int]
    low: list[float] | None = None
    high: list[float] | None = None
    elements: list[str] = []
    units: str = ""


class ActionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One action of an agent: `size` numbers in engine units, or for discrete ones an index into each branch."""

    name: str
    kind: Literal["continuous", "discrete"]
    size: int
    low: list[float] = []
    high: list[float] = []
    branches: list[int] = []
    elements: list[str] = []
    units: str = ""

    @property
    def dtype(self) -> str:
        """Return the type of the numbers."""
        return "int64" if self.kind == "discrete" else "float32"

    def check(self) -> None:
        """Raise `ValueError` where ranges or branches do not fit the size."""
        lengths = [len(self.branches)] if self.kind == "discrete" else [len(self.low), len(self.high)]
        if any(length != self.size for length in lengths):
            raise ValueError(f'action "{self.name}" of size {self.size} has ranges of lengths {lengths}')
        if any(branch < 1 for branch in self.branches) or (self.kind == "continuous" and self.branches):
            raise ValueError(f'action "{self.name}" has branches {self.branches}, expected sizes of at least 1 if discrete')


class NoiseSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of columns of the `noise` input and the distribution that seeded sampling draws them from."""

    kind: Literal["normal", "gumbel"]
    size: int


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The npc section of a card: observations and actions with names, order, ranges and units; mask; noise; tick."""

    observations: list[ObservationSpec]
    actions: list[ActionSpec]
    noise: list[NoiseSpec]
    mask_size: int
    tick_seconds: float

    @property
    def noise_size(self) -> int:
        """Return the width of the graph's `noise` input."""
        return sum(part.size for part in self.noise)

    def check(self, card: ModelCard) -> None:
        """Raise `ValueError` where this section contradicts the card's graph."""
        graph = card.graph("policy")
        dtypes = {spec.name: spec.dtype for spec in graph.inputs}
        expected: dict[str, TensorType] = {
            spec.name: (dtypes.get(spec.name, "float32"), ["batch", *spec.shape]) for spec in self.observations
        }
        expected[NOISE] = ("float32", ["batch", self.noise_size])
        if self.mask_size:
            expected[MASK] = ("bool", ["batch", self.mask_size])
        inputs = {spec.name: (spec.dtype, spec.shape) for spec in graph.inputs}
        if inputs != expected:
            raise ValueError(f"graph inputs are {inputs}, expected {expected}")
        actions = {spec.name: (spec.dtype, ["batch", spec.size]) for spec in self.actions}
        outputs = {spec.name: (spec.dtype, spec.shape) for spec in graph.outputs}
        if outputs != actions:
            raise ValueError(f"graph outputs are {outputs}, expected {actions}")
        for action in self.actions:
            action.check()
        branches = sum(sum(action.branches) for action in self.actions)
        if self.mask_size not in (0, branches):
            raise ValueError(f"mask_size is {self.mask_size}, expected 0 or {branches}, the sum of all branches")


_REASONS = {
    INVALID: "an observation holds NaN, an infinity or a number beyond the policy's range; the agent did not get its action",
    pb.AGENT_STATUS_ALL_ACTIONS_MASKED: "the action mask forbids every action of a branch, expected one allowed at least",
}


@dataclass
class GroupBatch:
    """A checked policy group: arrays of N rows, and which agents cannot be served."""

    model: ServedModel
    name: str
    agents: list[int]
    feeds: dict[str, Array]
    starts: Sequence[bool]
    statuses: Statuses
    """Status of the rows that cannot be served; every other row is OK."""

    def key(self) -> tuple[str, str, int]:
        """Return the key under which the group's last actions are kept."""
        return self.name, self.model.card.name, self.model.card.version


class Service:
    """Chooses actions for all agents of a tick."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry
        self._limits = limits
        self._sessions = sessions

    async def ChooseActions(self, request: pb.ChooseActionsRequest) -> pb.ChooseActionsResponse:
        """Run every group's policy once; groups wait for one another, agents that fail do not disturb the others."""
        self._check_call(request)
        batches = [self._check_group(group, f"groups[{i}]", request) for i, group in enumerate(request.groups)]
        runs = (batch.model.batchers["policy"].run(batch.feeds) for batch in batches)
        outputs = [await next(runs)] if len(batches) == 1 else await asyncio.gather(*runs)
        answers = [self._answer(*pair, request.session_id) for pair in zip(batches, outputs, strict=True)]
        return pb.ChooseActionsResponse(groups=answers)

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
        agents = sum(len(group.agent_ids) for group in request.groups)
        if agents > self._limits.max_agents:
            message = f"{agents} agents in one call, expected at most {self._limits.max_agents}; split the tick"
            raise ResourceExhausted(message, field="groups")
        names = [group.name for group in request.groups]
        if len(set(names)) != len(names):
            raise InvalidArgument(f"group names are {names}, expected different ones", field="groups")

    def _check_group(self, group: pb.PolicyGroup, path: str, request: pb.ChooseActionsRequest) -> GroupBatch:
        model = self._registry.find(group.model, "npc", f"{path}.model")
        spec: Spec = model.spec
        agents = _agents(group, path)
        rows = len(agents)
        if len(group.episode_starts) not in (0, rows):
            message = f"{len(group.episode_starts)} flags for {rows} agents, expected none or {rows}"
            raise InvalidArgument(message, field=f"{path}.episode_starts")
        inputs = [tensor for tensor in model.card.graph("policy").inputs if tensor.name not in (NOISE, MASK)]
        feeds = tensors.match_named(group.observations, inputs, rows, f"{path}.observations")
        statuses: Statuses = {}
        _fail_invalid(feeds, statuses)
        if spec.mask_size or group.HasField("action_mask"):
            feeds[MASK] = _mask(group, spec, rows, path, statuses)
        feeds[NOISE] = _noise(group, spec, agents, request, path)
        return GroupBatch(model, group.name, agents, feeds, group.episode_starts, statuses)

    def _answer(self, batch: GroupBatch, outputs: dict[str, Array], session_id: str) -> pb.GroupActions:
        rows = len(batch.agents)
        statuses, sources, failures = [AGENT_OK] * rows, [FROM_MODEL] * rows, []
        _fail_overflown(outputs, batch.statuses)
        if batch.statuses:
            outputs = {name: array.copy() for name, array in outputs.items()}
            last = self._sessions.last(session_id, batch.key()) if session_id else None
            for row, status in sorted(batch.statuses.items()):
                statuses[row] = status
                sources[row] = _replace(batch, outputs, row, last)
                failures.append(pb.AgentFailure(agent_id=batch.agents[row], message=_REASONS[status]))
        self._sessions.keep(session_id, batch.key(), LastActions(batch.agents, outputs))
        return pb.GroupActions(
            name=batch.name,
            model=batch.model.served_by(),
            actions=tensors.from_arrays(outputs),
            statuses=statuses,
            sources=sources,
            failures=failures,
        )


def _agents(group: pb.PolicyGroup, path: str) -> list[int]:
    ids = list(group.agent_ids)
    if not ids:
        raise InvalidArgument("no agent, expected at least one", field=f"{path}.agent_ids")
    if len(set(ids)) != len(ids):
        twice = next(agent for agent, count in Counter(ids).items() if count > 1)
        raise InvalidArgument(f"agent {twice} is there twice, expected unique ids", field=f"{path}.agent_ids")
    return ids


def _fail_invalid(feeds: dict[str, Array], statuses: Statuses) -> None:
    """Mark agents with NaN or infinite observations and give them zeros, so that nothing of theirs reaches the batch."""
    for name, array in feeds.items():
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        _mark(statuses, bad, INVALID)
        feeds[name] = array.copy()
        feeds[name][bad] = 0


def _mark(statuses: Statuses, bad: npt.ArrayLike, status: pb.AgentStatus) -> None:
    """Give the rows where `bad` is true a status."""
    statuses.update(dict.fromkeys(np.flatnonzero(bad).tolist(), status))


def _fail_overflown(outputs: dict[str, Array], statuses: Statuses) -> None:
    """Mark agents whose finite observations drove the policy out of its numbers: no NaN ever reaches a game."""
    for array in outputs.values():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            _mark(statuses, ~np.isfinite(array).all(axis=1), INVALID)


def _mask(group: pb.PolicyGroup, spec: Spec, rows: int, path: str, statuses: Statuses) -> Array:
    """Return the mask bool[rows, mask_size]; agents with a branch all forbidden are marked, and that branch is freed."""
    if not spec.mask_size:
        raise InvalidArgument("the policy takes no mask, expected none", field=f"{path}.action_mask")
    if not group.HasField("action_mask"):
        return np.ones((rows, spec.mask_size), bool)
    wanted = TensorSpec(name=MASK, dtype="bool", shape=["batch", spec.mask_size])
    mask = tensors.match(group.action_mask, wanted, rows, f"{path}.action_mask")
    start = 0
    for size in (size for action in spec.actions for size in action.branches):
        forbidden = ~mask[:, start : start + size].any(axis=1)
        if forbidden.any():
            mask = mask.copy()
            mask[forbidden, start : start + size] = True
            _mark(statuses, forbidden, pb.AGENT_STATUS_ALL_ACTIONS_MASKED)
        start += size
    return mask


def _noise(group: pb.PolicyGroup, spec: Spec, agents: list[int], request: pb.ChooseActionsRequest, path: str) -> Array:
    """Return zeros for deterministic actions, else draws keyed by seed, agent and tick."""
    if group.sampling not in SAMPLINGS:
        message = f"is {group.sampling}, expected one of {pb.Sampling.keys()}"
        raise InvalidArgument(message, field=f"{path}.sampling")
    if group.sampling != SEEDED or not spec.noise_size:
        return np.zeros((len(agents), spec.noise_size), np.float32)
    columns, start = np.empty((len(agents), spec.noise_size), np.float32), 0
    for part in spec.noise:
        draw = seeds.action_normals if part.kind == "normal" else seeds.action_gumbels
        drawn = draw(request.seed, agents, request.tick, start + part.size)
        columns[:, start : start + part.size] = drawn[:, start:]
        start += part.size
    return columns


def _replace(batch: GroupBatch, outputs: dict[str, Array], row: int, last: LastActions | None) -> pb.Source:
    """Put the agent's last action, or a neutral one, in place of what the policy made of zeros; return the source."""
    spec: Spec = batch.model.spec
    mask = batch.feeds[MASK][row] if MASK in batch.feeds else None
    starts = bool(batch.starts) and batch.starts[row]
    masked = batch.statuses[row] == pb.AGENT_STATUS_ALL_ACTIONS_MASKED
    cached = None if last is None or starts or masked else last.of(batch.agents[row])
    if cached is not None and (mask is None or _allowed(spec, cached, mask)):
        for name, values in cached.items():
            outputs[name][row] = values
        return pb.SOURCE_CACHE
    _neutralise(spec, outputs, row, mask)
    return pb.SOURCE_FALLBACK


def _neutralise(spec: Spec, outputs: dict[str, Array], row: int, mask: Array | None) -> None:
    """Give an agent the neutral action: continuous 0, clipped to the range; discrete the first that the mask allows."""
    start = 0
    for action in spec.actions:
        if action.kind == "continuous":
            outputs[action.name][row] = np.clip(0.0, action.low, action.high)
            continue
        for column, size in enumerate(action.branches):
            outputs[action.name][row, column] = 0 if mask is None else int(mask[start : start + size].argmax())
            start += size


def _allowed(spec: Spec, actions: dict[str, Array], mask: Array) -> bool:
    start = 0
    for action in spec.actions:
        for column, size in enumerate(action.branches):
            if not mask[start + int(actions[action.name][column])]:
                return False
            start += size
    return True
