"""Saved tiles: codes come back as the tiles of their worlds, one answer or a stream, whatever part of a world they are."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import sidecar_in_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge import tensors
from bridge.client import Client, ClientError, heights
from bridge.scene_tile import AROUND, shared
from bridge.spaces import GLTF, UNITY, UNREAL
from bridge.v1 import scene_service_pb2 as pb

SPACES = st.sampled_from([GLTF, UNITY, UNREAL])
BUSY = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLACES = st.sets(st.tuples(st.integers(-2, 3), st.integers(-2, 3)), min_size=1, max_size=9)


def codes_of(tiles):
    return np.stack([tensors.to_array(tile.codes, "codes") for tile in tiles])


def streamed(client, seed, places, **settings):
    answers = sorted(client.stream_scenes("island", seed, places, **settings), key=lambda one: one.index)
    assert [one.index for one in answers] == list(range(len(places)))
    return [one.tile for one in answers]


def test_a_saved_world_comes_back_bit_by_bit(island):
    area = [(x, y) for y in range(-2, 3) for x in range(-2, 3)]
    made = island.generate_scene("island", [8], area)
    again = island.generate_scene("island", [8], area, codes=codes_of(made.tiles))
    assert again.tiles == made.tiles
    assert streamed(island, 8, area, codes=codes_of(made.tiles)) == list(made.tiles)


@BUSY
@given(PLACES, st.integers(0, 2**64 - 1), SPACES, st.sampled_from([pb.GROUND_FORMAT_CLASSES, pb.GROUND_FORMAT_SPLAT_WEIGHTS]))
def test_any_part_of_a_world_comes_back_bit_by_bit_in_it(island, places, seed, space, form):
    """Meshes, instances, weights and all."""
    order = sorted(places, reverse=True)
    conditions = pb.SceneConditions(biome="mountains")
    output = pb.SceneOutput(space=space, return_mesh=True, return_instances=True, ground_format=form)
    made = list(island.generate_scene("island", [seed], order, conditions=conditions, output=output).tiles)
    world = {"codes": codes_of(made), "fit_world": True, "conditions": conditions, "output": output}
    assert list(island.generate_scene("island", [seed], order, **world).tiles) == made
    assert streamed(island, seed, order, **world) == made


def test_saved_tiles_stand_in_a_world_in_place_of_its_own(island):
    """(0, 0) has other codes; (1, 1) fits it, and so does what lies between them and is not saved."""
    place, other = (1, 1), (0, 0)
    codes = codes_of(island.generate_scene("island", [5], [other, place]).tiles)
    codes[0] = 15 - codes[0]
    first, second = island.generate_scene("island", [5], [other, place], codes=codes, fit_world=True).tiles
    np.testing.assert_array_equal(heights(second.heights)[0, 0], heights(first.heights)[-1, -1])
    (alone,) = island.generate_scene("island", [5], [place], codes=codes[1:], fit_world=True).tiles
    assert alone != second
    np.testing.assert_array_equal(heights(alone.heights)[-1], heights(second.heights)[-1])


@BUSY
@given(st.lists(st.integers(0, 3), min_size=2, max_size=4), st.booleans(), st.booleans())
def test_each_seed_is_a_world_of_its_own(island, seeds, placed, fit_world):
    """Tiles of codes are those that each seed gives alone, without coordinates at (0, 0), the same ones twice included."""
    places = [(index, 0) for index in range(len(seeds))] if placed else []
    codes = np.random.default_rng(sum(seeds)).integers(0, 16, (4, 4, 4)).astype(np.uint16)[seeds]
    answer = island.generate_scene("island", seeds, places, codes=codes, fit_world=fit_world).tiles
    assert len(answer) == len(seeds)
    for seed in set(seeds):
        of = [index for index, one in enumerate(seeds) if one == seed]
        alone = island.generate_scene(
            "island", [seed] * len(of), [places[i] for i in of] if placed else [], codes=codes[of], fit_world=fit_world
        )
        assert [answer[index] for index in of] == list(alone.tiles)


@pytest.mark.parametrize(("seeds", "places", "at"), [([5, 5], [], "(0, 0)"), ([5], [(3, -2), (3, -2)], "(3, -2)")])
@pytest.mark.parametrize("space", [GLTF, UNITY, UNREAL])
def test_two_tiles_at_one_place_of_a_world_are_refused(island, seeds, places, at, space):
    codes = np.stack([np.full((4, 4), 3, np.uint16), np.full((4, 4), 9, np.uint16)])
    with pytest.raises(ClientError) as caught:
        island.generate_scene("island", seeds, places, codes=codes, output=pb.SceneOutput(space=space))
    assert caught.value.field == "codes"
    assert f"differ in rows 0 and 1, both of seed 5 at {at}; give each tile" in caught.value.message


def test_a_world_larger_than_a_message_comes_back_as_a_stream(island_folder):
    """More tiles than one message holds, made by a sidecar that has forgotten them."""
    places = [(x, y) for y in range(1, 10) for x in range(1, 10)]
    output = pb.SceneOutput(height_vertices=129)
    with sidecar_in_thread(island_folder) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        made = streamed(client, 7, places, output=output)
    with sidecar_in_thread(island_folder) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        with pytest.raises(ClientError, match="ask for fewer or call StreamScenes"):
            client.generate_scene("island", [7], places, codes=codes_of(made), output=output)
        assert streamed(client, 7, places, codes=codes_of(made), fit_world=True, output=output) == made


@BUSY
@given(st.sets(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=2), SPACES)
def test_decoded_tiles_of_one_request_fit_each_other(island, area, space):
    places = sorted(area)
    codes = np.random.default_rng(len(places)).integers(0, 16, (len(places), 4, 4)).astype(np.uint16)
    answer = island.generate_scene("island", [1], places, codes=codes, output=pb.SceneOutput(space=space))
    tiles = {place: heights(tile.heights) for place, tile in zip(places, answer.tiles, strict=True)}
    for (x, y), tile in tiles.items():
        for dx, dy in AROUND:
            if (x + dx, y + dy) in tiles:
                np.testing.assert_array_equal(tile[shared((dx, dy))], tiles[x + dx, y + dy][shared((-dx, -dy))])
