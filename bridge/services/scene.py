"""`SceneService`: seeds and places, neighbours, masks or height maps → the bundle's graphs → tiles of terrain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import numpy as np

from bridge import scene_card, tensors
from bridge.ahead import as_ready, in_order
from bridge.config import Limits
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.game_sessions import GameSessions
from bridge.registry import Registry, ServedModel
from bridge.scene_climate import Conditions
from bridge.scene_edit import edit, read_tile
from bridge.scene_extension import check_offsets, of_world, resolve
from bridge.scene_generation import decode_tile, draw_tile, encode_tile, make_tile
from bridge.scene_output import Output, answer, check_output
from bridge.scene_path import check_path, tiles_along
from bridge.scene_request import (
    check_classes,
    check_conditions,
    check_count,
    check_heights,
    check_mask,
    check_painted,
    check_place,
    check_places,
)
from bridge.scene_rules import ground_classes
from bridge.scene_saved import SavedTiles, check_saved
from bridge.scene_tile import NOBODY, Bytes, Offset, Owned, Tile
from bridge.scene_world import Worlds, before, in_turn
from bridge.spaces import UNITS, check_space, grid_from_gltf, tile_to_gltf
from bridge.v1 import scene_service_pb2 as pb

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["SceneService"]
GRAPHS = ("prior", "decoder", "encoder")
OPTIONAL_GRAPHS: tuple[str, ...] = ()
MAX_BATCH = 1
THREADS = 0
MESSAGE_BYTES = 64
TILES_AHEAD = 3
Spec = scene_card.Spec


class Service:
    """Makes tiles of endless worlds, and tiles that fit others."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry
        self._limits = limits
        self._worlds = Worlds(make_tile, limits.cached_tiles)

    async def GenerateScene(self, request: pb.GenerateSceneRequest) -> pb.GenerateSceneResponse:
        """Generate tiles in one message; `ResourceExhausted` names StreamScenes when it would be too large."""
        model, spec, output = self._check(request.model, request.output)
        seeds, places = check_places(request, output.space, self._limits.max_tiles)
        self._check_size(len(places) * output.fewest_bytes(spec), len(places))
        response = pb.GenerateSceneResponse(model=model.served_by())
        size = response.ByteSize()
        made = await self._maker(model, request, output, seeds, places)

        async def answered(index: int) -> pb.SceneTile:
            tile, owners = await made(index)
            return await asyncio.to_thread(answer, tile, spec, output, seeds[index], places[index], owners)

        async with aclosing(in_order(answered, len(places), TILES_AHEAD)) as tiles:
            async for tile in tiles:
                size += tile.ByteSize() + MESSAGE_BYTES
                self._check_size(size, len(places))
                response.tiles.append(tile)
        return response

    async def ExtendScene(self, request: pb.ExtendSceneRequest) -> pb.ExtendSceneResponse:
        """Generate a tile that fits its neighbours."""
        model, spec, output = self._check(request.model, request.output)
        place = check_place(request.coordinate, output.space, "coordinate")
        conditions = check_conditions(request.conditions, spec)
        check_offsets(request.neighbours, output.space)
        painted = None
        if request.HasField("painted_ground"):
            painted = check_painted(request.painted_ground, 0, spec, output.space, "painted_ground")
        world = of_world(model, self._worlds, request.seed, conditions, place)
        neighbours = await resolve(model, request.neighbours, output.space, world)
        tile = await draw_tile(model, request.seed, place, conditions, neighbours, painted)
        made = await asyncio.to_thread(answer, tile, spec, output, request.seed, place, in_turn(place, neighbours))
        return pb.ExtendSceneResponse(model=model.served_by(), tile=made)

    async def EditScene(self, request: pb.EditSceneRequest) -> pb.EditSceneResponse:
        """Generate a part of a tile anew."""
        model, spec, output = self._check(request.model, request.output)
        place = check_place(request.tile.coordinate, output.space, "tile.coordinate")
        conditions = check_conditions(request.conditions, spec)
        mask = check_mask(request.mask, spec, output.space, "mask")
        if request.neighbours:
            check_offsets(request.neighbours, output.space)
        painted = None
        if request.HasField("painted_ground"):
            painted = check_painted(request.painted_ground, 0, spec, output.space, "painted_ground")
        tile = await read_tile(model, request.tile, output.space, "tile")
        neighbours = NOBODY
        if request.neighbours:
            middle = tile, request.tile.heights.scale_metres
            neighbours = await resolve(model, request.neighbours, output.space, middle=middle)
        edited = await edit(model, tile, mask, request.seed, place, conditions, painted, neighbours)
        owners = before(place, neighbours)
        made = await asyncio.to_thread(answer, edited, spec, output, request.tile.seed, place, owners)
        return pb.EditSceneResponse(model=model.served_by(), tile=made)

    async def EncodeScene(self, request: pb.EncodeSceneRequest) -> pb.EncodeSceneResponse:
        """Encode height maps."""
        model = self._registry.find(request.model, "scene", "model")
        tiles = await asyncio.to_thread(_tiles_to_encode, request, model.spec, self._limits.max_tiles)
        response = pb.EncodeSceneResponse(model=model.served_by())
        codes = []
        for tile in tiles:
            codes.append(await encode_tile(model, tile.height, tile.ground, tile.objects))
            decoded = await decode_tile(model, codes[-1], {})
            response.height_errors_metres.append(float(np.abs(decoded.height - tile.height).mean()))
        grounds = grid_from_gltf(check_space(request.space, "space"), np.stack([tile.ground for tile in tiles]))
        response.codes.CopyFrom(tensors.from_array(np.stack(codes).astype(np.uint16)))
        response.ground.CopyFrom(tensors.from_array(grounds))
        return response

    async def StreamScenes(self, request: pb.StreamScenesRequest) -> AsyncIterator[pb.StreamScenesResponse]:
        """Generate tiles, each sent when it is ready; a few are made ahead, and leaving the iteration stops the work."""
        model, spec, output = self._check(request.model, request.output)
        places = await self._stream_places(request, spec, output.space)
        made = self._made(model, request, output, [request.seed] * len(places), places)

        async def answered(index: int) -> pb.SceneTile:
            tile, owners = await made(index)
            return await asyncio.to_thread(answer, tile, spec, output, request.seed, places[index], owners)

        async with aclosing(as_ready(answered, len(places), TILES_AHEAD)) as tiles:
            async for index, tile in tiles:
                served = model.served_by()
                yield pb.StreamScenesResponse(model=served, index=index, tile_count=len(places), tile=tile)

    def _check(self, selector: Any, output: pb.SceneOutput) -> tuple[ServedModel, Spec, Output]:
        model = self._registry.find(selector, "scene", "model")
        return model, model.spec, check_output(output, model.spec)

    async def _maker(
        self, model: ServedModel, request: pb.GenerateSceneRequest, output: Output, seeds: list[int], places: list[Offset]
    ) -> Callable[[int], Awaitable[Owned]]:
        """Return what makes a request's tiles: decoded from its codes, drawn under its paint, or out of their worlds."""
        if request.HasField("painted_ground") and request.HasField("codes"):
            raise InvalidArgument("is given beside codes, expected one of both", field="painted_ground")
        made = self._made(model, request, output, seeds, places)
        if not request.HasField("painted_ground"):
            return made
        spec: Spec = model.spec
        conditions = check_conditions(request.conditions, spec)
        paint = (request.painted_ground, len(places), spec, output.space, "painted_ground")
        painted = await asyncio.to_thread(check_painted, *paint)

        async def drawn(index: int) -> Owned:
            neighbours = await self._worlds.around(model, seeds[index], conditions, *places[index])
            tile = await draw_tile(model, seeds[index], places[index], conditions, neighbours, painted[index])
            return tile, before(places[index], neighbours)

        return drawn

    def _made(
        self,
        model: ServedModel,
        request: pb.GenerateSceneRequest | pb.StreamScenesRequest,
        output: Output,
        seeds: list[int],
        places: list[Offset],
    ) -> Callable[[int], Awaitable[Owned]]:
        """Return what makes a request's tiles without paint: decoded from its codes, or out of their worlds."""
        conditions = check_conditions(request.conditions, model.spec)
        if request.HasField("codes"):
            codes = check_saved(request.codes, seeds, places, model, output.space)
            saved = SavedTiles(model, codes, conditions, self._worlds if request.fit_world else None)
            return lambda index: saved.owned(seeds[index], places[index])
        if request.fit_world:
            raise InvalidArgument("is set without codes, expected those of the tiles that are to fit", field="fit_world")
        return lambda index: self._of_world(model, seeds[index], conditions, places[index], output)

    async def _of_world(self, model: ServedModel, seed: int, conditions: Conditions, place: Offset, output: Output) -> Owned:
        """Return a world's tile; for a mesh the tiles that it depends on too, which may have to be made again."""
        tile = await self._worlds.tile(model, seed, conditions, *place)
        if not output.mesh:
            return tile, NOBODY
        return tile, before(place, await self._worlds.around(model, seed, conditions, *place))

    async def _stream_places(self, request: pb.StreamScenesRequest, spec: Spec, space: int) -> list[Offset]:
        if bool(request.coordinates) == request.HasField("path"):
            problem = "are given beside a path, expected one of both" if request.coordinates else "are empty, expected places"
            raise InvalidArgument(f"{problem}, or a path in their stead", field="coordinates")
        most = self._limits.max_tiles
        if request.coordinates:
            check_count(len(request.coordinates), most, "coordinates")
            return [check_place(one, space, f"coordinates[{i}]") for i, one in enumerate(request.coordinates)]
        if request.HasField("codes"):
            raise InvalidArgument("are given for a path, expected coordinates in its stead", field="codes")
        length = spec.metres * UNITS[space]
        points = check_path(request.path, length, most)
        along = await asyncio.to_thread(tiles_along, points, request.path.view_distance / length, most)
        return [tile_to_gltf(space, x, y) for x, y in along]

    def _check_size(self, size: int, count: int) -> None:
        if size > self._limits.max_message_bytes:
            message = (
                f"{count} tiles take {size} bytes or more, one message holds {self._limits.max_message_bytes}; "
                "ask for fewer or call StreamScenes"
            )
            raise ResourceExhausted(message, field="coordinates")


