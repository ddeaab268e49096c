"""Editing: codes under a mask are drawn anew, and what they decode to is put into the mask alone, where it fits the rest."""

from __future__ import annotations

import asyncio

import numpy as np
import numpy.typing as npt

from bridge.registry import ServedModel
from bridge.scene_card import Spec
from bridge.scene_class_seams import missing
from bridge.scene_climate import Conditions
from bridge.scene_fill import filled_classes, filled_heights
from bridge.scene_generation import Arrays, decode, draw_codes, encode_tile, likely_classes
from bridge.scene_request import check_classes, check_codes, check_heights
from bridge.scene_rules import ground_classes
from bridge.scene_seams import fitted
from bridge.scene_tile import Ints, Neighbours, Offset, Tile, grounds, surrounded
from bridge.v1 import scene_service_pb2 as pb

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
    outputs = await decode(model, codes, neighbours, begun=True)
    return await asyncio.to_thread(_composited, spec, tile, mask, codes, outputs, neighbours)


def _composited(spec: Spec, tile: Tile, mask: Mask, codes: Ints, outputs: Arrays, neighbours: Neighbours) -> Tile:
    """Return the tile with what was decoded inside the mask; what differs at its edge fades into it."""
    low, high = spec.height.low, spec.height.high
    made, free = fitted(outputs["height"], neighbours, low, high).astype(np.float64), inner_vertices(mask)
    height = np.clip(made + filled_heights(tile.height - made, free), low, high).astype(np.float32)
    likely = likely_classes(spec, outputs, neighbours)
    new = (one + filled_classes(missing(one, old), mask) for one, old in zip(likely, (tile.ground, tile.objects), strict=True))
    ground, objects = (one.argmax(axis=0).astype(np.uint8) for one in new)
    return Tile(
        codes,
        np.where(free, height, tile.height),
        np.where(mask, ground, tile.ground),
        np.where(mask, objects, tile.objects),
        grounds(neighbours),
    )


def inner_vertices(mask: Mask) -> Mask:
    """Return the vertices bool[V, V] of which all four cells around are masked: those whose heights may change."""
    padded = np.pad(mask, 1)
    inside: Mask = padded[:-1, :-1] & padded[:-1, 1:] & padded[1:, :-1] & padded[1:, 1:]
    return inside
