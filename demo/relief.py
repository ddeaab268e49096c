"""Terrain drawn as on a map: class tints under relief shading with the sun in the north-west, objects as small marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bridge import tensors
from bridge.client import heights
from bridge.scene_card import Spec
from bridge.scene_objects import instances
from bridge.scene_tile import Tile
from bridge.v1 import scene_service_pb2 as pb
from demo.marks import Mark, draw_marks

SUNS = ((315.0, 0.7), (270.0, 0.15), (0.0, 0.15))
"""Azimuths in degrees from north by east, and their shares of the light: most from the north-west."""
ALTITUDE = np.deg2rad(45.0)
EXAGGERATE = 1.5
AMBIENT = 0.4
BRIGHTEST = 1.25
"""Light on slopes that face the sun; level ground has 1."""
PAPER, PALER = np.array([238.0, 234.0, 216.0], np.float32), 0.14
"""Tints are mixed with that share of paper, as printed ones are."""
SHADE = np.array([0.80, 0.88, 1.0], np.float32)
"""What is left of red, green and blue where no light falls: shadows are cool."""
DEEP_METRES, DEEP = 10.0, 0.45
"""Water that is so deep has lost that share of its brightness."""
CRISPNESS = 3
"""Power to which blended class weights are raised: borders between classes stay narrow."""
Place = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Land:
    """A rectangle of ground in glTF's axes: rows run south, columns east.

    Heights float32[R + 1, C + 1] in metres, ground classes uint8[R, C], and marks in metres from the north-western corner.
    """

    height: np.ndarray
    ground: np.ndarray
    marks: Sequence[Mark]


def joined(tiles: Sequence[pb.SceneTile], spec: Spec) -> Land:
    """Lay answers in glTF's space that came with instances beside each other; together they must fill a rectangle."""
    places = [(tile.coordinate.x, tile.coordinate.y) for tile in tiles]
    (left, top), (right, bottom) = np.min(places, axis=0), np.max(places, axis=0)
    columns, rows = int(right - left + 1), int(bottom - top + 1)
    if len(set(places)) != rows * columns:
        raise ValueError(f"{len(set(places))} tiles of a block of {rows} x {columns}; ask for every one of it")
    cells = spec.tile_cells
    height = np.zeros((rows * cells + 1, columns * cells + 1), np.float32)
    ground = np.zeros((rows * cells, columns * cells), np.uint8)
    marks: list[Mark] = []
    for tile, (x, y) in zip(tiles, places, strict=True):
        row, column = (y - int(top)) * cells, (x - int(left)) * cells
        height[row : row + cells + 1, column : column + cells + 1] = heights(tile.heights)
        ground[row : row + cells, column : column + cells] = tensors.to_array(tile.ground, "ground")
        marks += _marks(tile.instances, spec, column * spec.metres_per_cell, row * spec.metres_per_cell)
    return Land(height, ground, marks)


def land_of(height: np.ndarray, ground: np.ndarray, objects: np.ndarray, spec: Spec) -> Land:
    """Return a tile of arrays as the data have it; its objects are placed as the sidecar places those of answers."""
    placed = instances(Tile(np.zeros((spec.grid, spec.grid), np.int64), height, ground, objects), spec, 0, 0)
    columns = zip(placed.classes, placed.positions, placed.yaws, placed.scales, strict=True)
    names = [thing.name for thing in spec.object_classes]
    return Land(height, ground, [Mark(names[k], float(p[0]), float(p[2]), float(yaw), float(s)) for k, p, yaw, s in columns])


def draw(land: Land, spec: Spec, px: int) -> Image.Image:
    """Return a picture with a cell as `px` x `px` pixels; north is up."""
    rows, columns = land.ground.shape
    fine = _resized(land.height, (rows * px, columns * px), inside=True)
    weights = _weights(land.ground, len(spec.ground_classes), px)
    tints = np.array([one.colour for one in spec.ground_classes], np.float32)
    colour = (1 - PALER) * np.tensordot(weights, tints, axes=(0, 0)) + PALER * PAPER
    water = weights[[one.water for one in spec.ground_classes]].sum(axis=0)
    colour *= 1 - DEEP * (water * np.clip(-fine / DEEP_METRES, 0.0, 1.0))[..., None]
    light = lit(fine, spec.metres_per_cell / px)
    light += (1.0 - light) * 0.85 * water
    factor = AMBIENT + (1 - AMBIENT) * light[..., None]
    cool = SHADE + (1 - SHADE) * np.clip(light, 0.0, 1.0)[..., None]
    picture = Image.fromarray(np.clip(colour * factor * cool, 0, 255).astype(np.uint8))
    return draw_marks(picture, land.marks, px / spec.metres_per_cell)


def lit(height: np.ndarray, metres_per_px: float) -> np.ndarray:
    """Return the light on each pixel of heights [H, W] in metres, float32[H, W]: 1 on level ground, 0 in the deepest shade."""
    south, east = np.gradient(height * np.float32(EXAGGERATE), np.float32(metres_per_px))
    upright = 1.0 / np.sqrt(1.0 + east**2 + south**2)
    light = np.zeros_like(height)
    for azimuth, share in SUNS:
        towards = np.deg2rad(azimuth)
        slope = east * np.float32(np.sin(towards)) - south * np.float32(np.cos(towards))
        light += np.float32(share) * np.maximum((1.0 - slope / np.float32(np.tan(ALTITUDE))) * upright, 0.0)
    return np.minimum(light, np.float32(BRIGHTEST))


def _weights(ground: np.ndarray, classes: int, px: int) -> np.ndarray:
    """Return how much of each class a pixel shows, float32[classes, H, W]; they sum to 1."""
    size = (ground.shape[0] * px, ground.shape[1] * px)
    smooth = np.stack([_resized((ground == number).astype(np.float32), size, inside=False) for number in range(classes)])
    smooth = np.clip(smooth, 0.0, 1.0) ** CRISPNESS
    weights: np.ndarray = smooth / smooth.sum(axis=0)
    return weights


def _resized(values: np.ndarray, size: tuple[int, int], *, inside: bool) -> np.ndarray:
    """Return float32 values at the middles of `size` (height, width) pixels.

    The given ones are at cells' middles, or, for `inside`, on the corners of the whole and between.
    """
    rows, columns = values.shape
    box = (0.5, 0.5, columns - 0.5, rows - 0.5) if inside else None
    kind = Image.Resampling.BICUBIC if inside else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((size[1], size[0]), kind, box=box))


def _marks(placed: pb.ObjectInstances, spec: Spec, east: float, south: float) -> list[Mark]:
    classes, positions, yaws, scales = (
        tensors.to_array(getattr(placed, name), name) for name in ("classes", "positions", "yaws", "scales")
    )
    names = [thing.name for thing in spec.object_classes]
    return [
        Mark(names[kind], east + float(foot[0]), south + float(foot[2]), float(yaw), float(scale))
        for kind, foot, yaw, scale in zip(classes, positions, yaws, scales, strict=True)
    ]
