"""Extending, editing, encoding and streaming: what is given stays, what is new fits, and what comes out can be put in again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scene_cases import extend, hills, outside
from tiny_scene import SCENE_SPEC

from bridge import spaces, tensors
from bridge.client import ClientError, heights
from bridge.scene_rules import ground_classes
from bridge.scene_tile import AROUND, shared
from bridge.spaces import GLTF, UNITY, UNREAL
from bridge.v1 import scene_service_pb2 as pb

SPACES = st.sampled_from([GLTF, UNITY, UNREAL])
BUSY = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = [one["name"] for one in SCENE_SPEC["ground_classes"]]


def array(tensor):
    return tensors.to_array(tensor, "tensor")


def around(client, seed, place, space):
    """Return the eight tiles around a place by their offsets."""
    places = [(place[0] + x, place[1] + y) for x, y in AROUND]
    answer = client.generate_scene("island", [seed], places, output=pb.SceneOutput(space=space))
    return dict(zip(AROUND, answer.tiles, strict=True))


@BUSY
@example({(-1, 0), (0, -1)}, 116051, UNREAL, False)  # a neighbour that took over edges far from its own
@given(st.sets(st.sampled_from(AROUND), min_size=1), st.integers(0, 2**64 - 1), SPACES, st.booleans())
def test_a_tile_fits_any_of_its_neighbours(island, offsets, seed, space, named):
    tiles = around(island, seed, (4, -3), space)
    given_ = [pb.SceneNeighbour(x_offset=x, y_offset=y) if named else outside((x, y), tiles[x, y]) for x, y in offsets]
    tile = heights(extend(island, seed, (4, -3), given_, space).heights)
    for x, y in offsets:
        np.testing.assert_array_equal(tile[shared((x, y))], heights(tiles[x, y].heights)[shared((-x, -y))])


@pytest.mark.parametrize("space", [GLTF, UNITY, UNREAL])
def test_the_tile_of_a_world_is_the_one_that_fits_its_neighbours(island, space):
    place = (1, 1) if space == GLTF else (2, 1) if space == UNITY else (1, 2)
    tiles = around(island, 9, place, space)
    extended = extend(island, 9, place, [outside(offset, tile) for offset, tile in tiles.items()], space)
    (expected,) = island.generate_scene("island", [9], [place], output=pb.SceneOutput(space=space)).tiles
    assert extended == expected


def test_neighbours_known_by_codes_alone_are_decoded_and_fitted(island):
    tiles = around(island, 3, (0, 0), GLTF)
    bare = [pb.SceneNeighbour(x_offset=x, y_offset=y, codes=tile.codes) for (x, y), tile in tiles.items()]
    one, two = extend(island, 5, (0, 0), bare), extend(island, 5, (0, 0), bare)
    assert one == two
    mixed = [outside((-1, 0), tiles[-1, 0]), *bare[2:]]
    tile = extend(island, 5, (0, 0), mixed)
    np.testing.assert_array_equal(heights(tile.heights)[:, 0], heights(tiles[-1, 0].heights)[:, -1])


def test_paint_changes_what_is_drawn(island):
    free = np.full((16, 16), -1, np.int8)
    plain = extend(island, 5, (0, 0), [pb.SceneNeighbour(x_offset=1)])
    assert extend(island, 5, (0, 0), [pb.SceneNeighbour(x_offset=1)], painted_ground=tensors.from_array(free)) == plain
    rock = tensors.from_array(free * 0 + 3)
    assert extend(island, 5, (0, 0), [pb.SceneNeighbour(x_offset=1)], painted_ground=rock) != plain
    painted = island.generate_scene("island", [5], painted_ground=free[None] * 0 + 3).tiles[0]
    assert painted.codes != island.generate_scene("island", [5]).tiles[0].codes
    assert island.generate_scene("island", [5], painted_ground=free[None]).tiles == island.generate_scene("island", [5]).tiles


@pytest.mark.parametrize("space", [GLTF, UNITY, UNREAL])
def test_paint_lies_where_it_is_painted(island, space):
    free = np.full((16, 16), -1, np.int8)
    free[:4, :4] = 3
    output = pb.SceneOutput(space=space)
    painted = island.generate_scene("island", [5], [(0, 0)], painted_ground=free[None], output=output).tiles[0]
    at = spaces.tile_to_gltf(space, 0, 0)
    turned = spaces.grid_to_gltf(space, free)
    same = island.generate_scene("island", [5], [at], painted_ground=turned[None]).tiles[0]
    assert painted.codes == same.codes


MASKS = st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(1, 16), st.integers(1, 16))


@BUSY
@given(MASKS, st.integers(0, 2**64 - 1), SPACES, st.sampled_from([pb.HEIGHT_FORMAT_FLOAT32, pb.HEIGHT_FORMAT_UINT16]))
def test_an_edit_keeps_the_bits_outside_its_mask(island, box, seed, space, form):
    row, column, rows, columns = box
    mask = np.zeros((16, 16), bool)
    mask[row : row + rows, column : column + columns] = True
    output = pb.SceneOutput(space=space, height_format=form)
    (tile,) = island.generate_scene("island", [seed], [(1, 0)], output=output).tiles
    edited = island.edit_scene("island", tile, mask, seed=seed ^ 1, output=output).tile
    for name in ("ground", "objects"):
        np.testing.assert_array_equal(array(getattr(edited, name))[~mask], array(getattr(tile, name))[~mask])
    padded = np.pad(mask, 1)
    inside = padded[:-1, :-1] & padded[:-1, 1:] & padded[1:, :-1] & padded[1:, 1:]
    before, after = array(tile.heights.values), array(edited.heights.values)
    np.testing.assert_array_equal(after[~inside], before[~inside])
    codes_kept = spaces.grid_to_gltf(space, ~mask.reshape(4, 4, 4, 4).any(axis=(1, 3)))
    np.testing.assert_array_equal(array(edited.codes)[codes_kept], array(tile.codes)[codes_kept])


def test_an_edit_makes_something_new_inside_its_mask(island):
    (tile,) = island.generate_scene("island", [4]).tiles
    mask = np.zeros((16, 16), bool)
    mask[2:14, 2:14] = True
    edits = [island.edit_scene("island", tile, mask, seed=seed).tile for seed in (1, 2, 2)]
    assert edits[0].codes != edits[1].codes
    assert edits[1] == edits[2]
    assert not np.array_equal(heights(edits[1].heights)[6:10, 6:10], heights(tile.heights)[6:10, 6:10])


def beside_and(tile, island, seed, place):
    """Return the neighbours of a world's tile as an edit takes them."""
    return [outside(offset, one) for offset, one in around(island, seed, place, GLTF).items()]


