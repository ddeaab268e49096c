"""Answers: every space holds the same ground, weights sum to one, objects stand dry and apart, meshes are valid glTF."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_scene import SCENE_SPEC

from bridge import spaces, tensors
from bridge.client import heights
from bridge.scene_output import splat_weights
from bridge.scene_tile import AROUND, shared
from bridge.spaces import GLTF, UNITS, UNITY, UNREAL
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

SIDE, CELL = 32.0, 2.0
SEEDS = st.integers(0, 2**64 - 1)
SPACES = st.sampled_from([GLTF, UNITY, UNREAL])
WATER, SPLAT = 0, pb.GROUND_FORMAT_SPLAT_WEIGHTS
BUSY = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def generate(client, seed, place=(1, 1), **output):
    (tile,) = client.generate_scene("island", [seed], [place], output=pb.SceneOutput(**output)).tiles
    return tile


def array(tensor):
    return tensors.to_array(tensor, "tensor")


@BUSY
@given(SEEDS, SPACES, st.sampled_from([(0, 0), (3, 2), (-1, -4)]))
def test_every_space_holds_the_same_ground(island, seed, space, place):
    one = generate(island, seed, place)
    other = generate(island, seed, spaces.tile_from_gltf(space, *place), space=space)
    assert one.codes == other.codes
    for name in ("ground", "objects"):
        np.testing.assert_array_equal(spaces.grid_to_gltf(space, array(getattr(other, name))), array(getattr(one, name)))
    np.testing.assert_array_equal(spaces.grid_to_gltf(space, heights(other.heights)), heights(one.heights))


@BUSY
@given(SEEDS, SPACES)
def test_splat_weights_sum_to_one_and_follow_the_classes(island, seed, space):
    classes = array(generate(island, seed, space=space).ground)
    weights = array(generate(island, seed, space=space, ground_format=SPLAT).ground)
    assert weights.shape == (16, 16, 4)
    assert (weights.sum(axis=2) == 1.0).all()
    assert weights.min() >= 0.0
    assert (np.take_along_axis(weights, classes[..., None].astype(int), axis=2) >= 0.25).all()
    same = np.all([classes[y : y + 14, x : x + 14] == classes[1:-1, 1:-1] for y in range(3) for x in range(3)], axis=0)
    assert (weights.max(axis=2)[1:-1, 1:-1][same] == 1.0).all()


def blended(ground):
    """Return the weights [R - 2, C - 2, 4] of classes [R, C] that each cell's eight neighbours are known of."""
    one_hot = np.eye(4, dtype=np.float32)[ground]
    rows, columns = (size - 2 for size in ground.shape)
    near = [(y, x, (2 - abs(y - 1)) * (2 - abs(x - 1)) / 16) for y in range(3) for x in range(3)]
    return sum(share * one_hot[y : y + rows, x : x + columns] for y, x, share in near)


@BUSY
@given(SEEDS, SPACES)
def test_splat_weights_go_on_with_the_tiles_that_come_before(island, seed, space):
    """In glTF (1, 1) comes after all around it, (1, 0) and (0, 1) after (0, 0), which goes on with nobody."""
    area = [(x, y) for y in range(3) for x in range(3)]
    asked = [spaces.tile_from_gltf(space, *place) for place in area]
    grounds, weights = (
        {
            place: spaces.grid_to_gltf(space, array(tile.ground).transpose(2, 0, 1) if splat else array(tile.ground))
            for place, tile in zip(area, island.generate_scene("island", [seed], asked, output=output).tiles, strict=True)
        }
        for splat, output in enumerate((pb.SceneOutput(space=space), pb.SceneOutput(space=space, ground_format=SPLAT)))
    )
    weights = {place: one.transpose(1, 2, 0) for place, one in weights.items()}
    whole = np.block([[grounds[x, y] for x in range(3)] for y in range(3)])
    np.testing.assert_array_equal(weights[1, 1], blended(whole[15:33, 15:33]))
    alone = np.pad(grounds[0, 0], 1, mode="edge")
    np.testing.assert_array_equal(weights[0, 0], blended(alone))
    np.testing.assert_array_equal(weights[1, 0][1:-1], blended(whole[0:16, 15:33]))
    np.testing.assert_array_equal(weights[0, 1][:, 1:-1], blended(whole[15:33, 0:16]))


