"""A tile's ground as a binary glTF 2.0 file (Khronos, "glTF 2.0 Specification"): positions, normals and vertex colours.

A vertex on an edge has the normal and the colour that its owner gives it, the first of the tiles that share it: no light breaks
where tiles meet. Slopes across an edge are the owner's alone, since it was made before the others were there.
"""

from __future__ import annotations

import functools
import struct
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.scene_card import Spec
from bridge.scene_tile import NOBODY, Bytes, Floats, Neighbours, Tile, shared
from bridge.spaces import GLTF

MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED_SHORT = 5126, 5123
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
Array = npt.NDArray[Any]
_STRIPS = {-1: slice(-2, None), 0: slice(None), 1: slice(None, 2)}
"""What of a neighbour at an offset of -1 or 1 is enough to know its edge: two rows or columns."""


def glb(tile: Tile, spec: Spec, space: int, owners: Neighbours = NOBODY) -> bytes:
    """Return the file; the tile's origin in `space` is the mesh's, the axes and metres are glTF's.

    Shared vertices are the first of the `owners`' that has them, or the tile's own.
    """
    start = 0.0 if space == GLTF else -spec.metres
    position = _positions(tile.height, spec, start)
    normals, colours = _normals(tile.height, spec.metres_per_cell), _colours(tile.ground, spec)
    for (x, y), owner in reversed(list(owners.items())):
        there, strip = shared((-x, -y)), (_STRIPS[y], _STRIPS[x])
        normals[shared((x, y))] = _normals(owner.height[strip], spec.metres_per_cell)[there]
        colours[shared((x, y))] = _colours(owner.ground[strip], spec)[there]
    arrays: list[tuple[str, Array, int, str]] = [
        ("POSITION", position, FLOAT, "VEC3"),
        ("NORMAL", normals.reshape(-1, 3), FLOAT, "VEC3"),
        ("COLOR_0", colours.reshape(-1, 4), UNSIGNED_SHORT, "VEC4"),
        ("", triangles(spec.vertices), UNSIGNED_SHORT, "SCALAR"),
    ]
    views, accessors, offset = [], [], 0
    for index, (name, array, kind, shape) in enumerate(arrays):
        target = ARRAY_BUFFER if name else ELEMENT_ARRAY_BUFFER
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": target})
        accessors.append({"bufferView": index, "componentType": kind, "count": len(array), "type": shape})
        offset += array.nbytes
    accessors[0] |= {"min": position.min(axis=0).tolist(), "max": position.max(axis=0).tolist()}
    accessors[2]["normalized"] = True
    attributes = {name: index for index, (name, *_) in enumerate(arrays) if name}
    document = {
        "asset": {"version": "2.0", "generator": "Metabridge"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "terrain"}],
        "meshes": [{"name": "terrain", "primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "materials": [{"name": "ground", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    return _file(document, b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for _, array, _, _ in arrays))


def _file(document: dict[str, Any], binary: bytes) -> bytes:
    text = msgspec.json.encode(document)
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", len(binary), BINARY_CHUNK) + binary
    return struct.pack("<III", MAGIC, VERSION, 12 + len(chunks)) + chunks


@functools.lru_cache(maxsize=8)
def triangles(vertices: int) -> npt.NDArray[np.uint16]:
    """Return the triangles of a grid, anticlockwise as seen from above: uint16[6 (V - 1)^2], [row, column] row by row."""
    first = (np.arange(vertices - 1)[:, None] * vertices + np.arange(vertices - 1)).reshape(-1, 1)
    corners = first + np.array([0, vertices, 1, 1, vertices, vertices + 1])
    indices: npt.NDArray[np.uint16] = corners.reshape(-1).astype(np.uint16)
    return indices


def _positions(height: Floats, spec: Spec, start: float) -> Floats:
    along = np.arange(spec.vertices) * spec.metres_per_cell
    z, x = np.meshgrid(along, along + start, indexing="ij")
    positions: Floats = np.stack([x, height, z], axis=-1).reshape(-1, 3).astype(np.float32)
    return positions


def _normals(height: Floats, metres_per_cell: float) -> Floats:
    """Return unit normals float32[R, C, 3] of heights [R, C]; on the edge their slopes are one-sided."""
    south, east = np.gradient(height.astype(np.float64), metres_per_cell)
    normal = np.stack([-east, np.ones_like(east), -south], axis=-1)
    unit = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    normals: Floats = unit.astype(np.float32)
    return normals


def _colours(ground: Bytes, spec: Spec) -> npt.NDArray[np.uint16]:
    """Return linear colours uint16[R + 1, C + 1, 4] of classes [R, C], each the mean of the cells around its vertex."""
    srgb = np.array([ground.colour for ground in spec.ground_classes]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    cells = np.pad(linear[ground], ((1, 1), (1, 1), (0, 0)), mode="edge")
    mean = (cells[:-1, :-1] + cells[:-1, 1:] + cells[1:, :-1] + cells[1:, 1:]) / 4
    colours = np.concatenate([mean, np.ones((*mean.shape[:2], 1))], axis=-1)
    steps: npt.NDArray[np.uint16] = np.round(colours * 65_535).astype(np.uint16)
    return steps
