"""Blocks of neighbouring tiles in the order in which the sidecar makes them: by the parity of their coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bridge.scene_decoding import place
from bridge.scene_seams import fitted
from bridge.scene_tile import AROUND, Tile
from export.scene.prior import Conditions
from export.scene.reconstruction import decode
from export.scene.sample import blank, draw_codes, free
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
    # The last row and column of an even block hang on tiles behind them.
    for wave in order(side + 1 - side % 2):
        jobs = [(world, at) for world in range(len(seeds)) for at in wave]
        tokens = np.stack([_surrounded(trained, worlds[world], at) for world, at in jobs])
        conditions = _repeat(asked, len(jobs)) if asked else free(len(jobs), trained.prior.grid)
        codes = draw_codes(
            trained.prior,
            [seeds[world] for world, _ in jobs],
            tokens=tokens,
            conditions=conditions,
            places=[place(*at) for _, at in jobs],
            steps=steps,
            choice_temperature=choice_temperature,
        )
        decoded = decode(trained.vqvae, codes)
        finished = [_finished(worlds[world], at, codes[n], decoded, n) for n, (world, at) in enumerate(jobs)]
        for (world, at), tile in zip(jobs, finished, strict=True):
            worlds[world][at] = tile
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


def _surrounded(trained: Trained, world: dict[Place, Tile], at: Place) -> np.ndarray:
    """Tokens of a tile to be drawn with what is finished around it."""
    grid, margin, codes = trained.prior.grid, trained.prior.config.margin, trained.prior.codes
    wide = np.full((3 * grid, 3 * grid), codes + 1, np.int64)
    for x, y in AROUND:
        tile = world.get((at[0] + x, at[1] + y))
        if tile is not None:
            wide[(1 + y) * grid : (2 + y) * grid, (1 + x) * grid : (2 + x) * grid] = tile.codes
    part = slice(grid - margin, 2 * grid + margin)
    tokens = wide[part, part]
    inside = slice(margin, margin + grid)
    tokens[inside, inside] = blank(1, grid, margin, codes)[0][inside, inside]
    return tokens


def _finished(world: dict[Place, Tile], at: Place, codes: np.ndarray, decoded: Tiles, number: int) -> Tile:
    tile = Tile(codes, decoded.height[number], decoded.ground[number], decoded.objects[number])
    around = {offset: (at[0] + offset[0], at[1] + offset[1]) for offset in AROUND}
    neighbours = {offset: world[where] for offset, where in around.items() if where in world}
    return replace(tile, height=fitted(tile.height, neighbours, LOW, HIGH))


def _repeat(asked: Conditions, count: int) -> Conditions:
    return Conditions(*(value.repeat(count, *[1] * (value.ndim - 1)) for value in asked))
