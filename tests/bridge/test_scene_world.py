"""Worlds: the same tile whatever the order of asking, neighbours with the same bits, a bounded cache, no work done twice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from conftest import sidecar_in_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.client import Client, ClientError, heights
from bridge.config import Limits
from bridge.scene_world import dependencies
from bridge.v1 import asset_pb2
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

STEPS = 3
AREA = [(x, y) for y in range(-2, 3) for x in range(-2, 3)]
SPACES = [asset_pb2.COORDINATE_SPACE_GLTF, asset_pb2.COORDINATE_SPACE_UNITY, asset_pb2.COORDINATE_SPACE_UNREAL]


@pytest.fixture(scope="module")
def forgetful(island_folder):
    """A client of a sidecar that keeps two tiles only."""
    limits = Limits(cached_tiles=2)
    with sidecar_in_thread(island_folder, limits=limits) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        yield client


def tiles(client, coordinates, seed=7, **settings):
    answer = client.generate_scene("island", [seed], coordinates, **settings)
    return [tile.SerializeToString(deterministic=True) for tile in answer.tiles]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(AREA), min_size=1, max_size=6), st.integers(0, 2**64 - 1))
def test_a_tile_is_the_same_in_whatever_order_it_is_asked_for(island, forgetful, order, seed):
    expected = tiles(island, sorted(set(order)), seed)
    for place, tile in zip(sorted(set(order)), expected, strict=True):
        assert tiles(forgetful, [place], seed) == [tile]
    assert tiles(forgetful, order, seed) == [expected[sorted(set(order)).index(place)] for place in order]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("output", [{}, {"height_format": pb.HEIGHT_FORMAT_UINT16}, {"height_vertices": 40}])
def test_neighbours_have_the_same_bits_on_shared_vertices(island, space, output):
    answer = island.generate_scene("island", [11], AREA, output=pb.SceneOutput(space=space, **output))
    by_place = {(tile.coordinate.x, tile.coordinate.y): heights(tile.heights) for tile in answer.tiles}
    assert list(by_place) == AREA
    for (x, y), grid in by_place.items():
        if (x + 1, y) in by_place:
            np.testing.assert_array_equal(grid[:, -1], by_place[x + 1, y][:, 0])
        if (x, y + 1) in by_place:
            np.testing.assert_array_equal(grid[-1], by_place[x, y + 1][0])


def test_every_vertex_has_one_owner():
    for x, y in AREA:
        for dx, dy in dependencies(x, y):
            back = (-dx, -dy)
            assert back not in dependencies(x + dx, y + dy)
    assert [len(dependencies(x, y)) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1), (-1, -1), (-2, 3))] == [0, 2, 2, 8, 8, 2]


def test_worlds_of_other_seeds_and_conditions_are_others(island):
    first = tiles(island, [(1, 1)])
    amount = pb.Amount(value=1.0)
    for conditions in (pb.SceneConditions(biome="mountains"), pb.SceneConditions(ruggedness=amount)):
        assert tiles(island, [(1, 1)], conditions=conditions) != first
    assert tiles(island, [(1, 1)], 8) != first
    assert tiles(island, [(1, 1)]) == first


def test_the_origin_is_what_a_seed_alone_gives(island):
    assert tiles(island, []) == tiles(island, [(0, 0)])
    many = island.generate_scene("island", [1, 2, 3])
    assert [tile.SerializeToString() for tile in many.tiles] == [tiles(island, [], seed)[0] for seed in (1, 2, 3)]


@pytest.mark.parametrize("place", [(2_147_483_000, -2_147_483_000), (-2_147_483_000, 2_147_482_999)])
@pytest.mark.parametrize("space", SPACES)
def test_worlds_reach_to_their_ends(island, place, space):
    (tile,) = island.generate_scene("island", [3], [place], output=pb.SceneOutput(space=space)).tiles
    assert (tile.coordinate.x, tile.coordinate.y) == place
    assert np.isfinite(heights(tile.heights)).all()


@pytest.mark.parametrize(
    ("space", "side"), [(asset_pb2.COORDINATE_SPACE_UNITY, 32.0), (asset_pb2.COORDINATE_SPACE_UNREAL, 3200.0)]
)
def test_a_path_reaches_the_ends_of_a_world(island, space, side):
    """The corner tile, as its coordinates give it."""
    end = 2_147_483_000
    path = pb.CameraPath(points=[pb.MapPoint(x=end * side, y=-end * side)], view_distance=0.75 * side)
    output = pb.SceneOutput(space=space)
    stream = [one.tile for one in island.stream_scenes("island", 3, path=path, output=output)]
    assert {(tile.coordinate.x, tile.coordinate.y) for tile in stream} == {(end, -end), (end - 1, -end)}
    assert [tile for tile in stream if tile.coordinate.x == end] == list(
        island.generate_scene("island", [3], [(end, -end)], output=output).tiles
    )


class Held:
    """A session whose runs wait for a gate."""

    def __init__(self, session):
        self.session, self.gate, self.running = session, threading.Event(), threading.Event()

    def run(self, feeds):
        self.running.set()
        assert self.gate.wait(60)
        return self.session.run(feeds)

    def inline(self, rows):
        return False


@pytest.fixture
def own(island_folder):
    """A sidecar in this process, and the gate of its prior."""
    with sidecar_in_thread(island_folder, drain_seconds=0.1) as sidecar:
        prior = sidecar.registry.served["island", 1].batchers["prior"]
        held = prior._session = Held(prior._session)
        yield sidecar, held, prior
        held.gate.set()


def test_requests_for_the_same_tile_share_the_work(own):
    sidecar, held, prior = own
    with Client(f"127.0.0.1:{sidecar.port}") as client, ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(tiles, client, [(0, 0)]) for _ in range(6)]
        assert held.running.wait(30)
        time.sleep(0.2)
        held.gate.set()
        assert len({call.result()[0] for call in calls}) == 1
    assert len(prior.batch_sizes) == STEPS


def test_a_tile_costs_no_more_than_those_it_depends_on(own):
    sidecar, held, prior = own
    held.gate.set()
    with Client(f"127.0.0.1:{sidecar.port}") as client:
        tiles(client, [(1, 1)])
        assert len(prior.batch_sizes) == 9 * STEPS
        tiles(client, [(x, y) for x in range(3) for y in range(3)])
        assert len(prior.batch_sizes) == 9 * STEPS
        tiles(client, [(3, 1)])
        assert len(prior.batch_sizes) == 15 * STEPS


def test_the_work_goes_on_for_those_who_stay_and_stops_with_the_last(own):
    sidecar, held, prior = own
    with (
        Client(f"127.0.0.1:{sidecar.port}") as client,
        Client(f"127.0.0.1:{sidecar.port}", timeout=0.5) as hasty,
        ThreadPoolExecutor(1) as pool,
    ):
        patient = pool.submit(tiles, client, [(0, 0)])
        assert held.running.wait(30)
        with pytest.raises(ClientError, match="DEADLINE_EXCEEDED"):
            tiles(hasty, [(0, 0)])
        held.gate.set()
        assert len(patient.result()) == 1
        held.gate.clear()
        held.running.clear()
        with pytest.raises(ClientError, match="DEADLINE_EXCEEDED"):
            tiles(hasty, [(4, 4)])
        held.gate.set()
        before = len(prior.batch_sizes)
        assert tiles(client, [(0, 0)]) == patient.result()
        assert len(prior.batch_sizes) == before <= 2 * STEPS - 1


def test_a_stream_that_nobody_reads_makes_only_a_few_tiles(own):
    sidecar, held, prior = own
    held.gate.set()
    request = pb.StreamScenesRequest(
        model=ModelSelector(name="island"),
        seed=1,
        coordinates=[pb.TileCoordinate(x=2 * i) for i in range(400)],
        output=pb.SceneOutput(height_vertices=513),
    )
    with Client(f"127.0.0.1:{sidecar.port}") as client:
        call = client._scenes.StreamScenes(request)
        first = {next(call).index for _ in range(3)}
        assert len(first) == 3
        assert max(first) < 3 + 3
        waiting = settled(prior)
        assert waiting <= (3 + 3 + 32) * STEPS, "transport buffers hold a few MiB, the sidecar a few tiles"
        assert max(next(call).index for _ in range(30)) < 33 + 3
        call.cancel()
    assert settled(prior) < 200 * STEPS


def test_a_tile_that_is_ready_overtakes_one_that_waits(own):
    sidecar, held, _ = own
    held.gate.set()
    with Client(f"127.0.0.1:{sidecar.port}") as client:
        known = tiles(client, [(4, 4)])
        held.gate.clear()
        stream = client.stream_scenes("island", 7, [(1, 1), (4, 4)])
        overtaking = next(stream)
        assert (overtaking.index, overtaking.tile_count) == (1, 2)
        assert overtaking.tile.SerializeToString(deterministic=True) == known[0]
        held.gate.set()
        waiting = next(stream)
        assert (waiting.index, waiting.tile.coordinate.x) == (0, 1)
        assert next(stream, None) is None


def settled(prior):
    """Return the number of runs when no more come for a while."""
    for _ in range(200):
        before = len(prior.batch_sizes)
        time.sleep(0.3)
        if len(prior.batch_sizes) == before:
            return before
    raise AssertionError("the sidecar does not stop making tiles")


def test_a_tile_that_fails_is_made_again(own):
    sidecar, held, _ = own
    session, held.session = held.session, None
    held.gate.set()
    with Client(f"127.0.0.1:{sidecar.port}") as client:
        with pytest.raises(ClientError) as caught:
            tiles(client, [(1, 1)])
        assert caught.value.code is grpc.StatusCode.INTERNAL
        held.session = session
        assert len(tiles(client, [(1, 1)])) == 1


def test_a_call_for_more_tiles_than_the_queue_holds_is_answered(island_folder):
    with (
        sidecar_in_thread(island_folder, queue_capacity=8) as sidecar,
        Client(f"127.0.0.1:{sidecar.port}") as client,
    ):
        assert len(tiles(client, [(2 * x, 0) for x in range(60)])) == 60
        assert len(tiles(client, [(9, 9)])) == 1
