"""Good requests of the scene family's calls, for the tiny model of `tiny_scene`."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge import tensors
from bridge.spaces import GLTF
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

MANY = 1000
"""From so many rows on, a request has only what is counted."""


def generate_request(rows: int, seed: int) -> Any:
    request = pb.GenerateSceneRequest(
        model=ModelSelector(name="scene"),
        seeds=[seed] * rows,
        conditions=conditions(),
        output=pb.SceneOutput(return_instances=True),
    )
    if rows < MANY:
        request.coordinates.extend(pb.TileCoordinate(x=i, y=i) for i in range(rows))
        request.painted_ground.CopyFrom(tensors.from_array(paint(seed, rows)))
    return request


def extend_request(rows: int, seed: int) -> Any:
    places = [(-1, 0), (1, 0), (1, 1)]
    request = pb.ExtendSceneRequest(model=ModelSelector(name="scene"), seed=seed, coordinate=pb.TileCoordinate(x=7, y=2))
    if rows >= MANY:
        request.neighbours.extend([pb.SceneNeighbour()] * rows)
        return request
    for x, y in places[:rows]:
        request.neighbours.add(x_offset=x, y_offset=y)
    if rows:
        first = request.neighbours[0]
        first.codes.CopyFrom(tensors.from_array(np.full((4, 4), 5, np.uint16)))
        first.heights.values.CopyFrom(tensors.from_array(np.full((17, 17), 6.0, np.float32)))
    request.painted_ground.CopyFrom(tensors.from_array(paint(seed)))
    return request


def edit_request(rows: int, seed: int) -> Any:
    generator = np.random.default_rng(seed)
    mask = np.zeros((16, 16), bool)
    mask[3:12, 5:] = True
    tile = pb.SceneTile(
        codes=tensors.from_array(generator.integers(0, 16, (4, 4)).astype(np.uint16)),
        heights=pb.Heightmap(values=tensors.from_array(hills(seed))),
        ground=tensors.from_array(generator.integers(0, 4, (16, 16)).astype(np.uint8)),
        objects=tensors.from_array(generator.integers(0, 3, (16, 16)).astype(np.uint8)),
    )
    return pb.EditSceneRequest(
        model=ModelSelector(name="scene"),
        tile=tile,
        mask=tensors.from_array(mask),
        seed=seed,
        painted_ground=tensors.from_array(paint(seed)),
    )


def encode_request(rows: int, seed: int) -> Any:
    request = pb.EncodeSceneRequest(model=ModelSelector(name="scene"))
    if rows >= MANY:
        request.heights.values.CopyFrom(tensors.from_array(np.zeros((0, 17, 17), np.float32)))
        request.heights.values.shape[0] = rows
        return request
    generator = np.random.default_rng(seed)
    heights = np.array([hills(seed + row) for row in range(rows)], np.float32).reshape(rows, 17, 17)
    request.heights.values.CopyFrom(tensors.from_array(heights))
    request.ground.CopyFrom(tensors.from_array(generator.integers(0, 4, (rows, 16, 16)).astype(np.uint8)))
    request.objects.CopyFrom(tensors.from_array(generator.integers(0, 3, (rows, 16, 16)).astype(np.uint8)))
    return request


def stream_request(rows: int, seed: int) -> Any:
    return pb.StreamScenesRequest(
        model=ModelSelector(name="scene"),
        seed=seed,
        conditions=conditions(),
        coordinates=[pb.TileCoordinate(x=i % 5, y=i % 2) for i in range(rows)],
    )


def saved_request(rows: int, seed: int) -> Any:
    """Ask for tiles by their codes, as a saved world has them."""
    request = generate_request(rows, seed)
    request.ClearField("painted_ground")
    if rows < MANY:
        request.codes.CopyFrom(tensors.from_array(_codes(rows, seed)))
    return request


def saved_stream_request(rows: int, seed: int) -> Any:
    """Ask for a stream of tiles by their codes."""
    request = stream_request(rows, seed)
    if rows < MANY:
        request.codes.CopyFrom(tensors.from_array(_codes(rows, seed)))
    return request


def _codes(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 16, (rows, 4, 4)).astype(np.uint16)


def conditions() -> Any:
    amounts = {"ruggedness": pb.Amount(value=0.5), "water_share": pb.Amount(value=0.25)}
    return pb.SceneConditions(biome="mountains", **amounts)


def extend(client: Any, seed: int, place: tuple[int, int], neighbours: Any, space: int = GLTF, **parts: Any) -> Any:
    """Return the tile of the tiny scene "island" that fits its neighbours."""
    request = pb.ExtendSceneRequest(
        model=ModelSelector(name="island"),
        seed=seed,
        coordinate=pb.TileCoordinate(x=place[0], y=place[1]),
        neighbours=neighbours,
        output=pb.SceneOutput(space=space),
        **parts,
    )
    return client.extend_scene(request).tile


def outside(offset: tuple[int, int], tile: Any) -> Any:
    """Return a tile with all that it holds as a neighbour."""
    whole = {name: getattr(tile, name) for name in ("codes", "heights", "ground", "objects")}
    return pb.SceneNeighbour(x_offset=offset[0], y_offset=offset[1], **whole)


def hills(seed: int) -> np.ndarray:
    """Return smooth heights float32[17, 17] from -8 to 8 m."""
    phase = np.random.default_rng(seed).uniform(0, 6, 2)
    row, column = np.mgrid[:17, :17] / 4
    return (4 * np.sin(row + phase[0]) + 4 * np.sin(column + phase[1])).astype(np.float32)


def paint(seed: int, rows: int = 0) -> np.ndarray:
    """Return painted classes int8[16, 16], or as many as there are rows: a half of a class, the rest free."""
    painted = np.full((rows or 1, 16, 16), -1, np.int8)
    painted[:, :8] = seed % 4
    return painted if rows else painted[0]


def numbers(answer: Any) -> np.ndarray:
    return np.concatenate([_numbers(tile) for tile in answer.tiles])


def tile_numbers(answer: Any) -> np.ndarray:
    return _numbers(answer.tile)


def _numbers(tile: Any) -> np.ndarray:
    grids = [tensors.to_array(one, "").ravel() for one in (tile.heights.values, tile.ground, tile.codes, tile.objects)]
    return np.concatenate([grids[0] / 50, *grids[1:]]).astype(np.float64)


def encode_numbers(answer: Any) -> np.ndarray:
    return np.concatenate([tensors.to_array(answer.codes, "").ravel(), np.array(answer.height_errors_metres) / 50])
