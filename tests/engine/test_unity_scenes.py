"""Scenes in C#: the client's answers are Python's, and the builder's meshes in a real Unity player are the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dotnet_program
import numpy as np
import player
import pytest
import tiny_picture
import tiny_scene
from avatar_calls import SECONDS, Ran
from sidecar_process import SidecarProcess, sidecar

from bridge import tensors
from bridge.client import Client, heights
from bridge.v1 import asset_pb2
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

UNITY = asset_pb2.COORDINATE_SPACE_UNITY
OUTPUT = pb.SceneOutput(space=UNITY, return_instances=True)
CONDITIONS = pb.SceneConditions(biome="mountains", ruggedness=pb.Amount(value=0.5), water_share=pb.Amount(value=0.25))
PLACES = [(0, 0), (1, 1), (-2, 3)]
AROUND = [(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]
SEED, SIDE = 2**64 - 1, 32.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    models = tmp_path_factory.mktemp("islands")
    tiny_scene.write_scene(models)
    tiny_scene.write_scene(models, "coast", climate=[[0, 0.125, 0.5], [0, 0.25, 0.0], [1, 0.5, 0.25], [1, 0.75, 0.0]])
    tiny_picture.write_picture(models)
    with sidecar(models) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: SidecarProcess):
    with Client(served.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def in_unity(served: SidecarProcess, unity_player: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run of all calls and of the builder in the player, over gRPC-Web."""
    folder = tmp_path_factory.mktemp("scenes")
    settings: dict[str, Any] = {"web": served.web, "seeds": [], "frame_rate": 60, "timeout_seconds": SECONDS, "scenes": True}
    with player.playing(settings, folder) as running:
        result = running.result(SECONDS + 30)
    assert result["ok"], result["error"]
    return Ran(dict(line.split("\t", 1) for line in (folder / "reported.tsv").read_text().splitlines()), folder)