def test_an_edit_with_neighbours_continues_them_and_keeps_the_edge(island):
    mask = np.zeros((16, 16), bool)
    mask[:, 8:] = True
    drawn = []
    for seed in range(4):
        (tile,) = island.generate_scene("island", [seed], [(3, 2)]).tiles
        neighbours = beside_and(tile, island, seed, (3, 2))
        alone = island.edit_scene("island", tile, mask, seed=9).tile
        edited, again = (island.edit_scene("island", tile, mask, seed=9, neighbours=neighbours).tile for _ in range(2))
        assert edited == again
        for part in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
            np.testing.assert_array_equal(heights(edited.heights)[part], heights(tile.heights)[part])
        np.testing.assert_array_equal(array(edited.ground)[~mask], array(tile.ground)[~mask])
        drawn.append(edited.codes != alone.codes)
    assert any(drawn), "the codes of the neighbours change nothing"


def test_an_edit_goes_on_with_the_classes_of_its_neighbours(island):
    """East of the tile lies rock with houses: that begins in the masked cells at the edge; the rest does not know of it."""
    (tile,) = island.generate_scene("island", [1], [(3, 2)]).tiles
    mask = np.zeros((16, 16), bool)
    mask[:, 8:] = True
    east = outside((1, 0), around(island, 1, (3, 2), GLTF)[1, 0])
    for tensor, number in ((east.ground, 3), (east.objects, 2)):
        classes = array(tensor).copy()
        classes[:, :4] = number
        tensor.CopyFrom(tensors.from_array(classes))
    edited = island.edit_scene("island", tile, mask, seed=9, neighbours=[east]).tile
    assert (array(edited.ground)[:, -1] == 3).all()
    assert (array(edited.objects)[:, -1] == 2).all()
    np.testing.assert_array_equal(array(edited.objects)[~mask], array(tile.objects)[~mask])


def test_objects_far_from_the_mask_stay_where_they_are(island):
    mask = np.zeros((16, 16), bool)
    mask[:4, :4] = True
    output = pb.SceneOutput(return_instances=True)
    far = 0
    for seed in range(6):
        (tile,) = island.generate_scene("island", [seed], [(1, 0)], output=output).tiles
        edited = island.edit_scene("island", tile, mask, seed=seed + 1, output=output).tile
        assert edited.seed == tile.seed == seed
        stays = [
            {tuple(foot) for foot in array(one.instances.positions) if max(foot[0], foot[2]) > 20.0} for one in (tile, edited)
        ]
        assert stays[0] == stays[1]
        far += len(stays[0])
    assert far > 10


