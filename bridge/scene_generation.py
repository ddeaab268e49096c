"""Running a scene bundle's graphs: conditions and neighbours → codes → a tile that fits them.

Every run has one row. ONNX Runtime's last bits depend on the number of rows, one bit can tip a code, and a code makes another
landscape: a tile would depend on what else was asked for.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.errors import FailedPrecondition
from bridge.registry import ServedModel
from bridge.scene_card import FREE, Spec
from bridge.scene_class_seams import likelihoods
from bridge.scene_climate import Conditions, completed
from bridge.scene_decoding import MaskedDrawing, place
from bridge.scene_seams import Doubles, fitted
from bridge.scene_tile import Bytes, Floats, Ints, Neighbours, Offset, Tile, grounds, surrounded

Arrays = dict[str, npt.NDArray[Any]]


async def make_tile(model: ServedModel, seed: int, at: Offset, conditions: Conditions, neighbours: Neighbours) -> Tile:
    """Draw a tile at a place (x, y) of glTF that fits its neighbours."""
    return await draw_tile(model, seed, at, conditions, neighbours)


async def draw_tile(
    model: ServedModel, seed: int, at: Offset, conditions: Conditions, neighbours: Neighbours, painted: Ints | None = None
) -> Tile:
    """Draw a tile like `make_tile`, with ground classes int64[G, G] asked for at its codes.

    Where nothing is painted the world's climate says what is not asked for.
    """
    spec: Spec = model.spec
    if painted is None or (painted == FREE).all():
        conditions = completed(spec.climate, conditions, seed, at)
    masks = np.full((spec.grid, spec.grid), spec.mask_token, np.int64)
    codes = await draw_codes(model, seed, at, conditions, surrounded(spec, masks, neighbours, spec.prior_margin), painted)
    return await decode_tile(model, codes, neighbours, begun=True)


async def draw_codes(
    model: ServedModel, seed: int, at: Offset, conditions: Conditions, tokens: Ints, painted: Ints | None
) -> Ints:
    """Draw the masks of `tokens` int64[G + 2p, G + 2p]; return the tile's codes int64[G, G]."""
    spec: Spec = model.spec
    drawing = MaskedDrawing(
        tokens[None],
        spec.prior_margin,
        spec.codebook_size,
        seeds=[seed],
        places=[place(*at)],
        steps=conditions.steps or spec.steps,
        choice_temperature=spec.choice_temperature,
    )
    given: Arrays = {
        "painted": np.full((1, spec.grid, spec.grid), FREE, np.int64) if painted is None else painted[None],
        "biome": np.array([conditions.biome], np.int64),
        "ruggedness": np.array([conditions.ruggedness], np.float32),
        "water_share": np.array([conditions.water_share], np.float32),
    }
    while not drawing.finished:
        feeds = given | {"tokens": drawing.tokens}
        outputs = await model.batchers["prior"].run(feeds, alone=True, begun=drawing.begun)
        await asyncio.to_thread(drawing.advance, outputs["logits"])
    codes: Ints = drawing.codes[0]
    return codes


async def decode_tile(
    model: ServedModel, codes: Ints, neighbours: Neighbours, touching: Neighbours | None = None, *, begun: bool = False
) -> Tile:
    """Decode codes int64[G, G] to a tile that fits its neighbours; the decoder sees none that is only `touching`."""
    outputs = await decode(model, codes, neighbours, begun=begun)
    tile = await asyncio.to_thread(fitted_tile, model.spec, codes, outputs, touching or neighbours)
    return replace(tile, around=grounds(neighbours))


async def decode(model: ServedModel, codes: Ints, neighbours: Neighbours, *, begun: bool = False) -> Arrays:
    """Return the decoder's heights and logits of a tile, for codes int64[G, G]; they fit nothing yet."""
    spec: Spec = model.spec
    tokens = surrounded(spec, codes, neighbours, spec.decoder_margin)
    outputs = await model.batchers["decoder"].run({"codes": tokens[None]}, alone=True, begun=begun)
    if not np.isfinite(outputs["height"]).all():
        raise FailedPrecondition("its decoder gives heights that are not finite; export it again", field="model")
    return {name: rows[0] for name, rows in outputs.items()}


async def encode_tile(model: ServedModel, height: Floats, ground: Bytes, objects: Bytes) -> Ints:
    """Return the codes int64[G, G] of a tile's heights and classes."""
    feeds: Arrays = {"height": height[None], "ground": ground[None].astype(np.int64), "objects": objects[None].astype(np.int64)}
    codes: Ints = (await model.batchers["encoder"].run(feeds, alone=True))["codes"][0]
    if codes.min() < 0 or codes.max() >= model.spec.codebook_size:
        message = f"its encoder gives codes {codes.min()} to {codes.max()}, expected 0 to {model.spec.codebook_size - 1}"
        raise FailedPrecondition(f"{message}; export it again", field="model")
    return codes


def likely_classes(spec: Spec, outputs: Arrays, touching: Neighbours) -> tuple[Doubles, Doubles]:
    """Return how likely each ground and object class is in each cell, [C, T, T], next to those that stand around."""
    ground, objects = (
        likelihoods(outputs[name], {offset: getattr(tile, name) for offset, tile in touching.items()}, spec.ring)
        for name in ("ground", "objects")
    )
    return ground, objects


def fitted_tile(spec: Spec, codes: Ints, outputs: Arrays, touching: Neighbours) -> Tile:
    """Return the tile of what `decode` returned, next to those around it."""
    height = fitted(outputs["height"], touching, spec.height.low, spec.height.high)
    ground, objects = (likely.argmax(axis=0).astype(np.uint8) for likely in likely_classes(spec, outputs, touching))
    return Tile(codes, height, ground, objects)