@pytest.fixture(scope="module")
def on_dotnet(served: SidecarProcess, dotnet_client: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run of all calls on .NET 8, over HTTP/2."""
    folder = tmp_path_factory.mktemp("scenes")
    said = dotnet_program.run("scenes", folder, served.address)
    assert "error" not in said, said["error"]
    return Ran(said, folder)


@pytest.fixture(params=["dotnet", "unity"])
def ran(request: pytest.FixtureRequest) -> Ran:
    return request.getfixturevalue({"dotnet": "on_dotnet", "unity": "in_unity"}[request.param])


def numbers(tile: Any) -> np.ndarray:
    """Return what the C# writes of a tile."""
    grids = [tensors.to_array(one, "").ravel() for one in (tile.ground, tile.objects, tile.codes)]
    parts = tile.instances
    things = [tensors.to_array(one, "") for one in (parts.classes, parts.positions, parts.yaws, parts.scales)]
    rows = np.column_stack([things[0], things[1], things[2], things[3]])
    return np.concatenate([heights(tile.heights).ravel(), *grids, rows.ravel()]).astype(np.float32)


def same(ran: Ran, name: str, tiles: Any, model: str = "island") -> None:
    for number, tile in enumerate(tiles):
        written = np.fromfile(ran.folder / f"{name}-{number}.f32", np.float32)
        np.testing.assert_array_equal(written, numbers(tile))
        place = f"({tile.coordinate.x}, {tile.coordinate.y})"
        count = len(tensors.to_array(tile.instances.classes, ""))
        assert ran.said[f"{name}-{number}"] == f"{place} 17 16 32 {count} {model}"


def beside(tile: Any, x: int, y: int) -> pb.SceneNeighbour:
    """Return a tile as a neighbour at an offset."""
    whole = {name: getattr(tile, name) for name in ("codes", "heights", "ground", "objects")}
    return pb.SceneNeighbour(x_offset=x, y_offset=y, **whole)


@pytest.mark.parametrize("call", ["generated", "streamed"])
def test_its_tiles_are_pythons(client: Client, ran: Ran, call: str) -> None:
    same(ran, call, client.generate_scene("island", [SEED], PLACES, conditions=CONDITIONS, output=OUTPUT).tiles)


@pytest.mark.parametrize("name", ["climate", "without-climate"])
def test_a_climate_is_followed_or_ignored_as_in_python(client: Client, ran: Ran, name: str) -> None:
    followed, ignored = (
        client.generate_scene("coast", [SEED], PLACES, conditions=pb.SceneConditions(ignore_climate=off), output=OUTPUT).tiles
        for off in (False, True)
    )
    assert [tile.codes for tile in followed] != [tile.codes for tile in ignored]
    same(ran, name, followed if name == "climate" else ignored, "coast")


def test_tiles_along_a_path_are_pythons(client: Client, ran: Ran) -> None:
    points = [pb.MapPoint(x=5, y=5), pb.MapPoint(x=75, y=-5)]
    call = {"path": pb.CameraPath(points=points, view_distance=20), "conditions": CONDITIONS, "output": OUTPUT}
    tiles = [answer.tile for answer in client.stream_scenes("island", SEED, **call)]
    assert int(ran.said["along"]) == len(tiles) > 4
    for tile in tiles:
        name = f"along-({tile.coordinate.x}, {tile.coordinate.y})"
        np.testing.assert_array_equal(np.fromfile(ran.folder / f"{name}.f32", np.float32), numbers(tile))


def test_what_it_extends_edits_and_decodes_is_pythons(client: Client, ran: Ran) -> None:
    tiles = client.generate_scene("island", [SEED], PLACES, conditions=CONDITIONS, output=OUTPUT).tiles
    request = pb.ExtendSceneRequest(
        model=ModelSelector(name="island"),
        seed=7,
        coordinate=pb.TileCoordinate(x=4, y=2),
        neighbours=[
            beside(tiles[1], -1, 0),
            pb.SceneNeighbour(x_offset=1),
        ],
        conditions=CONDITIONS,
        output=OUTPUT,
    )
    same(ran, "extended", [client.extend_scene(request).tile])
    mask = np.repeat([True, False], 8)[:, None].repeat(16, axis=1)
    corner = beside(tiles[1], 1, 1)
    edits = [
        client.edit_scene("island", tiles[0], mask, seed=5, neighbours=known, conditions=CONDITIONS, output=OUTPUT).tile
        for known in ([], [corner])
    ]
    same(ran, "edited", edits)
    encoded = client.encode_scene("island", heights(tiles[0].heights)[None], space=UNITY)
    codes = np.concatenate([tensors.to_array(encoded.codes, ""), tensors.to_array(tiles[1].codes, "")[None]])
    call = {"coordinates": [(0, 0), (1, 0)], "codes": codes, "output": OUTPUT}
    decoded, unseeded = (client.generate_scene("island", [seed], **call).tiles for seed in (SEED, 0))
    same(ran, "decoded", decoded)
    assert decoded[0].instances != unseeded[0].instances, "the seed of these tiles places nothing"


@pytest.mark.parametrize("call", ["fitted", "decoded-stream"])
def test_a_part_of_a_saved_world_comes_back_bit_for_bit(client: Client, ran: Ran, call: str) -> None:
    tiles = client.generate_scene("island", [SEED], PLACES, conditions=CONDITIONS, output=OUTPUT).tiles
    same(ran, call, tiles[1:])
    codes = np.stack([tensors.to_array(tile.codes, "") for tile in tiles[1:]])
    alone = client.generate_scene("island", [SEED], PLACES[1:], codes=codes, conditions=CONDITIONS, output=OUTPUT).tiles
    assert [one.heights for one in alone] != [one.heights for one in tiles[1:]], "these tiles depend on no others"


def test_what_it_paints_is_pythons(client: Client, ran: Ran) -> None:
    tiles = client.generate_scene("island", [SEED], PLACES, conditions=CONDITIONS, output=OUTPUT).tiles
    paint = np.full((16, 16), -1, np.int8)
    paint[:, :4], paint[:8] = 1, 3
    call = {"conditions": CONDITIONS, "output": OUTPUT}
    both = np.stack([paint, np.zeros_like(paint)])
    painted = client.generate_scene("island", [SEED], PLACES[:2], painted_ground=both, **call).tiles
    same(ran, "painted", painted)
    assert [one.codes for one in painted] != [one.codes for one in tiles[:2]], "the paint changes nothing"
    request = pb.ExtendSceneRequest(
        model=ModelSelector(name="island"),
        seed=7,
        coordinate=pb.TileCoordinate(x=4, y=2),
        neighbours=[beside(tiles[1], -1, 0)],
        painted_ground=tensors.from_array(paint),
        **call,
    )
    same(ran, "extended-painted", [client.extend_scene(request).tile])
    everywhere = np.ones((16, 16), bool)
    edited = client.edit_scene("island", tiles[0], everywhere, seed=5, painted_ground=paint, **call).tile
    same(ran, "edited-painted", [edited])
    free = client.edit_scene("island", tiles[0], everywhere, seed=5, **call).tile
    assert edited.codes != free.codes, "the paint changes nothing"


def test_what_it_encodes_with_classes_is_pythons(client: Client, ran: Ran) -> None:
    tiles = client.generate_scene("island", [SEED], PLACES, conditions=CONDITIONS, output=OUTPUT).tiles
    ground, objects = (tensors.to_array(one, "")[None] for one in (tiles[1].ground, tiles[1].objects))
    given = heights(tiles[0].heights)[None]
    known = client.encode_scene("island", given, ground=ground, objects=objects, space=UNITY, metres_per_cell=2.0)
    codes = tensors.to_array(known.codes, "")
    assert ran.said["encoded with classes"] == " ".join(str(code) for code in codes.ravel())
    assert not np.array_equal(codes, tensors.to_array(client.encode_scene("island", given, space=UNITY).codes, ""))


def test_its_pictures_and_their_codes_are_pythons(client: Client, ran: Ran) -> None:
    codes = (np.arange(32) * 5 % 8).astype(np.uint16).reshape(2, 4, 4)
    spec = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, row_origin=asset_pb2.ROW_ORIGIN_BOTTOM_LEFT)
    shown = client.decode_pictures("mosaic", codes, image=spec)
    for number, image in enumerate(shown.images):
        assert (ran.folder / f"picture-{number}.rgba").read_bytes() == image.data
        assert ran.said[f"picture-{number}"] == "16 16 Rgba8 mosaic"
    distances = client.encode_pictures("mosaic", [image.data for image in client.decode_pictures("mosaic", codes).images])
    assert ran.said["encoded"] == " ".join(str(code) for code in codes.ravel())
    said = [float(one) for one in ran.said["distances"].split()]
    np.testing.assert_allclose(said, distances.pixel_distances, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("no picture", "InvalidArgument|files[0]"),
        ("unknown code", "InvalidArgument|codes"),
        ("unknown biome", "InvalidArgument|conditions.biome"),
        ("far away", "InvalidArgument|coordinates[0].x"),
        ("empty mask", "InvalidArgument|mask"),
        ("a bare neighbour", "InvalidArgument|neighbours[0].codes"),
        ("no neighbours", "InvalidArgument|neighbours"),
        ("no square", "ArgumentException|290 values for shape [1, 17, 17]"),
        ("codes of two sizes", "ArgumentException|codes[0] has 12 values, expected 3 x 3: squares of one size"),
        ("paint of two sizes", "ArgumentException|paintedGround[1] has 9 values, expected 16 x 16: squares of one size"),
        ("unknown paint", "InvalidArgument|painted_ground"),
        ("ground of another size", "ArgumentException|289 values for shape [1, 16, 16]"),
        ("cells of another size", "InvalidArgument|metres_per_cell"),
        ("callback throws", "FormatException|mine"),
    ],
)
def test_a_call_that_fails_says_how_and_where(ran: Ran, call: str, expected: str) -> None:
    assert ran.said[call].startswith(expected)