def test_an_edit_of_bare_heights_derives_the_rest(island):
    bare = pb.SceneTile(heights=pb.Heightmap(values=tensors.from_array(hills(2))))
    mask = np.zeros((16, 16), bool)
    mask[:4, :4] = True
    edited = island.edit_scene("island", bare, mask).tile
    np.testing.assert_array_equal(array(edited.ground)[~mask], ground_classes(hills(2), 2.0, NAMES)[~mask])
    assert not array(edited.objects)[~mask].any()


@BUSY
@given(st.integers(1, 4), st.integers(0, 99), SPACES)
def test_encoded_heights_are_decoded_to_about_the_same(island, rows, seed, space):
    given_ = np.stack([hills(seed + row) for row in range(rows)])
    answer = island.encode_scene("island", given_, space=space)
    np.testing.assert_array_equal(array(answer.ground), ground_classes(given_, 2.0, NAMES))
    decoded = island.generate_scene(
        "island", [0] * rows, [(9 * i, 0) for i in range(rows)], codes=array(answer.codes), output=pb.SceneOutput(space=space)
    )
    errors = [np.abs(heights(tile.heights) - one).mean() for tile, one in zip(decoded.tiles, given_, strict=True)]
    np.testing.assert_allclose(answer.height_errors_metres, errors, rtol=1e-4)


def test_uint16_heights_are_encoded_as_the_metres_that_they_stand_for(island):
    low, step = -40.0, 0.25
    scaled = np.round((np.stack([hills(1), hills(2)]) - low) / step).astype(np.uint16)
    answer = island.encode_scene("island", scaled, scale_metres=step, offset_metres=low, metres_per_cell=2.0)
    metres = island.encode_scene("island", (low + step * scaled).astype(np.float32))
    assert (answer.codes, answer.ground) == (metres.codes, metres.ground)
    assert len(np.unique(array(answer.codes))) > 1


def test_heights_without_a_scale_or_with_cells_of_another_length_are_refused(island):
    with pytest.raises(ClientError, match="expected metres a step above 0") as refused:
        island.encode_scene("island", np.zeros((1, 17, 17), np.uint16))
    assert refused.value.field == "heights.scale_metres"
    with pytest.raises(ClientError, match="the model's cells have 2 m") as refused:
        island.encode_scene("island", hills(0)[None], metres_per_cell=3.0)
    assert refused.value.field == "metres_per_cell"


def test_codes_of_a_tile_take_a_few_bytes(island):
    assert island.encode_scene("island", hills(0)[None]).codes.ByteSize() < 100


def test_given_classes_reach_the_encoder(island):
    derived = island.encode_scene("island", hills(1)[None])
    ground = np.full((1, 16, 16), 3, np.uint8)
    other = island.encode_scene("island", hills(1)[None], ground=ground, objects=np.full((1, 16, 16), 2, np.uint8))
    assert array(other.codes).tolist() != array(derived.codes).tolist()
    np.testing.assert_array_equal(array(other.ground), ground)


def test_a_stream_brings_the_tiles_that_a_message_brings(island):
    places = [(3, 1), (0, 0), (-1, 4), (3, 1)]
    stream = sorted(island.stream_scenes("island", 6, places), key=lambda one: one.index)
    assert [(one.index, one.tile_count) for one in stream] == [(i, 4) for i in range(4)]
    assert [one.tile for one in stream] == list(island.generate_scene("island", [6], places).tiles)


@pytest.mark.parametrize(("space", "side"), [(GLTF, 32.0), (UNITY, 32.0), (UNREAL, 3200.0)])
def test_a_camera_gets_each_tile_that_it_sees_once_and_its_index_counts_from_the_nearest(island, space, side):
    points = [pb.MapPoint(x=0.5 * side, y=0.5 * side), pb.MapPoint(x=3.5 * side, y=0.5 * side)]
    path = pb.CameraPath(points=points, view_distance=0.6 * side)
    answers = island.stream_scenes("island", 6, path=path, output=pb.SceneOutput(space=space))
    stream = sorted(answers, key=lambda one: one.index)
    assert [one.index for one in stream] == list(range(len(stream)))
    places = [(one.tile.coordinate.x, one.tile.coordinate.y) for one in stream]
    assert places[0] == (0, 0)
    assert sorted(places[1:5]) == [(-1, 0), (0, -1), (0, 1), (1, 0)]
    assert set(places) == {(x, 0) for x in range(-1, 5)} | {(x, y) for x in range(4) for y in (-1, 1)}
    assert len(places) == len(set(places))
    columns = [x for x, y in places if y == 0 and x >= 0]
    assert columns == sorted(columns)


def test_a_camera_without_a_view_gets_the_tile_below_it(island):
    path = pb.CameraPath(points=[pb.MapPoint(x=-0.1, y=33.0)])
    (only,) = island.stream_scenes("island", 6, path=path)
    assert (only.tile.coordinate.x, only.tile.coordinate.y) == (-1, 1)
