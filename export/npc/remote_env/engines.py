"""All engines of a training as rows of one world: what every view of it is made of.

Commands go to all engines at once. One that does not answer is reported to `on_lost`, which saves, and is waited for: it
goes on where it was, or another engine takes its place and the episodes of its rows are cut short. A row with unusable
values is cut short alone and begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.v1 import environment_service_pb2 as pb
from export.npc.remote_env.reports import Arrays, Observed
from export.npc.remote_env.server import EngineServer
from export.npc.remote_env.session import EngineGoneError, EngineSession
from export.npc.remote_env.spec import EngineSpec

Array = npt.NDArray[Any]
MAX_REPAIRS = 3
REPLACEMENT_SEEDS = 1_000_003


class EngineLostError(RuntimeError):
    """No engine came back in time; the message says which was lost, why, and what to do."""


@dataclass
class Place:
    """One engine's rows among all: which session has them, and what they saw last."""

    index: int
    session: EngineSession
    first: int
    seen: Observed | None = None
    replacements: int = 0

    @property
    def rows(self) -> slice:
        """The rows."""
        return slice(self.first, self.first + self.session.spec.rows)


def _ignore(place: int, reason: str) -> None:
    del place, reason


class Engines:
    """Waits for all engines, then resets and steps them together.

    `wait_seconds` is how long it waits, at the start and for an engine that was lost. `on_lost(place, reason)` is called, in
    the caller's thread, when an engine does not answer; `on_back(place)` when it does again.
    """

    def __init__(
        self,
        server: EngineServer,
        *,
        wait_seconds: float = 600.0,
        should_stop: Callable[[], bool] = lambda: False,
        on_lost: Callable[[int, str], None] = _ignore,
        on_back: Callable[[int], None] = lambda place: None,
    ) -> None:
        self._server, self.wait_seconds, self._should_stop = server, wait_seconds, should_stop
        self.on_lost, self.on_back = on_lost, on_back
        self._seed = 0
        sessions = self._gather()
        self.places: list[Place] = []
        for index, session in enumerate(sessions):
            self.places.append(Place(index, session, sum(place.session.spec.rows for place in self.places)))
        server.call(server.places.begin)
        self.spec: EngineSpec = sessions[0].spec
        self.rows = sum(session.spec.rows for session in sessions)

    def _gather(self) -> list[EngineSession]:
        try:
            filled = self._server.places.filled()
            return self._server.run(asyncio.wait_for(filled, self.wait_seconds), self._should_stop)
        except TimeoutError as error:
            there = sum(session is not None for session in self._server.places.sessions)
            count, config = len(self._server.places.sessions), self._server
            text = (
                f"{there} of {count} engines offered themselves at {config.address} or {config.web} within "
                f"{self.wait_seconds:g} s; start the engine, or wait longer with --wait-seconds"
            )
            raise EngineLostError(text) from error

    def reset(
        self, seed: int | None = None, options: Mapping[str, Array] | None = None, chosen: npt.NDArray[np.bool_] | None = None
    ) -> Observed:
        """Begin new episodes in the rows of `chosen`, or in all; row i is seeded with `seed + i`."""
        seed = None if seed is None else int(seed)
        self._seed = self._seed if seed is None else seed
        places = [place for place in self.places if chosen is None or chosen[place.rows].any()]
        commands = {}
        for place in places:
            command = _reset(None if seed is None else seed + place.first, None if chosen is None else chosen[place.rows])
            command.options.extend(tensors.from_arrays(options or {}))
            commands[place.index] = command
        self._begin(commands)
        for place in self.places:
            place.seen = self._finish(place, is_step=False) if place.index in commands else _at_rest(place.seen)
        return self._joined()

    def step(self, actions: Arrays) -> Observed:
        """Act in every row by arrays [rows, ...], one for each part of the action."""
        commands = {}
        for place in self.places:
            parts = {name: array[place.rows] for name, array in actions.items()}
            commands[place.index] = pb.EnvironmentCommand(kind=pb.COMMAND_KIND_STEP, actions=tensors.from_arrays(parts))
        self._begin(commands)
        for place in self.places:
            place.seen = self._finish(place, is_step=True)
        return self._joined()

    def close(self, reason: str) -> None:
        """Tell the engines that the training is over, and end the server."""
        self._server.close(reason)

    def _begin(self, commands: Mapping[int, pb.EnvironmentCommand]) -> None:
        def begin() -> None:
            for index, command in commands.items():
                self.places[index].session.begin(command)

        self._server.call(begin)

    def _finish(self, place: Place, *, is_step: bool) -> Observed:
        before = place.seen
        seen, replaced = self._await(place)
        if replaced and before is not None and is_step:
            seen = _cut_short(seen, before)
        for _ in range(MAX_REPAIRS):
            if not seen.failures:
                return seen
            seen = self._repair(place, seen, before if is_step else None)
        first = next(iter(seen.failures.values()), None)
        if first is None:
            return seen
        reason = f"row {first.row} was reset {MAX_REPAIRS} times and is still not usable: {first.message}"
        self._server.call(lambda: place.session.end(reason))
        place.session = self._wait_for_another(place, reason)
        self._begin({place.index: _reset(self._fresh_seed(place))})
        again = self._finish(place, is_step=False)
        return _cut_short(again, before) if is_step and before is not None else again

    def _await(self, place: Place) -> tuple[Observed, bool]:
        """Return what a command led to, and whether another engine took the place meanwhile."""
        replaced = False
        while True:
            try:
                return self._server.run(place.session.result(), self._should_stop), replaced
            except EngineGoneError as gone:
                self.on_lost(place.index, str(gone))
                seen = self._returned(place, str(gone))
                self.on_back(place.index)
                if seen is not None:
                    return seen, replaced
                self._begin({place.index: _reset(self._fresh_seed(place))})
                replaced = True

    def _returned(self, place: Place, reason: str) -> Observed | None:
        """Wait until an engine answers after all, or, with `None`, until another one has its place."""
        places, session = self._server.places, place.session

        async def either() -> Observed | EngineSession | None:
            back = asyncio.ensure_future(session.returned(self.wait_seconds))
            other = asyncio.ensure_future(places.replaced(place.index, session))
            done, rest = await asyncio.wait({back, other}, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            return back.result() if back in done and back.result() is not None else other.result() if other in done else None

        found = self._server.run(either(), self._should_stop)
        if isinstance(found, Observed):
            return found
        if found is None:
            raise self._lost(place, reason)
        place.session = found
        return None

    def _wait_for_another(self, place: Place, reason: str) -> EngineSession:
        self.on_lost(place.index, reason)
        try:
            waiting = asyncio.wait_for(self._server.places.replaced(place.index, place.session), self.wait_seconds)
            found = self._server.run(waiting, self._should_stop)
        except TimeoutError as error:
            raise self._lost(place, reason) from error
        self.on_back(place.index)
        return found

    def _lost(self, place: Place, reason: str) -> EngineLostError:
        return EngineLostError(
            f"engine {place.index} was lost ({reason}) and none came back to {self._server.address} or {self._server.web} "
            f"within {self.wait_seconds:g} s; start it again and go on with --resume"
        )

    def _repair(self, place: Place, seen: Observed, before: Observed | None) -> Observed:
        """Begin new episodes in the rows that failed; where they had acted, their episodes end at what they saw before."""
        failed = np.array(sorted(seen.failures))
        chosen = np.zeros(place.session.spec.rows, bool)
        chosen[failed] = True
        self._begin({place.index: _reset(None, chosen, seen.failures)})
        again, replaced = self._await(place)
        if replaced:
            return _cut_short(again, before) if before is not None else again
        if before is not None:
            _end_at(seen, chosen, before)
        for name, array in again.observations.items():
            seen.observations[name][failed] = array[failed]
        if seen.masks is not None and again.masks is not None:
            seen.masks[failed] = again.masks[failed]
        seen.repaired |= seen.failures
        seen.failures = {row: failure for row, failure in again.failures.items() if row in seen.failures}
        return seen

    def _fresh_seed(self, place: Place) -> int:
        place.replacements += 1
        return (self._seed + place.first + REPLACEMENT_SEEDS * place.replacements) % (1 << 63)

    def _joined(self) -> Observed:
        seen = [place.seen for place in self.places]
        parts = [part for part in seen if part is not None]
        if len(parts) == 1:
            return parts[0]
        return joined(parts)


def _at_rest(seen: Observed | None) -> Observed | None:
    """Return what rows saw last without what they got for it."""
    if seen is None:
        return None
    rewards, nothing = np.zeros_like(seen.rewards), np.zeros_like(seen.terminated)
    return Observed(seen.observations, seen.masks, rewards, nothing, nothing.copy(), infos=seen.infos)


def _reset(
    seed: int | None,
    chosen: npt.NDArray[np.bool_] | None = None,
    failures: Mapping[int, pb.EnvironmentFailure] | None = None,
) -> pb.EnvironmentCommand:
    command = pb.EnvironmentCommand(kind=pb.COMMAND_KIND_RESET, is_seeded=seed is not None, seed=(seed or 0) % (1 << 64))
    if chosen is not None:
        command.chosen.extend(chosen.tolist())
    command.failures.extend((failures or {}).values())
    return command


def _cut_short(fresh: Observed, before: Observed) -> Observed:
    """Return a new engine's first observations as the end of every row's episode."""
    fresh.lost = True
    _end_at(fresh, np.ones(len(fresh.rewards), bool), before)
    return fresh


def _end_at(seen: Observed, chosen: npt.NDArray[np.bool_], before: Observed) -> None:
    """Cut the episodes of rows short, without a reward, at what they saw before."""
    seen.rewards[chosen], seen.terminated[chosen], seen.truncated[chosen] = 0.0, False, True
    if not seen.final:
        seen.final = {name: array.copy() for name, array in seen.observations.items()}
    for name, array in before.observations.items():
        seen.final[name][chosen] = array[chosen]


def joined(parts: list[Observed]) -> Observed:
    """Return the rows of several engines as those of one, in their order."""
    any_ended = any(part.final for part in parts)
    finals = [part.final or part.observations for part in parts]
    first, start = parts[0], 0
    repaired: dict[int, pb.EnvironmentFailure] = {}
    for part in parts:
        repaired |= {start + row: failure for row, failure in part.repaired.items()}
        start += len(part.rewards)
    masks = [part.masks for part in parts if part.masks is not None]
    shared = [name for name in first.infos if all(name in part.infos for part in parts)]
    return Observed(
        observations={name: np.concatenate([part.observations[name] for part in parts]) for name in first.observations},
        masks=np.concatenate(masks) if masks else None,
        rewards=np.concatenate([part.rewards for part in parts]),
        terminated=np.concatenate([part.terminated for part in parts]),
        truncated=np.concatenate([part.truncated for part in parts]),
        final={name: np.concatenate([final[name] for final in finals]) for name in first.observations} if any_ended else {},
        infos={name: np.concatenate([part.infos[name] for part in parts]) for name in shared},
        repaired=repaired,
        lost=any(part.lost for part in parts),
    )