def test_splat_weights_are_the_same_alone_and_decoded_from_saved_codes(island):
    area = [(x, y) for y in range(3) for x in range(3)]
    output = pb.SceneOutput(ground_format=SPLAT)
    made = island.generate_scene("island", [3], area, output=output).tiles
    for place in ((1, 1), (0, 1)):
        assert list(island.generate_scene("island", [3], [place], output=output).tiles) == [made[area.index(place)]]
    codes = np.stack([array(tile.codes) for tile in made])
    assert island.generate_scene("island", [3], area, codes=codes, output=output).tiles == made


def test_splat_weights_of_extended_and_edited_tiles_go_on_with_their_neighbours(island):
    (west,) = island.generate_scene("island", [7], [(0, 0)]).tiles
    sand = tensors.from_array(np.full((16, 16), 1, np.uint8))
    neighbour = pb.SceneNeighbour(x_offset=-1, codes=west.codes, heights=west.heights, ground=sand)
    request = pb.ExtendSceneRequest(
        model=ModelSelector(name="island"), coordinate=pb.TileCoordinate(x=1), neighbours=[neighbour]
    )
    extended = island.extend_scene(request).tile
    request.output.ground_format = SPLAT
    np.testing.assert_array_equal(array(island.extend_scene(request).tile.ground), blended(beside_sand(array(extended.ground))))
    mask = np.zeros((16, 16), bool)
    mask[9:12, 9:12] = True
    edited, weights = (
        array(island.edit_scene("island", extended, mask, seed=3, neighbours=[neighbour], output=output).tile.ground)
        for output in (pb.SceneOutput(), pb.SceneOutput(ground_format=SPLAT))
    )
    np.testing.assert_array_equal(weights, blended(beside_sand(edited)))


def beside_sand(ground):
    """Return classes with a ring of one cell: sand in the west, else the nearest cell again."""
    padded = np.pad(ground, 1, mode="edge")
    padded[1:-1, 0] = 1
    return padded


@given(st.lists(st.integers(0, 3), min_size=16, max_size=16))
def test_weights_change_less_across_a_border_that_the_later_tile_knows(columns):
    """The classes stand in stripes along the border; where they differ, the change across it is a quarter less than without."""
    ground = np.tile(np.array(columns, np.uint8), (3, 1))
    west, east = ground[:, :8], ground[:, 8:]

    def change(around_west, around_east):
        left, right = (splat_weights(one, 4, near)[:, 1] for one, near in ((west, around_west), (east, around_east)))
        return np.abs(right[:, 0] - left[:, -1]).sum() / 2

    assert change({}, {}) - change({}, {(-1, 0): west}) == 0.25 * (columns[7] != columns[8])
    whole = splat_weights(ground, 4)[:, 1]
    assert change({(1, 0): east}, {(-1, 0): west}) == np.abs(whole[:, 8] - whole[:, 7]).sum() / 2


def test_a_class_fades_across_a_border_within_the_later_tile():
    sea, shore = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    assert splat_weights(sea, 2)[0, 2].tolist() == [1.0] * 4
    assert splat_weights(shore, 2, {(-1, 0): sea})[0, 2].tolist() == [0.25, 0.0, 0.0, 0.0]
    assert splat_weights(shore, 2, {(0, 1): sea})[0, :, 2].tolist() == [0.0, 0.0, 0.0, 0.25]
    assert splat_weights(shore, 2, {(1, -1): sea})[0, 0].tolist() == [0.0, 0.0, 0.0, 0.0625]


