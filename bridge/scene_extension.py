"""Tiles that fit tiles from outside: the neighbours of ExtendScene and EditScene."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.registry import ServedModel
from bridge.scene_card import Spec
from bridge.scene_generation import decode_tile
from bridge.scene_request import Conditions, check_classes, check_codes, check_heights
from bridge.scene_tile import AROUND, Bytes, Floats, Ints, Neighbours, Offset, Tile, shared
from bridge.scene_world import Worlds
from bridge.spaces import offset_to_gltf
from bridge.v1 import scene_service_pb2 as pb

MIDDLE: Offset = (0, 0)
CLAIM_SHARE = 0.5
"""Share of the model's range of heights by which a neighbour may differ from what its codes decode to, on average.

It is wide, since a tile that was fitted to others has taken over their edges, however far its own were.
"""


def check_offsets(neighbours: Sequence[pb.SceneNeighbour], space: int) -> dict[Offset, int]:
    """Return the places of a request's neighbours as offsets in glTF, each with its index."""
    if not neighbours:
        message = "is empty, expected 1 to 8 neighbours; GenerateScene makes tiles of an endless world"
        raise InvalidArgument(message, field="neighbours")
    if len(neighbours) > len(AROUND):
        raise ResourceExhausted(f"{len(neighbours)} neighbours, expected at most {len(AROUND)}", field="neighbours")
    offsets: dict[Offset, int] = {}
    for index, one in enumerate(neighbours):
        x, y = one.x_offset, one.y_offset
        if not (-1 <= x <= 1 and -1 <= y <= 1) or x == y == 0:
            message = f"({x}, {y}) is no place beside a tile, expected -1 to 1 and not both 0"
            raise InvalidArgument(message, field=f"neighbours[{index}].x_offset")
        offset = offset_to_gltf(space, x, y)
        if offset in offsets:
            message = f"({x}, {y}) is where neighbours[{offsets[offset]}] lies, expected places of their own"
            raise InvalidArgument(message, field=f"neighbours[{index}].x_offset")
        offsets[offset] = index
    return offsets


WorldTile = Callable[[Offset], Awaitable[Tile]]


def of_world(model: ServedModel, worlds: Worlds, seed: int, conditions: Conditions, at: Offset) -> WorldTile:
    """Return what finds a world's tile by its offset from a place."""
    return lambda offset: worlds.tile(model, seed, conditions, at[0] + offset[0], at[1] + offset[1])


async def resolve(
    model: ServedModel,
    neighbours: Sequence[pb.SceneNeighbour],
    space: int,
    world: WorldTile | None = None,
    middle: Tile | None = None,
) -> Neighbours:
    """Return the tiles around a place: from outside, from the world, or decoded to fit those that are known.

    They must agree with each other, and with the tile in the middle where there is one. Without a world all need codes.
    """
    spec: Spec = model.spec
    offsets = check_offsets(neighbours, space)
    fields = {offset: f"neighbours[{index}]" for offset, index in offsets.items()}
    given = {offset: _given(neighbours[i], spec, space, fields[offset]) for offset, i in offsets.items()}
    known: dict[Offset, Tile] = {} if middle is None else {MIDDLE: middle}
    for offset, one in given.items():
        if one is None:
            if world is None:
                raise InvalidArgument("are missing, expected those of a tile", field=f"{fields[offset]}.codes")
            known[offset] = await world(offset)
        elif one.height is not None:
            decoded = await decode_tile(model, one.codes, {})
            _check_claim(decoded, one.height, spec, f"{fields[offset]}.heights")
            known[offset] = one.over(decoded)
    _check_agreement(known, fields | {MIDDLE: "tile"})
    for offset in AROUND:
        one = given.get(offset)
        if one is not None and offset not in known:
            known[offset] = one.over(await decode_tile(model, one.codes, beside(known, offset)))
    known.pop(MIDDLE, None)
    return known


def beside(tiles: Mapping[Offset, Tile], at: Offset) -> Neighbours:
    """Return the tiles that touch a place, by their offsets from it, in the order of AROUND."""
    around = {(x - at[0], y - at[1]): tile for (x, y), tile in tiles.items()}
    return {offset: around[offset] for offset in AROUND if offset in around}


@dataclass(frozen=True, eq=False)
class _Given:
    """What a request says of a neighbour; what it leaves out is None."""

    codes: Ints
    height: Floats | None
    ground: Bytes | None
    objects: Bytes | None

    def over(self, decoded: Tile) -> Tile:
        """Return the tile that its codes decode to, with what is given in place of it."""
        return Tile(
            self.codes,
            decoded.height if self.height is None else self.height,
            decoded.ground if self.ground is None else self.ground,
            decoded.objects if self.objects is None else self.objects,
        )


def _given(one: pb.SceneNeighbour, spec: Spec, space: int, field: str) -> _Given | None:
    beside_codes = [name for name in ("heights", "ground", "objects") if one.HasField(name)]
    if not one.HasField("codes"):
        if beside_codes:
            raise InvalidArgument(f"are missing beside {beside_codes[0]}; EncodeScene makes them", field=f"{field}.codes")
        return None
    cells = [spec.tile_cells] * 2
    ground, objects = (
        check_classes(getattr(one, name), cells, len(known), space, f"{field}.{name}") if name in beside_codes else None
        for name, known in (("ground", spec.ground_classes), ("objects", spec.object_classes))
    )
    height = check_heights(one.heights, 0, spec, space, f"{field}.heights") if "heights" in beside_codes else None
    return _Given(check_codes(one.codes, 0, spec, f"{field}.codes"), height, ground, objects)


def _check_claim(decoded: Tile, height: Floats, spec: Spec, field: str) -> None:
    """Hold a neighbour's heights against those that its codes decode to."""
    distance = float(np.abs(decoded.height - height).mean())
    most = CLAIM_SHARE * (spec.height.high - spec.height.low)
    if distance > most:
        message = f"lie {distance:g} m from its codes' on average, expected at most {most:g}; encode it again"
        raise InvalidArgument(message, field=field)


def _check_agreement(tiles: Mapping[Offset, Tile], fields: Mapping[Offset, str]) -> None:
    """Hold neighbours against each other: the vertices that two of them share must have the same bits."""
    for place, tile in tiles.items():
        for offset, other in beside(tiles, place).items():
            mine, theirs = tile.height[shared(offset)], other.height[shared((-offset[0], -offset[1]))]
            if not np.array_equal(mine, theirs):
                row = int(np.argmax((mine != theirs).ravel()))
                second = fields[place[0] + offset[0], place[1] + offset[1]]
                message = f"has {mine.ravel()[row]:g} m on a vertex where {second} has {theirs.ravel()[row]:g} m"
                field = f"{fields[place]}.heights"
                raise InvalidArgument(f"{message}, expected equal numbers; take both from one answer", field=field)