def _tiles_to_encode(request: pb.EncodeSceneRequest, spec: Spec, max_tiles: int) -> list[Tile]:
    """Return the tiles of a request, without codes."""
    space = check_space(request.space, "space")
    if request.metres_per_cell and not abs(request.metres_per_cell / spec.metres_per_cell - 1) < 1e-3:
        message = f"is {request.metres_per_cell:g}, the model's cells have {spec.metres_per_cell:g} m; resample the heights"
        raise InvalidArgument(message, field="metres_per_cell")
    shape, cells = request.heights.values.shape, [spec.tile_cells] * 2
    rows = shape[0] if len(shape) == 3 else 1
    check_count(rows, max_tiles, "heights.values")
    if rows < 1:
        message = f"shape is {list(shape)}, expected [N, {spec.vertices}, {spec.vertices}] with one tile or more"
        raise InvalidArgument(message, field="heights.values.shape" if rows < 0 else "heights.values")
    heights = check_heights(request.heights, rows, spec, space, "heights")
    grounds = ground_classes(heights, spec.metres_per_cell, [one.name for one in spec.ground_classes])
    if request.HasField("ground"):
        grounds = check_classes(request.ground, [rows, *cells], len(spec.ground_classes), space, "ground")
    objects: Bytes = np.zeros((rows, *cells), np.uint8)
    if request.HasField("objects"):
        objects = check_classes(request.objects, [rows, *cells], len(spec.object_classes), space, "objects")
    nothing = np.zeros((spec.grid, spec.grid), np.int64)
    return [Tile(nothing, *arrays) for arrays in zip(heights, grounds, objects, strict=True)]
