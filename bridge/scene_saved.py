"""Saved tiles: codes are decoded to worlds again, alone or in the worlds of their seeds."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from bridge.errors import InvalidArgument
from bridge.registry import ServedModel
from bridge.scene_climate import Conditions
from bridge.scene_generation import decode_tile, make_tile
from bridge.scene_request import check_codes
from bridge.scene_tile import AROUND, Ints, Neighbours, Offset, Owned, Tile
from bridge.scene_world import Worlds, before, dependencies, moved, turn
from bridge.spaces import tile_from_gltf
from bridge.v1 import tensor_pb2

Key = tuple[int, Offset]
"""A tile's seed and its place in glTF."""


def check_saved(
    codes: tensor_pb2.Tensor, seeds: Sequence[int], places: Sequence[Offset], model: ServedModel, space: int
) -> dict[Key, Ints]:
    """Return the codes int64[G, G] of each tile of a request; a tile that is named twice must have the same both times."""
    rows = check_codes(codes, len(places), model.spec, "codes")
    first: dict[Key, int] = {}
    for index, key in enumerate(zip(seeds, places, strict=True)):
        earlier = first.setdefault(key, index)
        if not np.array_equal(rows[earlier], rows[index]):
            message = f"differ in rows {earlier} and {index}, both of seed {key[0]} at {tile_from_gltf(space, *key[1])}"
            raise InvalidArgument(f"{message}; give each tile a coordinate or a seed of its own", field="codes")
    return {key: rows[index] for key, index in first.items()}


class SavedTiles:
    """The tiles of codes, made when they are asked for and kept as long as the call that brought them.

    Each fits those before it in the order of a world. Those that it depends on and that are not saved are nobody or, with
    `worlds`, tiles of the world of its seed in which the saved ones stand in place of its own. So the order of asking does not
    matter, and whatever a world has made comes back bit by bit.
    """

    def __init__(
        self, model: ServedModel, codes: Mapping[Key, Ints], conditions: Conditions, worlds: Worlds | None = None
    ) -> None:
        self._model = model
        self._codes = codes
        self._conditions = conditions
        self._worlds = worlds
        self._tiles: dict[Key, Tile] = {}
        self._locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def owned(self, seed: int, place: Offset) -> Owned:
        """Return a tile with the owners of what it shares with them."""
        tile = await self._tile(seed, place)
        return tile, before(place, await self._earlier(seed, place))

    async def _tile(self, seed: int, place: Offset) -> Tile:
        key = seed, place
        async with self._locks[key]:
            if key not in self._tiles:
                self._tiles[key] = await self._make(seed, place)
            return self._tiles[key]

    async def _make(self, seed: int, place: Offset) -> Tile:
        codes = self._codes.get((seed, place))
        if codes is None and self._worlds and not self._saved(seed, place, dependencies(*place)):
            return await self._worlds.tile(self._model, seed, self._conditions, *place)
        earlier = await self._earlier(seed, place)
        if codes is None:
            return await make_tile(self._model, seed, place, self._conditions, earlier)
        seen = {offset: earlier[offset] for offset in dependencies(*place) if offset in earlier}
        return await decode_tile(self._model, codes, seen, earlier, begun=bool(self._tiles))

    async def _earlier(self, seed: int, place: Offset) -> Neighbours:
        """Return the tiles that one has to fit: all that it depends on in a world, else the saved ones before it."""
        offsets = dependencies(*place)
        if self._worlds is None:
            offsets = tuple(one for one in self._saved(seed, place, AROUND) if turn(moved(place, one)) < turn(place))
        return {offset: await self._tile(seed, moved(place, offset)) for offset in offsets}

    def _saved(self, seed: int, place: Offset, offsets: Sequence[Offset]) -> list[Offset]:
        return [offset for offset in offsets if (seed, moved(place, offset)) in self._codes]