@BUSY
@given(SEEDS, st.sampled_from([(0.0, 0.0), (-10.0, 40.0), (-256.0, 255.0)]))
def test_uint16_heights_are_the_nearest_steps(island, seed, bounds):
    exact = heights(generate(island, seed).heights)
    output = {"height_format": pb.HEIGHT_FORMAT_UINT16}
    if bounds[1]:
        output["height_range"] = pb.HeightRange(low_metres=bounds[0], high_metres=bounds[1])
    scaled = generate(island, seed, **output).heights
    assert array(scaled.values).dtype == np.uint16
    assert np.abs(heights(scaled) - exact).max() <= scaled.scale_metres / 2 + 1e-5


def test_heights_outside_the_range_that_is_asked_for_are_clipped(island):
    bounds = pb.HeightRange(low_metres=0.0, high_metres=1.0)
    scaled = generate(island, 5, height_format=pb.HEIGHT_FORMAT_UINT16, height_range=bounds).heights
    np.testing.assert_allclose(heights(scaled), np.clip(heights(generate(island, 5).heights), 0, 1), atol=1e-5)


@pytest.mark.parametrize("vertices", [2, 16, 33, 64, 513])
def test_resampled_heights_lie_on_straight_lines(island, vertices):
    exact, finer = heights(generate(island, 5).heights), heights(generate(island, 5, height_vertices=vertices).heights)
    assert finer.shape == (vertices, vertices)
    at = np.linspace(0, 16, vertices)
    np.testing.assert_allclose(finer[0], np.interp(at, np.arange(17), exact[0]), atol=1e-5)
    np.testing.assert_allclose(finer[:, -1], np.interp(at, np.arange(17), exact[:, -1]), atol=1e-5)
    if vertices == 33:
        np.testing.assert_array_equal(finer[::2, ::2], exact)


def objects(tile):
    """Return classes and positions, yaws and scales of a tile's instances."""
    parts = tile.instances
    return [array(one) for one in (parts.classes, parts.positions, parts.yaws, parts.scales)]


def bilinear(grid, x, y):
    """Return the height at map places in cells."""
    column, row = np.minimum(np.floor([x, y]).astype(int), len(grid) - 2)
    u, v = x - column, y - row
    top = grid[row, column] * (1 - u) + grid[row, column + 1] * u
    return top * (1 - v) + (grid[row + 1, column] * (1 - u) + grid[row + 1, column + 1] * u) * v


@BUSY
@given(SEEDS, SPACES)
def test_objects_stand_on_dry_ground_where_their_class_is(island, seed, space):
    tile = generate(island, seed, (3, 3), space=space, return_instances=True)
    classes, positions, yaws, scales = objects(tile)
    assert positions.dtype == yaws.dtype == scales.dtype == np.float32
    points = positions.astype(np.float64) / UNITS[space]
    x, y, up = points.T[[0, 1, 2] if space == UNREAL else [0, 2, 1]]
    cell = np.clip((np.stack([y, x]) / CELL).astype(int), 0, 15)
    edge = np.abs(np.stack([x, y]) / CELL - np.round(np.stack([x, y]) / CELL)).min(axis=0) < 1e-4  # may round to either cell
    assert (classes > 0).all()
    assert (array(tile.objects)[tuple(cell)] == classes)[~edge].all()
    assert (array(tile.ground)[tuple(cell)] != WATER)[~edge].all()
    np.testing.assert_allclose(up, bilinear(heights(tile.heights), x / CELL, y / CELL), atol=1e-3)
    assert (up >= -1e-6).all()
    assert ((yaws >= 0) & (yaws < 6.2832)).all()
    trees, houses = classes == 1, classes == 2
    assert ((scales[trees] >= 0.5) & (scales[trees] <= 1.5)).all()
    assert (scales[houses] == 1.0).all()
    np.testing.assert_allclose(yaws[houses] / (np.pi / 2), np.round(yaws[houses] / (np.pi / 2)), atol=1e-6)


@BUSY
@given(SEEDS)
def test_objects_are_apart_across_tiles_too(island, seed):
    area = [(x, y) for y in range(2) for x in range(2)]
    answer = island.generate_scene("island", [seed], area, output=pb.SceneOutput(return_instances=True))
    classes = np.concatenate([objects(tile)[0] for tile in answer.tiles])
    places = np.concatenate([objects(t)[1][:, ::2] + (t.coordinate.x * SIDE, t.coordinate.y * SIDE) for t in answer.tiles])
    spacing = np.array([thing["spacing_metres"] for thing in SCENE_SPEC["object_classes"]])[classes]
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (distance >= (spacing[:, None] + spacing[None]) / 2 - 1e-4).all()