def test_its_splat_weights_are_those_that_the_sidecar_gives(client: Client, ran: Ran) -> None:
    output = pb.SceneOutput(space=UNITY, ground_format=pb.GROUND_FORMAT_SPLAT_WEIGHTS)
    tiles = client.generate_scene("island", [SEED], [(1, 0), (0, 1)], conditions=CONDITIONS, output=output).tiles
    for name, tile in zip(("weights-first", "weights-last"), tiles, strict=True):
        weights = np.fromfile(ran.folder / f"{name}.f32", np.float32).reshape(16, 16, 4)
        np.testing.assert_array_equal(weights, tensors.to_array(tile.ground, "ground"))


def mesh(ran: Ran, name: str, place: tuple[int, int]) -> np.ndarray:
    return np.fromfile(ran.folder / f"{name}({place[0]}, {place[1]}).f32", np.float32).reshape(17, 17, 3)


def test_meshes_have_the_heights_of_the_answers_and_stand_in_their_places(client: Client, in_unity: Ran) -> None:
    tiles = client.generate_scene("island", [5], AROUND, output=OUTPUT).tiles
    for (x, y), tile in zip(AROUND, tiles, strict=True):
        points = mesh(in_unity, "mesh", (x, y))
        np.testing.assert_array_equal(points[..., 1], heights(tile.heights))
        np.testing.assert_allclose(points[0, :, 0], x * SIDE + np.arange(17) * 2.0)
        np.testing.assert_allclose(points[:, 0, 2], y * SIDE + np.arange(17) * 2.0)


