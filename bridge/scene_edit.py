"""Editing: codes under a mask are drawn anew, and what they decode to is put into the mask alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bridge.registry import ServedModel
from bridge.scene_card import Spec
from bridge.scene_generation import decode_tile, draw_codes, encode_tile
from bridge.scene_request import Conditions, check_classes, check_codes, check_heights
from bridge.scene_rules import ground_classes
from bridge.scene_seams import smooth
from bridge.scene_tile import Ints, Neighbours, Offset, Tile, surrounded
from bridge.v1 import scene_service_pb2 as pb

FADE = 4
"""Vertices over which new heights take the place of the old ones."""
Mask = npt.NDArray[np.bool_]


async def read_tile(model: ServedModel, message: pb.SceneTile, space: int, field: str) -> Tile:
    """Return a tile as a request holds it; what it leaves out is derived, encoded or none."""
    spec: Spec = model.spec
    cells = [spec.tile_cells] * 2
    height = check_heights(message.heights, 0, spec, space, f"{field}.heights")
    ground = ground_classes(height, spec.metres_per_cell, [one.name for one in spec.ground_classes])
    if message.HasField("ground"):
        ground = check_classes(message.ground, cells, len(spec.ground_classes), space, f"{field}.ground")
    objects = np.zeros(cells, np.uint8)
    if message.HasField("objects"):
        objects = check_classes(message.objects, cells, len(spec.object_classes), space, f"{field}.objects")
    if message.HasField("codes"):
        codes = check_codes(message.codes, 0, spec, f"{field}.codes")
    else:
        codes = await encode_tile(model, height, ground, objects)
    return Tile(codes, height, ground, objects)


async def edit(
    model: ServedModel,
    tile: Tile,
    mask: Mask,
    seed: int,
    at: Offset,
    conditions: Conditions,
    painted: Ints | None,
    neighbours: Neighbours,
) -> Tile:
    """Return the tile with the cells of `mask` made anew to fit the rest of it and its neighbours.

    Everything else, and the vertices of the edge, keeps its bits.
    """
    spec: Spec = model.spec
    touched = mask.reshape(spec.grid, spec.downsample, spec.grid, spec.downsample).any(axis=(1, 3))
    tokens = surrounded(spec, np.where(touched, spec.mask_token, tile.codes), neighbours, spec.prior_margin)
    codes = await draw_codes(model, seed, at, conditions, tokens, painted)
    made = await decode_tile(model, codes, neighbours, begun=True)
    weight = weights(mask)
    height = np.clip(tile.height + weight * (made.height - tile.height), spec.height.low, spec.height.high)
    return Tile(
        codes,
        np.where(weight > 0.0, height, tile.height).astype(np.float32),
        np.where(mask, made.ground, tile.ground),
        np.where(mask, made.objects, tile.objects),
    )


def weights(mask: Mask) -> npt.NDArray[np.float64]:
    """Return how much of each vertex is new, float64[V, V]: above 0 only where all four cells around it are masked."""
    padded = np.pad(mask, 1)
    inside = padded[:-1, :-1] & padded[:-1, 1:] & padded[1:, :-1] & padded[1:, 1:]
    depth = inside.astype(np.float64)
    for _ in range(FADE - 1):
        padded = np.pad(inside, 1)
        rows, columns = inside.shape
        shifted = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        inside = np.logical_and.reduce(shifted)
        depth += inside
    return smooth(depth / FADE)
