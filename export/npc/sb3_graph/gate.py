"""The parity gate of policies: a thousand observations at every batch size to 64, and episodes of 200 steps with resets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from bridge.npc_card import LOG_PROBABILITY
from export.npc.sb3_graph import drawn
from export.npc.sb3_graph.graph import SCALE_OF_PROBABILITY, PolicyGraph
from export.npc.sb3_graph.reference import Decision, Reference
from export.npc.spaces import ACTION, action_scales
from export.parity import TOLERANCE, Parity, ParityError

Array = npt.NDArray[Any]
OBSERVATIONS = 1000
BATCHES = tuple(range(1, 65))
STEPS, AGENTS, RESET_SHARE = 200, 8, 0.03
TIE = 1e-5
"""Scores closer than this, in shares of the largest one or of 1, are equal within rounding: either may win."""


@dataclass
class Tally:
    """The largest error of each kind, as shares of the output's scale, and the choices left out as ties."""

    errors: dict[str, float] = field(default_factory=dict)
    ties: int = 0
    compared: int = 0

    def note(self, kind: str, error: float, where: str) -> None:
        """Keep the largest error; `ParityError` over the tolerance, or for one that is no number."""
        if not error <= TOLERANCE:
            raise ParityError(f"{where}: {kind} differs by {error:.3g} of its scale, the limit is {TOLERANCE:g}")
        self.errors[kind] = max(self.errors.get(kind, 0.0), error)


class Gate:
    """Compares a policy's ONNX file with what Stable-Baselines3 itself does."""

    def __init__(self, graph: PolicyGraph, path: Path, seed: int, recorded: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._graph, self._reference = graph, Reference(graph)
        self._rng, self._seed, self._recorded = np.random.default_rng(seed), seed, recorded
        self._tally = Tally()

    def check(self) -> Parity:
        """Compare single steps and whole episodes; `ParityError` names what differs, the batch and the seed."""
        resets = 0
        self._check_batches()
        if self._graph.states:
            resets = self._check_episodes()
        tally = self._tally
        report = {
            "observations": OBSERVATIONS,
            "source": self._recorded.name if self._recorded else "drawn from the observation spaces",
            "decisions": tally.compared,
            "errors": {kind: float(f"{error:.3g}") for kind, error in tally.errors.items()},
            "ties": tally.ties,
            "seed": self._seed,
        }
        if self._graph.states:
            report |= {"episode_steps": STEPS * AGENTS, "resets": resets}
        return Parity(max(tally.errors.values(), default=0.0), list(BATCHES), tally.ties, report)

    def _check_batches(self) -> None:
        count = OBSERVATIONS
        known = drawn.observations(self._graph, self._rng, count, self._recorded)
        known |= drawn.states(self._graph, self._rng, count) | drawn.masks(self._graph, self._rng, count)
        start = 0
        for tick, batch in enumerate(BATCHES):
            rows = np.arange(start, start + batch) % count
            feeds = {name: array[rows] for name, array in known.items()}
            where = f"batch {batch}, seed {self._seed}"
            self._compare(feeds | drawn.no_noise(self._graph, batch), True, f"{where}, deterministic")
            if self._graph.noise:
                sampled = feeds | drawn.noise(self._graph, self._seed, tick, batch)
                self._compare(sampled, False, f"{where}, sampled")
            start += batch

    def _check_episodes(self) -> int:
        """Carry states from step to step on both sides, each its own; return the number of episodes that began on the way."""
        observations = drawn.observations(self._graph, self._rng, STEPS * AGENTS, self._recorded)
        states = [drawn.initial(self._graph, AGENTS), drawn.initial(self._graph, AGENTS)]
        resets = 0
        for step in range(STEPS):
            starts = self._rng.random(AGENTS) < RESET_SHARE
            resets += int(starts.sum())
            for array in (array for side in states for array in side.values()):
                array[starts] = 0.0
            feeds = {name: array[step * AGENTS : (step + 1) * AGENTS] for name, array in observations.items()}
            feeds |= drawn.masks(self._graph, self._rng, AGENTS) | drawn.no_noise(self._graph, AGENTS)
            where = f"episode step {step}, seed {self._seed}"
            kept = self._compare(feeds | states[0], True, where, feeds | states[1])
            states = [{s["name"]: np.array(side[s["output"]]) for s in self._graph.states} for side in kept]
        return resets

    def _compare(
        self, feeds: Mapping[str, Array], deterministic: bool, where: str, own: Mapping[str, Array] | None = None
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Compare one run; return the states that the reference and the graph (fed with `own`, if given) leave."""
        decision = self._reference.deterministic(feeds) if deterministic else self._reference.sampled(feeds)
        names = [tensor.name for tensor in self._graph.outputs]
        values = dict(zip(names, self._session.run(names, dict(own or feeds)), strict=True))
        kind = "action" if deterministic else "sampled action"
        same = self._compare_actions(decision, values[ACTION], kind, where)
        for name, array in decision.kept.items():
            self._tally.note(name, _error(array, values[name], max(1.0, float(np.abs(array).max(initial=0.0)))), where)
        if decision.log_probability is not None and LOG_PROBABILITY in values:
            scale = SCALE_OF_PROBABILITY * max(1, values[ACTION].shape[1])
            error = _error(decision.log_probability[same], values[LOG_PROBABILITY][same], scale)
            self._tally.note(LOG_PROBABILITY, error, where)
        self._tally.compared += len(values[ACTION])
        return decision.kept, {name: values[name] for name in decision.kept}

    def _compare_actions(self, decision: Decision, actions: Array, kind: str, where: str) -> npt.NDArray[np.bool_]:
        """Compare actions; return the rows in which they are the same, rather than a tie."""
        if actions.shape != decision.action.shape or actions.dtype != decision.action.dtype:
            raise ParityError(f"{where}: {kind} is {actions.dtype} {actions.shape}, expected {decision.action.shape}")
        if not self._graph.branches:
            scale = action_scales(self._graph.policy.action_space)
            self._tally.note(kind, _error(decision.action, actions, scale), where)
            return np.ones(len(actions), bool)
        start, same = 0, np.ones(len(actions), bool)
        for branch, size in enumerate(self._graph.branches):
            scores = decision.scores[:, start : start + size] if decision.scores is not None else np.zeros((len(actions), size))
            want, got = decision.action[:, branch], actions[:, branch]
            for row in np.flatnonzero(want != got).tolist():
                gap = abs(float(scores[row, want[row]]) - float(scores[row, got[row]]))
                if gap > TIE * max(1.0, float(np.abs(scores[row, [want[row], got[row]]]).max())):
                    raise ParityError(f"{where}: {kind} of branch {branch} is {got[row]}, expected {want[row]} by {gap:.3g}")
                self._tally.ties += 1
                same[row] = False
            start += size
        self._tally.note(kind, 0.0, where)
        return same


def _error(want: Array, got: Array, scale: Any) -> float:
    """Return the largest error as a share of the scale; not a number where one side is not finite."""
    if want.shape != got.shape:
        return float("nan")
    difference = np.abs(want.astype(np.float64) - got.astype(np.float64)) / scale
    return float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("nan")
