"""From a tile to an answer: heights, classes or splat weights, instances and a mesh, in the space that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.errors import InvalidArgument
from bridge.scene_card import MAX_HEIGHT, Range, Spec
from bridge.scene_decoding import place
from bridge.scene_mesh import glb
from bridge.scene_objects import instances
from bridge.scene_tile import NOBODY, UNKNOWN, Bytes, Floats, Grounds, Neighbours, Offset, Tile, shared
from bridge.spaces import check_space, grid_from_gltf, points_from_gltf, tile_from_gltf, yaws_from_gltf
from bridge.v1 import scene_service_pb2 as pb

MAX_VERTICES = 513
STEPS = 65_535
_RING = {-1: slice(0, 1), 0: slice(1, -1), 1: slice(-1, None)}
"""The part of a grid with a ring of one cell that lies at an offset of -1, 0 or 1."""


@dataclass(frozen=True)
class Output:
    """What an answer holds."""

    space: int
    scaled: bool
    bounds: Range
    vertices: int
    splat: bool
    instances: bool
    mesh: bool

    def fewest_bytes(self, spec: Spec) -> int:
        """Return how many bytes a tile takes at the least."""
        cells = spec.tile_cells**2
        return self.vertices**2 * (2 if self.scaled else 4) + cells * (1 + (4 * len(spec.ground_classes) if self.splat else 1))


def check_output(given: pb.SceneOutput, spec: Spec, field: str = "output") -> Output:
    """Return what a request wants its answer to hold; `InvalidArgument` by the field at fault."""
    for name, enum in (("height_format", pb.HeightFormat), ("ground_format", pb.GroundFormat)):
        if getattr(given, name) not in enum.values():
            message = f"is {getattr(given, name)}, expected one of {enum.keys()}"
            raise InvalidArgument(message, field=f"{field}.{name}")
    vertices = given.height_vertices or spec.vertices
    if not 2 <= vertices <= MAX_VERTICES:
        message = f"is {vertices}, expected 2 to {MAX_VERTICES}, or 0 for {spec.vertices}"
        raise InvalidArgument(message, field=f"{field}.height_vertices")
    bounds = spec.height
    if given.HasField("height_range"):
        bounds = Range(given.height_range.low_metres, given.height_range.high_metres)
        if not -MAX_HEIGHT <= bounds.low < bounds.high <= MAX_HEIGHT:
            message = f"is {bounds.low:g} to {bounds.high:g}, expected a range in {-MAX_HEIGHT:g} to {MAX_HEIGHT:g} m"
            raise InvalidArgument(message, field=f"{field}.height_range")
    return Output(
        space=check_space(given.space, f"{field}.space"),
        scaled=given.height_format == pb.HEIGHT_FORMAT_UINT16,
        bounds=bounds,
        vertices=vertices,
        splat=given.ground_format == pb.GROUND_FORMAT_SPLAT_WEIGHTS,
        instances=given.return_instances,
        mesh=given.return_mesh,
    )


def answer(tile: Tile, spec: Spec, output: Output, seed: int, at: Offset, owners: Neighbours = NOBODY) -> pb.SceneTile:
    """Return the message of a tile at a place (x, y) of glTF; takes milliseconds.

    Its mesh takes over what it shares with `owners`, the neighbours before it, of which the first goes before the others.
    """
    x, y = tile_from_gltf(output.space, *at)
    message = pb.SceneTile(
        coordinate=pb.TileCoordinate(x=x, y=y),
        codes=tensors.from_array(tile.codes.astype(np.uint16)),
        heights=_heights(tile.height, output),
        ground=tensors.from_array(_ground(tile, spec, output)),
        objects=tensors.from_array(grid_from_gltf(output.space, tile.objects)),
        side_metres=spec.metres,
        seed=seed,
    )
    if output.instances:
        message.instances.CopyFrom(_instances(tile, spec, output.space, seed, at))
    if output.mesh:
        message.mesh = glb(tile, spec, output.space, owners)
    return message


def resampled(height: Floats, vertices: int) -> Floats:
    """Return heights float32[vertices, vertices] along straight lines between the given ones; edges depend on edges alone."""
    if vertices == len(height):
        return height
    at = np.arange(vertices) * ((len(height) - 1) / (vertices - 1))
    before = np.minimum(at.astype(np.intp), len(height) - 2)
    after = at - before
    rows = height[before] * (1 - after[:, None]) + height[before + 1] * after[:, None]
    heights: Floats = (rows[:, before] * (1 - after) + rows[:, before + 1] * after).astype(np.float32)
    return heights


def splat_weights(ground: Bytes, classes: int, around: Grounds = UNKNOWN) -> npt.NDArray[np.float32]:
    """Return weights float32[classes, T, T] that sum to exactly 1: each cell counts with its eight neighbours, 4 : 2 : 1.

    Beyond the edge lies the ground of the tiles `around`, or, where none is known, the nearest cell again.
    """
    padded = np.pad(ground, 1, mode="edge")
    for (x, y), there in around.items():
        padded[_RING[y], _RING[x]] = there[shared((-x, -y))]
    one_hot = (padded == np.arange(classes)[:, None, None]).astype(np.float32)
    rows = one_hot[:, :-2] + 2 * one_hot[:, 1:-1] + one_hot[:, 2:]
    weights: npt.NDArray[np.float32] = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / np.float32(16)
    return weights


def _heights(height: Floats, output: Output) -> pb.Heightmap:
    values = grid_from_gltf(output.space, resampled(height, output.vertices))
    if not output.scaled:
        return pb.Heightmap(values=tensors.from_array(values))
    low, scale = output.bounds.low, (output.bounds.high - output.bounds.low) / STEPS
    steps = np.clip(np.round((values.astype(np.float64) - low) / scale), 0, STEPS).astype(np.uint16)
    return pb.Heightmap(values=tensors.from_array(steps), scale_metres=scale, offset_metres=low)


def _ground(tile: Tile, spec: Spec, output: Output) -> npt.NDArray[np.generic]:
    if not output.splat:
        return grid_from_gltf(output.space, tile.ground)
    weights = grid_from_gltf(output.space, splat_weights(tile.ground, len(spec.ground_classes), tile.around))
    return np.ascontiguousarray(np.moveaxis(weights, 0, -1))


def _instances(tile: Tile, spec: Spec, space: int, seed: int, at: Offset) -> pb.ObjectInstances:
    found = instances(tile, spec, seed, place(*at))
    return pb.ObjectInstances(
        classes=tensors.from_array(found.classes),
        positions=tensors.from_array(points_from_gltf(space, found.positions, spec.metres).astype(np.float32)),
        yaws=tensors.from_array(yaws_from_gltf(space, found.yaws).astype(np.float32)),
        scales=tensors.from_array(found.scales.astype(np.float32)),
    )