def test_as_many_objects_stand_as_there_is_room_for(island):
    tile = generate(island, 6, (3, 3), return_instances=True)
    classes, positions, _, _ = objects(tile)
    spacing = np.array([thing["spacing_metres"] for thing in SCENE_SPEC["object_classes"]])
    rows, columns = np.nonzero((array(tile.objects) > 0) & (array(tile.ground) != WATER))
    own = spacing[array(tile.objects)[rows, columns]]
    middles = np.stack([columns, rows], axis=1) * CELL + CELL / 2
    apart = np.linalg.norm(middles[:, None] - positions[None, :, ::2], axis=2)
    far = (apart > (own[:, None] + spacing[classes][None]) / 2 + CELL).all(axis=1)
    inside = np.minimum(middles, SIDE - middles).min(axis=1) > own / 2 + CELL
    heights_of = bilinear(heights(tile.heights), middles[:, 0] / CELL, middles[:, 1] / CELL)
    assert not (far & inside & (heights_of > 1.0)).any(), "a cell with room around it has nothing on it"
    assert len(classes) > 3


def read_glb(data):
    """Return a GLB's JSON and the arrays of its accessors; asserts the container's structure."""
    magic, version, length, text_length, text_kind = struct.unpack_from("<IIIII", data)
    assert (magic, version, length, text_kind) == (0x46546C67, 2, len(data), 0x4E4F534A)
    document = json.loads(data[20 : 20 + text_length])
    size, kind = struct.unpack_from("<II", data, 20 + text_length)
    assert kind == 0x004E4942
    binary = data[28 + text_length :]
    assert len(binary) == size
    assert text_length % 4 == size % 4 == 0
    arrays = []
    for accessor in document["accessors"]:
        view = document["bufferViews"][accessor["bufferView"]]
        dtype = {5126: np.float32, 5123: np.uint16}[accessor["componentType"]]
        parts = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert view["byteLength"] == accessor["count"] * parts * np.dtype(dtype).itemsize
        assert view["byteOffset"] % 4 == 0
        values = np.frombuffer(binary, dtype, accessor["count"] * parts, view["byteOffset"])
        arrays.append(values.reshape(-1, parts))
    return document, arrays


@BUSY
@given(SEEDS, SPACES)
def test_a_mesh_is_the_ground_with_its_top_up(island, seed, space):
    tile = generate(island, seed, space=space, return_mesh=True)
    document, (positions, normals, colours, indices) = read_glb(tile.mesh)
    start = 0.0 if space == GLTF else -SIDE
    assert document["accessors"][0]["min"] == positions.min(axis=0).tolist()
    assert document["accessors"][0]["max"] == positions.max(axis=0).tolist()
    expected = spaces.grid_to_gltf(space, heights(tile.heights))
    np.testing.assert_array_equal(positions[:, 1].reshape(17, 17), expected)
    np.testing.assert_allclose(positions[:, 0].reshape(17, 17)[5], start + np.arange(17) * CELL)
    np.testing.assert_allclose(positions[:, 2].reshape(17, 17)[:, 5], np.arange(17) * CELL)
    corners = positions[indices.reshape(-1, 3)].astype(np.float64)
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (facing[:, 1] > 0).all(), "a triangle faces down"
    assert facing[:, 1].sum() / 2 == pytest.approx(SIDE * SIDE)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert (normals[:, 1] > 0).all()
    assert (colours[:, 3] == 65_535).all()


