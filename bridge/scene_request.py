"""What a scene request says, checked and in glTF's axes; `InvalidArgument` names the path of the field at fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.model_card import TensorSpec
from bridge.scene_card import FREE, MAX_STEPS, Range, Spec
from bridge.scene_climate import Conditions
from bridge.scene_tile import Bytes, Floats, Ints, Offset
from bridge.spaces import grid_to_gltf, tile_to_gltf
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1 import tensor_pb2

MAX_COORDINATE = 2_147_483_000
TOLERANCE_METRES = 0.01
"""How far a height may lie outside the model's range: what rounding to uint16 and back may cost."""
Array = npt.NDArray[Any]


def check_conditions(given: pb.SceneConditions, spec: Spec, field: str = "conditions") -> Conditions:
    """Return the conditions of a request."""
    if given.biome and given.biome not in spec.biomes:
        raise InvalidArgument(f'is "{given.biome}", expected one of {spec.biomes} or nothing', field=f"{field}.biome")
    if given.steps > MAX_STEPS:
        raise InvalidArgument(f"is {given.steps}, expected 1 to {MAX_STEPS}, or 0 for {spec.steps}", field=f"{field}.steps")
    amounts = {}
    for name, bounds in (("ruggedness", spec.ruggedness), ("water_share", spec.water_share)):
        amount = getattr(given, name).value if given.HasField(name) else FREE
        if given.HasField(name) and not np.float32(bounds.low) <= amount <= np.float32(bounds.high):
            message = f"is {amount:g}, expected {bounds.low:g} to {bounds.high:g}"
            raise InvalidArgument(message, field=f"{field}.{name}.value")
        amounts[name] = amount
    biome = spec.biomes.index(given.biome) if given.biome else FREE
    return Conditions(biome, steps=given.steps, climate=not given.ignore_climate, **amounts)


def check_place(coordinate: pb.TileCoordinate, space: int, field: str) -> Offset:
    """Return the place in glTF of a tile that a request names."""
    for name, value in (("x", coordinate.x), ("y", coordinate.y)):
        if not -MAX_COORDINATE <= value <= MAX_COORDINATE:
            message = f"is {value}, expected {-MAX_COORDINATE} to {MAX_COORDINATE}; worlds end there"
            raise InvalidArgument(message, field=f"{field}.{name}")
    return tile_to_gltf(space, coordinate.x, coordinate.y)


def check_places(request: pb.GenerateSceneRequest, space: int, max_tiles: int) -> tuple[list[int], list[Offset]]:
    """Return the seed and the place of each tile that is asked for."""
    coordinates = request.coordinates
    if not request.seeds:
        raise InvalidArgument("is empty, expected one seed a tile, or one for all coordinates", field="seeds")
    for field, count in (("seeds", len(request.seeds)), ("coordinates", len(coordinates))):
        check_count(count, max_tiles, field)
    seeds = list(request.seeds)
    if coordinates and len(seeds) not in (1, len(coordinates)):
        message = f"{len(seeds)} seeds for {len(coordinates)} coordinates, expected 1 or as many"
        raise InvalidArgument(message, field="seeds")
    if not coordinates:
        return seeds, [tile_to_gltf(space, 0, 0)] * len(seeds)
    places = [check_place(one, space, f"coordinates[{i}]") for i, one in enumerate(coordinates)]
    return (seeds * len(places) if len(seeds) == 1 else seeds), places


def check_count(count: int, max_tiles: int, field: str) -> None:
    """Raise `ResourceExhausted` when a call asks for too many tiles."""
    if count > max_tiles:
        message = f"{count} tiles in one call, expected at most {max_tiles}; ask in several calls"
        raise ResourceExhausted(message, field=field)


def grid(tensor: tensor_pb2.Tensor, dtype: str, shape: Sequence[int], field: str) -> Array:
    """Return a tensor as an array of exactly this type and shape."""
    wanted = TensorSpec(name=field, dtype=dtype, shape=["batch", *shape[1:]])
    return tensors.match(tensor, wanted, shape[0], field)


def check_classes(tensor: tensor_pb2.Tensor, shape: Sequence[int], count: int, space: int, field: str) -> Bytes:
    """Return classes uint8 of a request, each below `count`, in glTF's axes."""
    classes = grid(tensor, "uint8", shape, field)
    if classes.max() >= count:
        raise InvalidArgument(f"holds class {classes.max()}, the model's are 0 to {count - 1}", field=field)
    return grid_to_gltf(space, classes)