def test_neighbours_share_the_vertices_of_their_edges(in_unity: Ran) -> None:
    meshes = {place: mesh(in_unity, "mesh", place) for place in AROUND}
    for (x, y), points in meshes.items():
        if (x + 1, y) in meshes:
            np.testing.assert_array_equal(points[:, -1], meshes[x + 1, y][:, 0])
        if (x, y + 1) in meshes:
            np.testing.assert_array_equal(points[-1], meshes[x, y + 1][0])


def test_neighbours_have_the_same_normals_on_their_edges_and_their_own_inside(in_unity: Ran) -> None:
    normals = {place: mesh(in_unity, "normals", place) for place in AROUND}
    for (x, y), vectors in normals.items():
        if (x + 1, y) in normals:
            np.testing.assert_array_equal(vectors[:, -1], normals[x + 1, y][:, 0])
        if (x, y + 1) in normals:
            np.testing.assert_array_equal(vectors[-1], normals[x, y + 1][0])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)
        heights_of = mesh(in_unity, "mesh", (x, y))[..., 1].astype(np.float64)
        south, east = np.gradient(heights_of, 2.0)
        slope = np.stack([-east, np.ones_like(east), -south], axis=2)
        slope /= np.linalg.norm(slope, axis=2, keepdims=True)
        along = (vectors * slope).sum(axis=2)[1:-1, 1:-1]
        assert along.min() > 0.5
        assert along.mean() > 0.97


def test_every_triangle_is_wound_clockwise_from_above_and_faces_up(in_unity: Ran) -> None:
    for place in AROUND:
        points = mesh(in_unity, "mesh", place).reshape(-1, 3).astype(np.float64)
        triangles = np.fromfile(in_unity.folder / f"triangles({place[0]}, {place[1]}).i32", np.int32).reshape(-1, 3)
        assert len(triangles) == 2 * 16 * 16
        one, two, three = (points[triangles[:, corner]] for corner in range(3))
        assert (np.cross(two - one, three - one)[:, 1] > 0).all()  # left-handed: clockwise as seen from the normal's tip
        assert (mesh(in_unity, "normals", place)[..., 1] > 0).all()


def test_a_ray_from_above_hits_the_ground_where_the_mesh_has_it(in_unity: Ran) -> None:
    for place in AROUND:
        points = mesh(in_unity, "mesh", place)[..., 1]
        expected = (points[1, 1] + points[1, 2] + points[2, 1] + points[2, 2]) / 4
        low, high = points[1:3, 1:3].min(), points[1:3, 1:3].max()
        hit = float(in_unity.said[f"hit({place[0]}, {place[1]})"])
        assert low - 1e-3 <= hit <= high + 1e-3, (hit, expected)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("first", "9 tiles of 32 m Connected"),
        ("objects", "all stand"),
        ("object error", "none"),
        ("terrain edges", "equal"),
        ("terrain hit", "on the ground"),
        ("terrain ground", "3 layers, blended across borders, own texture, RGBA(222, 205, 150, 255)"),
        ("unknown model", 'Failed 0 NotFound: model.name: there is no model "nobody"'),
    ],
)
def test_the_builder_does_what_it_says(in_unity: Ran, what: str, expected: str) -> None:
    assert in_unity.said[what].startswith(expected)


def test_the_world_follows_its_viewer(in_unity: Ran) -> None:
    assert in_unity.said["moved"].endswith("tiles, the first one is gone")


def test_tiles_ahead_of_a_viewer_that_moves_stand_before_it_sees_them(in_unity: Ran) -> None:
    assert in_unity.said["ahead"] == "stands"


def test_terrain_data_takes_a_tile_or_says_which_size_it_takes(in_unity: Ran) -> None:
    assert in_unity.said["terrain data"] == "33 (32.0, 50.0, 32.0) fits"
    expected = "terrain data takes 33 heights a side, the tile has 17; set SceneSettings.Vertices"
    assert in_unity.said["terrain data of another size"].startswith(expected)
