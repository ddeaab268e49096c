"""Tiles that fit tiles from outside: the neighbours of ExtendScene and EditScene."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.registry import ServedModel
from bridge.scene_card import Spec
from bridge.scene_claims import check_class_claim, check_height_claim
from bridge.scene_climate import Conditions
from bridge.scene_generation import decode_tile
from bridge.scene_request import check_classes, check_codes, check_heights
from bridge.scene_tile import AROUND, Bytes, Floats, Ints, Neighbours, Offset, Tile, shared
from bridge.scene_world import Worlds, moved
from bridge.spaces import offset_to_gltf
from bridge.v1 import scene_service_pb2 as pb

MIDDLE: Offset = (0, 0)
OF_WORLD = -1.0
"""Step of the heights of a world's own tiles: below all others, whose bits give way to theirs."""


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
    middle: tuple[Tile, float] | None = None,
) -> Neighbours:
    """Return the tiles around a place: from outside, from the world, or decoded to fit those that are known.

    They must agree with each other, and with the tile in the middle where there is one, which comes with the metres of a step
    of its heights, 0 for float32. Without a world all need codes.
    """
    spec: Spec = model.spec
    offsets = check_offsets(neighbours, space)
    fields = {offset: f"neighbours[{index}]" for offset, index in offsets.items()}
    given = {offset: _given(neighbours[i], spec, space, fields[offset]) for offset, i in offsets.items()}
    known: dict[Offset, Tile] = {}
    steps: dict[Offset, float] = {}
    if middle is not None:
        known[MIDDLE], steps[MIDDLE] = middle
    for offset, one in given.items():
        if one is None:
            if world is None:
                raise InvalidArgument("are missing, expected those of a tile", field=f"{fields[offset]}.codes")
            known[offset], steps[offset] = await world(offset), OF_WORLD
        elif one.height is not None:
            decoded = await decode_tile(model, one.codes, {})
            known[offset], steps[offset] = one.over(decoded, spec, fields[offset]), one.step
    _check_agreement(known, steps, fields | {MIDDLE: "tile"})
    known = _settled(known, steps)
    for offset in AROUND:
        one = given.get(offset)
        if one is not None and offset not in known:
            known[offset] = one.over(await decode_tile(model, one.codes, beside(known, offset)), spec, fields[offset])
    known.pop(MIDDLE, None)
    return known


def beside(tiles: Mapping[Offset, Tile], at: Offset) -> Neighbours:
    """Return the tiles that touch a place, by their offsets from it, in the order of AROUND."""
    around = {(x - at[0], y - at[1]): tile for (x, y), tile in tiles.items()}
    return {offset: around[offset] for offset in AROUND if offset in around}


@dataclass(frozen=True, eq=False)
class _Given:
    """What a request says of a neighbour; what it leaves out is None. `step` is its heights' in metres, 0 for float32."""

    codes: Ints
    height: Floats | None
    step: float
    ground: Bytes | None
    objects: Bytes | None

    def over(self, decoded: Tile, spec: Spec, field: str) -> Tile:
        """Return the tile that its codes decode to, with what is given, and can be of that tile, in place of it."""
        height, ground, objects = decoded.height, decoded.ground, decoded.objects
        if self.height is not None:
            check_height_claim(self.height, height, spec.height, f"{field}.heights")
            height = self.height
        if self.ground is not None:
            check_class_claim(self.ground, ground, f"{field}.ground")
            ground = self.ground
        if self.objects is not None:
            check_class_claim(self.objects, objects, f"{field}.objects")
            objects = self.objects
        return Tile(self.codes, height, ground, objects)


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
    return _Given(check_codes(one.codes, 0, spec, f"{field}.codes"), height, one.heights.scale_metres, ground, objects)


def _check_agreement(tiles: Mapping[Offset, Tile], steps: Mapping[Offset, float], fields: Mapping[Offset, str]) -> None:
    """Hold neighbours against each other: vertices that two of them share are equal, but for a step of uint16 heights."""
    for place, tile in tiles.items():
        for offset, other in beside(tiles, place).items():
            mine, theirs = (one.ravel() for one in (tile.height[shared(offset)], other.height[shared(_back(offset))]))
            step = max(steps[place], steps[moved(place, offset)], 0.0)
            apart = np.abs(mine - theirs)
            if (apart > step).any():
                row = int(np.argmax(apart > step))
                message = f"has {mine[row]:g} m on a vertex where {fields[moved(place, offset)]} has {theirs[row]:g} m"
                wanted = f"numbers at most a step of {step:g} m apart" if step else "equal numbers"
                raise InvalidArgument(
                    f"{message}, expected {wanted}; take both from one answer", field=f"{fields[place]}.heights"
                )


def _settled(tiles: Mapping[Offset, Tile], steps: Mapping[Offset, float]) -> dict[Offset, Tile]:
    """Return tiles whose shared vertices have the same bits: those of the world, else of the finest steps."""
    settled: dict[Offset, Tile] = {}
    for place in sorted(tiles, key=steps.__getitem__):
        height = tiles[place].height.copy()
        for offset, other in beside(settled, place).items():
            height[shared(offset)] = other.height[shared(_back(offset))]
        settled[place] = replace(tiles[place], height=height)
    return settled


def _back(offset: Offset) -> Offset:
    return -offset[0], -offset[1]
