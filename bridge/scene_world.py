"""Endless worlds: each tile depends on neighbours by the parity of its place, so the order of asking does not matter.

Even/even tiles depend on nothing, mixed ones on the two even/even tiles at their sides, odd/odd ones on all eight around. The
tile that comes first in this order owns the vertices that two tiles share.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.calls import Call, current_call, shared_work
from bridge.registry import ServedModel
from bridge.scene_climate import Conditions
from bridge.scene_tile import AROUND, Neighbours, Offset, Tile

AT_ONCE = 2
"""Neighbours of a tile that are made at once: more would only wait for each other in the queues."""
Key = tuple[str, int, Conditions, int, int]
Make = Callable[[ServedModel, int, Offset, Conditions, Neighbours], Awaitable[Tile]]


@dataclass(eq=False)
class _Making:
    task: asyncio.Task[Tile]
    work: Call
    waiters: int = 0


def dependencies(x: int, y: int) -> tuple[Offset, ...]:
    """Return the neighbours that a tile depends on, as offsets from it."""
    if x % 2 and y % 2:
        return AROUND
    if x % 2:
        return ((-1, 0), (1, 0))
    return ((0, -1), (0, 1)) if y % 2 else ()


def turn(place: Offset) -> tuple[int, int, Offset]:
    """Return a key that sorts places so that each comes after all that it depends on; the first there owns what is shared."""
    x, y = place
    return y % 2, x % 2, place


def in_turn(place: Offset, around: Neighbours) -> Neighbours:
    """Return the tiles around a place in the order in which a world makes them."""
    return dict(sorted(around.items(), key=lambda one: turn(moved(place, one[0]))))


def before(place: Offset, around: Neighbours) -> Neighbours:
    """Return those tiles around a place that a world makes before the one there: the owners of what it shares with them."""
    return {offset: tile for offset, tile in in_turn(place, around).items() if turn(moved(place, offset)) < turn(place)}


def moved(place: Offset, offset: Offset) -> Offset:
    """Return the place that lies at an offset from another."""
    return place[0] + offset[0], place[1] + offset[1]


class Worlds:
    """The tiles of all worlds, made when they are asked for; the least recently used ones are forgotten.

    Requests for a tile that is being made wait for it; when the last one is gone, the work stops. It belongs to none of their
    calls, whose deadlines differ.
    """

    def __init__(self, make: Make, capacity: int) -> None:
        self._make_tile = make
        self._capacity = capacity
        self._kept: OrderedDict[Key, Tile] = OrderedDict()
        self._making: dict[Key, _Making] = {}

    async def tile(self, model: ServedModel, seed: int, conditions: Conditions, x: int, y: int) -> Tile:
        """Return the tile at a place (x, y) of glTF."""
        key = (model.digest, seed, conditions, x, y)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = self._begin(key, model)
        making.waiters += 1
        try:
            tile = await asyncio.shield(making.task)
            call = current_call()
            if call is not None:
                call.waited(making.work.queue_s, making.work.run_s)
            return tile
        finally:
            making.waiters -= 1
            if not making.waiters and self._making.get(key) is making:
                del self._making[key]
                making.task.cancel()

    def _begin(self, key: Key, model: ServedModel) -> _Making:
        work, context = shared_work("tile")
        return _Making(asyncio.create_task(self._make(key, model), context=context), work)

    async def around(self, model: ServedModel, seed: int, conditions: Conditions, x: int, y: int) -> Neighbours:
        """Return the tiles that the one at a place depends on, by their offsets; a few are made at once."""
        offsets = dependencies(x, y)
        found: dict[Offset, Tile] = {}
        for start in range(0, len(offsets), AT_ONCE):
            part = offsets[start : start + AT_ONCE]
            tiles = await asyncio.gather(*(self.tile(model, seed, conditions, x + dx, y + dy) for dx, dy in part))
            found.update(zip(part, tiles, strict=True))
        return found

    async def _make(self, key: Key, model: ServedModel) -> Tile:
        _, seed, conditions, x, y = key
        neighbours = await self.around(model, seed, conditions, x, y)
        tile = await self._make_tile(model, seed, (x, y), conditions, neighbours)
        self._kept[key] = tile
        self._kept.move_to_end(key)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return tile
