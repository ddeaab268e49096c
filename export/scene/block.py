"""Blocks of neighbouring tiles in the order in which the sidecar makes them: by the parity of their coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bridge.scene_class_seams import classes
from bridge.scene_decoding import place
from bridge.scene_seams import fitted
from bridge.scene_tile import AROUND, Tile
from export.scene.climate import complete
from export.scene.halo import DECODER_MARGIN, RING, HaloDecoder, decode_surrounded
from export.scene.prior import Conditions
from export.scene.sample import draw_codes, free
from export.scene.tiles import Tiles
from export.scene.trained import Trained

Place = tuple[int, int]
LOW, HIGH = -1e4, 1e4


def order(side: int) -> list[list[Place]]:
    """The coordinates (x, y) of a block in three waves: both even, one even, none; a wave depends on earlier ones only."""
    waves: list[list[Place]] = [[], [], []]
    for y in range(side):
        for x in range(side):
            waves[x % 2 + y % 2].append((x, y))
    return [wave for wave in waves if wave]


def grow(
    trained: Trained, seeds: Sequence[int], side: int, *, steps: int, choice_temperature: float, asked: Conditions | None = None
) -> list[dict[Place, Tile]]:
    """The block from (0, 0) to (side - 1, side - 1) of each seed's endless world: tiles that continue each other."""
    worlds: list[dict[Place, Tile]] = [{} for _ in seeds]
    prior, decoder = trained.prior, HaloDecoder(trained.vqvae)
    masks = np.full((prior.grid, prior.grid), prior.codes, np.int64)
    # The last row and column of an even block hang on tiles behind them.
    for wave in order(side + 1 - side % 2):
        jobs = [(world, at) for world in range(len(seeds)) for at in wave]
        around = [_around(worlds[world], at) for world, at in jobs]
        tokens = np.stack([_surrounded(masks, near, prior.config.margin, prior.codes + 1) for near in around])
        given = _repeat(asked, len(jobs)) if asked else free(len(jobs), prior.grid)
        worlds_of, places = [seeds[world] for world, _ in jobs], [at for _, at in jobs]
        codes = draw_codes(
            prior,
            worlds_of,
            tokens=tokens,
            conditions=complete(trained.climate, given, worlds_of, places),
            places=[place(*at) for at in places],
            steps=steps,
            choice_temperature=choice_temperature,
        )
        seen = np.stack(
            [_surrounded(one, near, DECODER_MARGIN, decoder.outside) for one, near in zip(codes, around, strict=True)]
        )
        for (world, at), near, *parts in zip(jobs, around, codes, *decode_surrounded(decoder, seen), strict=True):
            worlds[world][at] = _finished(near, *parts)
    return [{at: tile for at, tile in world.items() if max(at) < side} for world in worlds]


def joined(world: dict[Place, Tile], side: int) -> Tiles:
    """A block as one large tile: heights [1, side T + 1, side T + 1] and classes."""
    cells = world[0, 0].ground.shape[0]
    height = np.zeros((side * cells + 1, side * cells + 1), np.float32)
    ground, objects = (np.zeros((side * cells, side * cells), np.uint8) for _ in range(2))
    for (x, y), tile in world.items():
        rows, columns = slice(y * cells, (y + 1) * cells), slice(x * cells, (x + 1) * cells)
        height[y * cells : (y + 1) * cells + 1, x * cells : (x + 1) * cells + 1] = tile.height
        ground[rows, columns], objects[rows, columns] = tile.ground, tile.objects
    return Tiles(height[None], ground[None], objects[None])


def _around(world: dict[Place, Tile], at: Place) -> dict[Place, Tile]:
    """The finished tiles around a place, by their offsets from it."""
    places = {offset: (at[0] + offset[0], at[1] + offset[1]) for offset in AROUND}
    return {offset: world[where] for offset, where in places.items() if where in world}


def _surrounded(codes: np.ndarray, around: dict[Place, Tile], margin: int, outside: int) -> np.ndarray:
    """Codes [G, G] with a margin of those of the tiles around them; `outside` where none is."""
    grid = len(codes)
    wide = np.full((3 * grid, 3 * grid), outside, np.int64)
    for (x, y), own in {(0, 0): codes, **{offset: tile.codes for offset, tile in around.items()}}.items():
        wide[(1 + y) * grid : (2 + y) * grid, (1 + x) * grid : (2 + x) * grid] = own
    part = slice(grid - margin, 2 * grid + margin)
    return wide[part, part]


def _finished(
    around: dict[Place, Tile], codes: np.ndarray, height: np.ndarray, ground: np.ndarray, objects: np.ndarray
) -> Tile:
    """A tile that fits the finished ones around it, of what its decoder gave."""
    grounds, things = ({offset: getattr(tile, name) for offset, tile in around.items()} for name in ("ground", "objects"))
    return Tile(codes, fitted(height, around, LOW, HIGH), classes(ground, grounds, RING), classes(objects, things, RING))


def _repeat(asked: Conditions, count: int) -> Conditions:
    return Conditions(*(value.repeat(count, *[1] * (value.ndim - 1)) for value in asked))
