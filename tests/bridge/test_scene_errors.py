"""Bad input: each wrong size, number, class, edge and place is an error of its own, with the path of its field."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from conftest import sidecar_in_thread
from scene_cases import hills

from bridge import tensors
from bridge.client import Client, ClientError, client_error
from bridge.config import Limits
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector
from bridge.v1.scene_service_pb2_grpc import SceneServiceStub

INVALID, EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
MODEL = ModelSelector(name="island")
NAN, FAR = float("nan"), 2**31 - 1
Place = pb.TileCoordinate


def tensor(array, dtype=None):
    return tensors.from_array(np.asarray(array, dtype))


def grid(value, dtype, side=16, rows=()):
    return tensor(np.full((*rows, side, side), value), dtype)


def flat(value=1.0, side=17, rows=()):
    return pb.Heightmap(values=grid(value, np.float32, side, rows))


def refused(client, request, field, text, code=INVALID):
    """Send a request to the call of its name; it must fail with the code, the field and the text."""
    stub = SceneServiceStub(client.channel)
    method = getattr(stub, type(request).__name__.removesuffix("Request"))
    request.model.CopyFrom(MODEL)
    streams = isinstance(request, pb.StreamScenesRequest)
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=30) if not streams else list(method(request, timeout=30))
    error = client_error(caught.value)
    assert (error.code, error.field) == (code, field), error
    assert text in error.message


GENERATE = {
    "no seeds": ({}, "seeds", "is empty, expected one seed a tile"),
    "seeds that do not fit": (
        {"seeds": [1, 2], "coordinates": [Place()] * 3},
        "seeds",
        "2 seeds for 3 coordinates, expected 1 or as many",
    ),
    "far east": ({"seeds": [1], "coordinates": [Place(x=FAR)]}, "coordinates[0].x", "is 2147483647, expected -2147483000 to"),
    "far south": ({"seeds": [1], "coordinates": [Place(), Place(y=-FAR - 1)]}, "coordinates[1].y", "is -2147483648, expected"),
    "unknown biome": ({"seeds": [1], "conditions": pb.SceneConditions(biome="moon")}, "conditions.biome", 'is "moon"'),
    "too rugged": (
        {"seeds": [1], "conditions": pb.SceneConditions(ruggedness=pb.Amount(value=1.5))},
        "conditions.ruggedness.value",
        "is 1.5, expected 0 to 1",
    ),
    "no number": (
        {"seeds": [1], "conditions": pb.SceneConditions(water_share=pb.Amount(value=NAN))},
        "conditions.water_share.value",
        "is nan, expected 0 to 0.5",
    ),
    "too many steps": ({"seeds": [1], "conditions": pb.SceneConditions(steps=65)}, "conditions.steps", "expected 1 to 64"),
    "unknown space": ({"seeds": [1], "output": pb.SceneOutput(space=9)}, "output.space", "is 9, expected one of"),
    "unknown height format": ({"seeds": [1], "output": pb.SceneOutput(height_format=9)}, "output.height_format", "is 9"),
    "unknown ground format": ({"seeds": [1], "output": pb.SceneOutput(ground_format=-1)}, "output.ground_format", "is -1"),
    "one vertex": ({"seeds": [1], "output": pb.SceneOutput(height_vertices=1)}, "output.height_vertices", "expected 2 to 513"),
    "many vertices": ({"seeds": [1], "output": pb.SceneOutput(height_vertices=514)}, "output.height_vertices", "is 514"),
    "range upside down": (
        {"seeds": [1], "output": pb.SceneOutput(height_range=pb.HeightRange(low_metres=5, high_metres=5))},
        "output.height_range",
        "is 5 to 5, expected a range",
    ),
    "range without numbers": (
        {"seeds": [1], "output": pb.SceneOutput(height_range=pb.HeightRange(low_metres=NAN, high_metres=5))},
        "output.height_range",
        "is nan to 5",
    ),
    "absurd range": (
        {"seeds": [1], "output": pb.SceneOutput(height_range=pb.HeightRange(high_metres=1e9))},
        "output.height_range",
        "expected a range in -20000 to 20000 m",
    ),
    "unknown paint": (
        {"seeds": [1], "painted_ground": grid(4, np.int8, rows=(1,))},
        "painted_ground",
        "holds class 4, the model's are 0 to 3",
    ),
    "paint below free": ({"seeds": [1], "painted_ground": grid(-2, np.int8, rows=(1,))}, "painted_ground", "-1 is free"),
    "paint of another size": (
        {"seeds": [1], "painted_ground": grid(0, np.int8, 64, (1,))},
        "painted_ground.shape",
        "shape is [1, 64, 64], expected [1, 16, 16]",
    ),
    "unknown code": ({"seeds": [1], "codes": grid(16, np.uint16, 4, (1,))}, "codes", "holds code 16, the model's are 0 to 15"),
    "codes of another grid": ({"seeds": [1], "codes": grid(1, np.uint16, 8, (1,))}, "codes.shape", "expected [1, 4, 4]"),
    "a world without codes": (
        {"seeds": [1], "fit_world": True},
        "fit_world",
        "is set without codes, expected those of the tiles",
    ),
    "a world under paint": (
        {"seeds": [1], "fit_world": True, "painted_ground": grid(0, np.int8, rows=(1,))},
        "fit_world",
        "is set without codes",
    ),
    "codes and paint": (
        {"seeds": [1], "codes": grid(1, np.uint16, 4, (1,)), "painted_ground": grid(0, np.int8, rows=(1,))},
        "painted_ground",
        "is given beside codes",
    ),
}


@pytest.mark.parametrize("name", GENERATE)
def test_what_cannot_be_generated_is_refused(island, name):
    fields, field, text = GENERATE[name]
    refused(island, pb.GenerateSceneRequest(**fields), field, text)


def neighbour(x=-1, y=0, **fields):
    return pb.SceneNeighbour(x_offset=x, y_offset=y, **fields)


def claimed(x=-1, y=0, height=1.0, code=3, **fields):
    return neighbour(x, y, codes=grid(code, np.uint16, 4), heights=flat(height), **fields)


def edge_at(metres):
    """Return heights of 1 m with an east edge at others."""
    level = np.ones((17, 17), np.float32)
    level[:, -1] = metres
    return pb.Heightmap(values=tensor(level))


EXTEND = {
    "itself": ([neighbour(0, 0)], "neighbours[0].x_offset", "(0, 0) is no place beside a tile"),
    "not beside": ([neighbour(2, 0)], "neighbours[0].x_offset", "(2, 0) is no place beside a tile"),
    "twice": ([neighbour(), neighbour()], "neighbours[1].x_offset", "(-1, 0) is where neighbours[0] lies"),
    "heights alone": ([neighbour(heights=flat())], "neighbours[0].codes", "are missing beside heights"),
    "ground alone": ([neighbour(ground=grid(1, np.uint8))], "neighbours[0].codes", "are missing beside ground"),
    "unknown ground": ([claimed(ground=grid(4, np.uint8))], "neighbours[0].ground", "holds class 4, the model's are 0 to 3"),
    "unknown objects": ([claimed(objects=grid(9, np.uint8))], "neighbours[0].objects", "holds class 9, the model's are 0 to 2"),
    "heights of another size": (
        [neighbour(codes=grid(3, np.uint16, 4), heights=flat(side=65))],
        "neighbours[0].heights.values.shape",
        "shape is [65, 65], expected [17, 17]",
    ),
    "codes of another size": ([neighbour(codes=grid(3, np.uint16, 16))], "neighbours[0].codes.shape", "expected [4, 4]"),
    "heights that its codes do not give": (
        [claimed(height=38.0)],
        "neighbours[0].heights",
        "lie 37.5 m from their codes' on average, expected at most 8.26; encode them again",
    ),
    "an edge that nothing spreads": (
        [neighbour(codes=grid(3, np.uint16, 4), heights=edge_at(30.0))],
        "neighbours[0].heights",
        "m or more from their codes' between these edges on 5 % of the vertices, expected at most",
    ),
    "a relief that its codes do not give": (
        [
            neighbour(
                codes=grid(3, np.uint16, 4),
                heights=pb.Heightmap(values=tensor(2 * np.sin(np.mgrid[:17, :17][1] * 1.5) + 0.5, np.float32)),
            )
        ],
        "neighbours[0].heights",
        "rise and fall otherwise than their codes' in the middle, by",
    ),
    "ground that its codes do not give": (
        [neighbour(codes=grid(3, np.uint16, 4), ground=grid(3, np.uint8))],
        "neighbours[0].ground",
        "has other classes than its codes in 100% of the cells, expected at most 60%; encode it again",
    ),
    "a corner that another one has not": (
        [claimed(-1, 0, 1.0), claimed(0, -1, 1.5)],
        "neighbours[0].heights",
        "has 1 m on a vertex where neighbours[1] has 1.5 m, expected equal numbers",
    ),
    "NaN": ([claimed(height=NAN)], "neighbours[0].heights.values", "has nan at [0, 0], expected metres"),
}


@pytest.mark.parametrize("name", EXTEND)
def test_what_cannot_be_extended_is_refused(island, name):
    neighbours, field, text = EXTEND[name]
    refused(island, pb.ExtendSceneRequest(neighbours=neighbours), field, text)


def test_nine_neighbours_are_too_many(island):
    request = pb.ExtendSceneRequest(neighbours=[neighbour()] * 9)
    refused(island, request, "neighbours", "9 neighbours, expected at most 8", EXHAUSTED)


TILE = pb.SceneTile(heights=pb.Heightmap(values=tensors.from_array(hills(0))))


def tile(**fields):
    changed = pb.SceneTile(**fields)
    whole = pb.SceneTile.FromString(TILE.SerializeToString())
    for name, _ in changed.ListFields():
        getattr(whole, name.name).CopyFrom(getattr(changed, name.name))
    return whole


ALL = grid(True, bool)
EDIT = {
    "no mask": ({"tile": TILE}, "mask.dtype", "the tensor is not set, expected"),
    "a mask of another size": ({"tile": TILE, "mask": grid(True, bool, 17)}, "mask.shape", "[17, 17], expected [16, 16]"),
    "an empty mask": ({"tile": TILE, "mask": grid(False, bool)}, "mask", "holds no cell, expected at least one"),
    "a mask of numbers": ({"tile": TILE, "mask": grid(1, np.uint8)}, "mask.dtype", "dtype is uint8, expected bool"),
    "no heights": ({"mask": ALL}, "tile.heights.values.dtype", "the tensor is not set, expected"),
    "NaN": (
        {"tile": tile(heights=flat(NAN)), "mask": ALL},
        "tile.heights.values",
        "has nan at [0, 0], expected metres; fill 289 of",
    ),
    "infinity": (
        {"tile": tile(heights=flat(np.inf)), "mask": ALL},
        "tile.heights.values",
        "has inf at [0, 0], expected metres",
    ),
    "a mountain": (
        {"tile": tile(heights=flat(8849.0)), "mask": ALL},
        "tile.heights.values",
        "goes from 8849 to 8849 m, the model knows -10 to 40; move or scale it",
    ),
    "unknown ground": (
        {"tile": tile(ground=grid(4, np.uint8)), "mask": ALL},
        "tile.ground",
        "holds class 4, the model's are 0 to 3",
    ),
    "unknown object": ({"tile": tile(objects=grid(99, np.uint8)), "mask": ALL}, "tile.objects", "holds class 99"),
    "weights for classes": (
        {"tile": tile(ground=tensor(np.zeros((16, 16, 4)), np.float32)), "mask": ALL},
        "tile.ground.dtype",
        "dtype is float32, expected uint8",
    ),
    "far": ({"tile": tile(coordinate=Place(x=FAR)), "mask": ALL}, "tile.coordinate.x", "worlds end there"),
    "a neighbour nowhere": (
        {"tile": TILE, "mask": ALL, "neighbours": [neighbour(2, 0)]},
        "neighbours[0].x_offset",
        "(2, 0) is no place beside a tile",
    ),
    "a neighbour without codes": (
        {"tile": TILE, "mask": ALL, "neighbours": [claimed(), neighbour(1, 0)]},
        "neighbours[1].codes",
        "are missing, expected those of a tile",
    ),
    "a neighbour that does not fit": (
        {"tile": tile(heights=flat(1.0)), "mask": ALL, "neighbours": [claimed(height=3.0)]},
        "tile.heights",
        "has 1 m on a vertex where neighbours[0] has 3 m, expected equal numbers",
    ),
}


@pytest.mark.parametrize("name", EDIT)
def test_what_cannot_be_edited_is_refused(island, name):
    fields, field, text = EDIT[name]
    refused(island, pb.EditSceneRequest(**fields), field, text)


def scaled(scale, offset=0.0, value=100):
    return pb.Heightmap(values=grid(value, np.uint16, 17, (1,)), scale_metres=scale, offset_metres=offset)


ENCODE = {
    "no heights": ({}, "heights.values.dtype", "the tensor is not set, expected"),
    "one tile without its axis": ({"heights": flat()}, "heights.values.shape", "shape is [17, 17], expected [1, 17, 17]"),
    "tiles of another size": (
        {"heights": flat(side=65, rows=(1,))},
        "heights.values.shape",
        "[1, 65, 65], expected [1, 17, 17]",
    ),
    "no scale": ({"heights": scaled(0.0)}, "heights.scale_metres", "is 0, expected metres a step above 0, at most 50"),
    "a scale below 0": ({"heights": scaled(-1.0)}, "heights.scale_metres", "is -1"),
    "an absurd scale": ({"heights": scaled(1e30)}, "heights.scale_metres", "is 1e+30, expected"),
    "a scale without number": ({"heights": scaled(NAN)}, "heights.scale_metres", "is nan"),
    "an absurd offset": ({"heights": scaled(0.01, 1e300)}, "heights.offset_metres", "is 1e+300"),
    "an offset without number": ({"heights": scaled(0.01, NAN)}, "heights.offset_metres", "is nan"),
    "too high by its scale": ({"heights": scaled(1.0)}, "heights.values", "goes from 100 to 100 m"),
    "a scale for metres": (
        {"heights": pb.Heightmap(values=flat(rows=(1,)).values, scale_metres=2.0)},
        "heights.scale_metres",
        "is for uint16 values, expected 0 for float32",
    ),
    "cells of another size": (
        {"heights": flat(rows=(1,)), "metres_per_cell": 30.0},
        "metres_per_cell",
        "is 30, the model's cells have 2 m; resample the heights",
    ),
    "cells without size": ({"heights": flat(rows=(1,)), "metres_per_cell": NAN}, "metres_per_cell", "is nan"),
    "too few classes": (
        {"heights": flat(rows=(2,)), "ground": grid(0, np.uint8, rows=(1,))},
        "ground.shape",
        "shape is [1, 16, 16], expected [2, 16, 16]",
    ),
    "unknown space": ({"heights": flat(rows=(1,)), "space": 4}, "space", "is 4, expected one of"),
}


@pytest.mark.parametrize("name", ENCODE)
def test_what_cannot_be_encoded_is_refused(island, name):
    fields, field, text = ENCODE[name]
    refused(island, pb.EncodeSceneRequest(**fields), field, text)


def path(*points, view=0.0):
    return pb.CameraPath(points=[pb.MapPoint(x=x, y=y) for x, y in points], view_distance=view)


STREAM = {
    "nothing": ({}, "coordinates", "are empty, expected places, or a path in their stead", INVALID),
    "both": ({"coordinates": [Place()], "path": path((0, 0))}, "coordinates", "are given beside a path", INVALID),
    "no points": ({"path": path()}, "path.points", "is empty, expected a point or more", INVALID),
    "no number": (
        {"path": path((0, 0), (NAN, 0))},
        "path.points[1].x",
        "is nan, expected -68719456000 to 68719456000; worlds end there",
        INVALID,
    ),
    "far beyond the end": ({"path": path((0, -1e300))}, "path.points[0].y", "is -1e+300", INVALID),
    "just beyond the end": (
        {"path": path((32 * 2_147_483_000 + 0.5, 0))},
        "path.points[0].x",
        "is 68719456000.5, expected -68719456000 to 68719456000; worlds end there",
        INVALID,
    ),
    "a view without number": ({"path": path((0, 0), view=NAN)}, "path.view_distance", "is nan, expected a length", INVALID),
    "a view below 0": ({"path": path((0, 0), view=-1.0)}, "path.view_distance", "is -1", INVALID),
    "a view without end": ({"path": path((0, 0), view=1e9)}, "path.view_distance", "look less far", EXHAUSTED),
    "a long way": ({"path": path((0, 0), (1e10, 0))}, "path.points", "ask in several calls", EXHAUSTED),
    "many tiles": ({"path": path((0, 0), (40_000, 0))}, "path", "1025 tiles in one call, expected at most 1024", EXHAUSTED),
    "far": ({"coordinates": [Place(y=FAR)]}, "coordinates[0].y", "worlds end there", INVALID),
    "codes for a path": (
        {"path": path((0, 0)), "codes": grid(1, np.uint16, 4, (1,))},
        "codes",
        "are given for a path, expected coordinates in its stead",
        INVALID,
    ),
    "too few codes": (
        {"coordinates": [Place(), Place(x=1)], "codes": grid(1, np.uint16, 4, (1,))},
        "codes.shape",
        "shape is [1, 4, 4], expected [2, 4, 4]",
        INVALID,
    ),
    "a world without codes": ({"coordinates": [Place()], "fit_world": True}, "fit_world", "is set without codes", INVALID),
}


@pytest.mark.parametrize("name", STREAM)
def test_what_cannot_be_streamed_is_refused(island, name):
    fields, field, text, code = STREAM[name]
    refused(island, pb.StreamScenesRequest(**fields), field, text, code)


def test_an_answer_that_is_too_large_names_the_stream(island):
    for vertices, count in ((513, 4), (120, 70)):
        output = pb.SceneOutput(height_vertices=vertices, return_mesh=True)
        request = pb.GenerateSceneRequest(seeds=[1], coordinates=[Place(x=2 * i) for i in range(count)], output=output)
        refused(island, request, "coordinates", "ask for fewer or call StreamScenes", EXHAUSTED)


def test_the_limit_of_tiles_is_the_operators(island_folder):
    limits = Limits(max_tiles=2)
    with sidecar_in_thread(island_folder, limits=limits) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        assert len(client.generate_scene("island", [1, 2]).tiles) == 2
        for call in (
            lambda: client.generate_scene("island", [1, 2, 3]),
            lambda: client.generate_scene("island", [1], [(0, 0)] * 3),
            lambda: list(client.stream_scenes("island", 1, [(0, 0)] * 3)),
            lambda: client.encode_scene("island", np.zeros((3, 17, 17), np.float32)),
        ):
            with pytest.raises(ClientError, match="3 tiles in one call, expected at most 2; ask in several calls"):
                call()


def test_a_place_that_no_message_holds_is_refused_by_the_client(island):
    with pytest.raises(ValueError, match=r"the place of a tile is \(2147483648, 0\), expected 32-bit numbers; worlds end at"):
        island.generate_scene("island", [1], [(0, 0), (2**31, 0)])