def test_a_mesh_has_the_colours_of_its_ground(island):
    for seed in range(40):
        tile = generate(island, seed, return_mesh=True)
        ground = array(tile.ground)
        _, (_, _, colours, _) = read_glb(tile.mesh)
        corners = [ground[:-1, :-1], ground[:-1, 1:], ground[1:, :-1], ground[1:, 1:]]
        for number, thing in enumerate(SCENE_SPEC["ground_classes"]):
            within = np.all([corner == number for corner in corners], axis=0)
            srgb = np.array(thing["colour"]) / 255
            expected = ((srgb + 0.055) / 1.055) ** 2.4 * 65_535
            found = colours.reshape(17, 17, 4)[1:-1, 1:-1, :3][within]
            np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1)


PARTS = ("normals", "colours")


def edges(tiles):
    """Return the normals and colours of the meshes of tiles by place, each [17, 17, parts]."""
    found = {}
    for tile in tiles:
        _, (_, normals, colours, _) = read_glb(tile.mesh)
        grids = normals.reshape(17, 17, 3), colours.reshape(17, 17, 4)
        found[tile.coordinate.x, tile.coordinate.y] = dict(zip(PARTS, grids, strict=True))
    return found


def agree(meshes):
    """Hold every two meshes that touch against each other; return how many vertices were compared."""
    compared = 0
    for (x, y), mesh in meshes.items():
        for dx, dy in AROUND:
            other = meshes.get((x + dx, y + dy))
            for part in PARTS if other else ():
                mine, theirs = mesh[part][shared((dx, dy))], other[part][shared((-dx, -dy))]
                np.testing.assert_array_equal(mine, theirs)
                compared += mine.shape[0] * mine.shape[1]
    return compared


def test_neighbours_have_the_same_normals_and_colours_on_shared_vertices(island):
    area = [(x, y) for y in range(-1, 3) for x in range(-1, 3)]
    output = pb.SceneOutput(return_mesh=True)
    made = island.generate_scene("island", [7], area, output=output).tiles
    assert agree(edges(made)) > 1000
    streamed = sorted(island.stream_scenes("island", 7, area, output=output), key=lambda one: one.index)
    assert [one.tile for one in streamed] == list(made)
    for place in ((1, 1), (0, 1), (-1, 2)):
        assert list(island.generate_scene("island", [7], [place], output=output).tiles) == [made[area.index(place)]]


def test_what_a_mesh_takes_over_is_its_edge_alone(island):
    tile = island.generate_scene("island", [7], [(1, 1)], output=pb.SceneOutput(return_mesh=True)).tiles[0]
    south, east = np.gradient(heights(tile.heights).astype(np.float64), CELL)
    slopes = np.stack([-east, np.ones_like(east), -south], axis=2)
    expected = slopes / np.linalg.norm(slopes, axis=2, keepdims=True)
    normals = edges([tile])[1, 1]["normals"]
    np.testing.assert_allclose(normals[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-6)
    assert not np.allclose(normals, expected, atol=1e-3), "the neighbours of this tile change nothing"


@BUSY
@given(st.sets(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=2), SEEDS)
def test_meshes_of_decoded_tiles_agree_whichever_there_are(island, area, seed):
    places = sorted(area)
    codes = np.random.default_rng(seed).integers(0, 16, (len(places), 4, 4)).astype(np.uint16)
    answer = island.generate_scene("island", [1], places, codes=codes, output=pb.SceneOutput(return_mesh=True))
    agree(edges(answer.tiles))


def test_an_extended_tile_has_the_edges_of_its_neighbours_meshes(island):
    output = pb.SceneOutput(return_mesh=True)
    (west,) = island.generate_scene("island", [7], [(0, 0)], output=output).tiles
    neighbour = pb.SceneNeighbour(x_offset=-1, codes=west.codes, heights=west.heights, ground=west.ground, objects=west.objects)
    request = pb.ExtendSceneRequest(
        model=ModelSelector(name="island"), coordinate=pb.TileCoordinate(x=1), neighbours=[neighbour], output=output
    )
    tile = island.extend_scene(request).tile
    assert agree(edges([west, tile])) == 4 * 17


def test_instances_and_meshes_come_only_when_they_are_asked_for(island):
    tile = generate(island, 1)
    assert not tile.HasField("instances")
    assert tile.mesh == b""