def check_codes(tensor: tensor_pb2.Tensor, rows: int, spec: Spec, field: str) -> Ints:
    """Return codes int64[rows, G, G]; for `rows` 0 those of one tile, int64[G, G]."""
    shape = [spec.grid, spec.grid]
    codes = grid(tensor, "uint16", [rows, *shape] if rows else shape, field)
    if codes.max() >= spec.codebook_size:
        message = f"holds code {codes.max()}, the model's are 0 to {spec.codebook_size - 1}; use the model that made them"
        raise InvalidArgument(message, field=field)
    return codes.astype(np.int64)


def check_mask(tensor: tensor_pb2.Tensor, spec: Spec, space: int, field: str) -> npt.NDArray[np.bool_]:
    """Return a mask bool[T, T] with at least one cell."""
    mask = grid(tensor, "bool", [spec.tile_cells] * 2, field)
    if not mask.any():
        raise InvalidArgument("holds no cell, expected at least one to make anew", field=field)
    return grid_to_gltf(space, mask)


def check_painted(tensor: tensor_pb2.Tensor, rows: int, spec: Spec, space: int, field: str) -> Ints:
    """Return the classes int64[..., G, G] asked for at codes: one that half of a code's cells or more name, else free."""
    shape = [spec.tile_cells] * 2
    painted = grid(tensor, "int8", [rows, *shape] if rows else shape, field)
    count = len(spec.ground_classes)
    if painted.min() < FREE or painted.max() >= count:
        unknown = painted.max() if painted.max() >= count else painted.min()
        message = f"holds class {unknown}, the model's are 0 to {count - 1}, and -1 is free"
        raise InvalidArgument(message, field=field)
    side, lead = spec.downsample, painted.shape[:-2]
    blocks = grid_to_gltf(space, painted).reshape(*lead, spec.grid, side, spec.grid, side)
    shares = np.stack([(blocks == number).mean(axis=(-3, -1)) for number in range(count)])
    return np.where(shares.max(axis=0) >= 0.5, shares.argmax(axis=0), FREE)


def check_heights(heightmap: pb.Heightmap, rows: int, spec: Spec, space: int, field: str) -> Floats:
    """Return heights float32[rows, V, V] in metres; for `rows` 0 those of one tile, float32[V, V]."""
    tensor, shape = heightmap.values, [spec.vertices] * 2
    scaled = tensor.dtype == tensor_pb2.DATA_TYPE_UINT16
    values = grid(tensor, "uint16" if scaled else "float32", [rows, *shape] if rows else shape, f"{field}.values")
    if scaled:
        values = _metres(values, heightmap, spec.height, field)
    elif heightmap.scale_metres or heightmap.offset_metres:
        name = "scale_metres" if heightmap.scale_metres else "offset_metres"
        raise InvalidArgument("is for uint16 values, expected 0 for float32", field=f"{field}.{name}")
    _check_range(values, spec.height, f"{field}.values")
    return grid_to_gltf(space, values)


def _metres(values: Array, heightmap: pb.Heightmap, bounds: Range, field: str) -> Floats:
    scale, offset, most = heightmap.scale_metres, heightmap.offset_metres, bounds.high - bounds.low
    if not 0.0 < scale <= most:
        raise InvalidArgument(f"is {scale:g}, expected metres a step above 0, at most {most:g}", field=f"{field}.scale_metres")
    farthest = 65_535 * most
    if not abs(offset) <= farthest:
        message = f"is {offset:g}, expected the height in metres of the value 0, {-farthest:g} to {farthest:g}"
        raise InvalidArgument(message, field=f"{field}.offset_metres")
    return (offset + scale * values.astype(np.float64)).astype(np.float32)


def _check_range(values: Floats, bounds: Range, field: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        place = [int(index) for index in np.argwhere(~finite)[0]]
        message = (
            f"has {values[tuple(place)]} at {place}, expected metres; fill {np.count_nonzero(~finite)} of its places first"
        )
        raise InvalidArgument(message, field=field)
    low, high = float(values.min()), float(values.max())
    if low < bounds.low - TOLERANCE_METRES or high > bounds.high + TOLERANCE_METRES:
        message = f"goes from {low:g} to {high:g} m, the model knows {bounds.low:g} to {bounds.high:g}; move or scale it"
        raise InvalidArgument(message, field=field)
