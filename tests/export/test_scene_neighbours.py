"""Neighbours of the committed default: what its service gave is taken in any form, what its codes do not tell is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import sidecar_in_thread

from bridge import tensors
from bridge.client import Client, ClientError, heights
from bridge.scene_tile import AROUND
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector
from export.scene.to_onnx import export_scene
from export.scene.trained import load_default

pytestmark = pytest.mark.timeout(900)
MODEL = ModelSelector(name="terrain")
CONDITIONS = {
    3: pb.SceneConditions(),
    4: pb.SceneConditions(ruggedness=pb.Amount(value=0.9)),
    5: pb.SceneConditions(water_share=pb.Amount(value=0.4)),
}
"""Worlds by their seeds."""
Tiles = dict[tuple[int, int], pb.SceneTile]


@pytest.fixture(scope="module")
def terrain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a sidecar that serves the committed default."""
    models = tmp_path_factory.mktemp("models")
    export_scene(load_default(), models, "terrain")
    with sidecar_in_thread(models) as sidecar, Client(f"127.0.0.1:{sidecar.port}", timeout=300) as client:
        yield client


def around(client: Client, seed: int, **output: Any) -> Tiles:
    """Return the tiles around (1, 1) by their offsets."""
    places = [(1 + x, 1 + y) for x, y in AROUND]
    asked = {"conditions": CONDITIONS[seed], "output": pb.SceneOutput(**output)}
    return dict(zip(AROUND, client.generate_scene("terrain", [seed], places, **asked).tiles, strict=True))


def at(offset: tuple[int, int], **parts: Any) -> pb.SceneNeighbour:
    return pb.SceneNeighbour(x_offset=offset[0], y_offset=offset[1], **parts)


def neighbour(offset: tuple[int, int], tile: pb.SceneTile, **other: Any) -> pb.SceneNeighbour:
    parts = {name: getattr(tile, name) for name in ("codes", "heights", "ground", "objects")} | other
    return at(offset, **parts)


def extend(client: Client, seed: int, neighbours: list[pb.SceneNeighbour], **output: Any) -> pb.SceneTile:
    request = pb.ExtendSceneRequest(model=MODEL, seed=seed, neighbours=neighbours, conditions=CONDITIONS[seed])
    request.coordinate.x, request.coordinate.y = 1, 1
    request.output.CopyFrom(pb.SceneOutput(**output))
    return client.extend_scene(request).tile


@pytest.mark.parametrize("seed", CONDITIONS)
def test_what_a_world_gave_is_taken_as_float32_as_uint16_and_beside_the_world(terrain: Client, seed: int) -> None:
    (own,) = terrain.generate_scene("terrain", [seed], [(1, 1)], conditions=CONDITIONS[seed]).tiles
    tiles = around(terrain, seed)
    assert extend(terrain, seed, [neighbour(*one) for one in tiles.items()]) == own
    coarse = around(terrain, seed, height_format=pb.HEIGHT_FORMAT_UINT16)
    extended = extend(terrain, seed, [neighbour(*one) for one in coarse.items()])
    mixed = extend(terrain, seed, [neighbour(*one) if sum(one[0]) else at(one[0]) for one in coarse.items()])
    step = coarse[1, 0].heights.scale_metres
    for tile in (extended, mixed):
        np.testing.assert_array_equal(tensors.to_array(tile.codes, ""), tensors.to_array(own.codes, ""))
        np.testing.assert_allclose(heights(tile.heights), heights(own.heights), rtol=0, atol=10 * step)
    np.testing.assert_array_equal(heights(mixed.heights)[-1, 0], heights(tiles[-1, 1].heights)[0, -1])


def test_what_an_edit_gave_is_taken(terrain: Client) -> None:
    tile = around(terrain, 4)[-1, 0]
    rows, columns = np.mgrid[:64, :64]
    for mask in (columns < 40, abs(rows - columns) < 5, np.hypot(rows - 32, columns - 32) < 20):
        edited = terrain.edit_scene("terrain", tile, mask, seed=1).tile
        extend(terrain, 4, [neighbour((-1, 0), edited)])


def test_encoded_heights_of_ones_own_are_taken(terrain: Client) -> None:
    rows, columns = np.mgrid[:65, :65] / 64
    for rise in (2.0, 15.0, 40.0):
        own = (rise * np.sin(5 * rows) * np.cos(4 * columns)).astype(np.float32)
        encoded = terrain.encode_scene("terrain", own[None])
        codes = tensors.from_array(tensors.to_array(encoded.codes, "")[0])
        values = pb.Heightmap(values=tensors.from_array(own))
        extended = extend(terrain, 3, [at((1, 0), codes=codes, heights=values)])
        np.testing.assert_array_equal(heights(extended.heights)[:, -1], own[:, 0])


def changed(tile: pb.SceneTile, other: pb.SceneTile, what: str) -> dict[str, Any]:
    """Return what a neighbour says in place of what its codes tell."""
    if what in ("ground", "objects"):
        classes = tensors.to_array(getattr(tile, what), what)
        return {what: tensors.from_array((classes == 0).astype(np.uint8))}
    own = heights(tile.heights)
    column = own.copy()
    column[:, -1] = 68.0
    wrong = {"flat": np.full_like(own, 60.0), "a column": column, "raised": own + 40.0, "another tile": heights(other.heights)}
    return {"heights": pb.Heightmap(values=tensors.from_array(np.clip(wrong[what], -49.0, 69.0)))}


@pytest.mark.parametrize("what", ["flat", "a column", "raised", "another tile", "ground", "objects"])
def test_what_the_codes_do_not_tell_is_refused(terrain: Client, what: str) -> None:
    """Of the two liveliest tiles around, which get the widest limits; nearly all of world 5 is seabed, alike in every tile."""
    for seed in CONDITIONS.keys() - ({5} if what == "another tile" else set()):
        tiles = around(terrain, seed)
        other, offset = sorted(tiles, key=lambda one: float(np.ptp(heights(tiles[one].heights))))[-2:]
        wrong = neighbour(offset, tiles[offset], **changed(tiles[offset], tiles[other], what))
        with pytest.raises(ClientError, match=r"codes'? .*expected at most .*; encode") as caught:
            extend(terrain, seed, [wrong])
        assert caught.value.field == f"neighbours[0].{what if what in ('ground', 'objects') else 'heights'}"
