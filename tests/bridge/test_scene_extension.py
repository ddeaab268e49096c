"""Neighbours with uint16 heights: they lie beside the world's, and beside finer ones, within one step; the finer bits count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene_cases import extend, outside

from bridge import tensors
from bridge.client import ClientError, heights
from bridge.scene_tile import AROUND, shared
from bridge.spaces import GLTF, UNITY, UNREAL
from bridge.v1 import scene_service_pb2 as pb

BUSY = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
COARSE = pb.HeightRange(low_metres=-10.0, high_metres=640.0)
"""Steps of a centimetre."""


def around(client, seed, space, **output):
    places = [(1 + x, 1 + y) for x, y in AROUND]
    answer = client.generate_scene("island", [seed], places, output=pb.SceneOutput(space=space, **output))
    return dict(zip(AROUND, answer.tiles, strict=True))


@BUSY
@given(
    st.dictionaries(st.sampled_from(AROUND), st.sampled_from(["world", "float32", "uint16", "coarse"]), min_size=2),
    st.integers(0, 2**64 - 1),
    st.sampled_from([GLTF, UNITY, UNREAL]),
)
def test_neighbours_of_one_world_mix_in_any_form(island, forms, seed, space):
    uint16 = {"height_format": pb.HEIGHT_FORMAT_UINT16}
    tiles = {
        "float32": around(island, seed, space),
        "uint16": around(island, seed, space, **uint16),
        "coarse": around(island, seed, space, **uint16, height_range=COARSE),
    }
    neighbours = [
        pb.SceneNeighbour(x_offset=x, y_offset=y) if form == "world" else outside((x, y), tiles[form][x, y])
        for (x, y), form in forms.items()
    ]
    extended = heights(extend(island, seed, (1, 1), neighbours, space).heights)
    for offset, form in forms.items():
        edge = heights(tiles["float32" if form == "world" else form][offset].heights)[shared((-offset[0], -offset[1]))]
        step = tiles[form][offset].heights.scale_metres if form in ("uint16", "coarse") else 0.0
        np.testing.assert_allclose(extended[shared(offset)], edge, rtol=0, atol=step)


def test_an_edit_of_uint16_heights_takes_float32_neighbours(island):
    places = [(0, 0), (1, 0)]
    coarse = pb.SceneOutput(height_format=pb.HEIGHT_FORMAT_UINT16, height_range=COARSE)
    tile, _ = island.generate_scene("island", [3], places, output=coarse).tiles
    _, east = island.generate_scene("island", [3], places).tiles
    edited = island.edit_scene("island", tile, np.ones((16, 16), bool), neighbours=[outside((1, 0), east)]).tile
    np.testing.assert_array_equal(heights(edited.heights)[:, -1], heights(tile.heights)[:, -1])


def test_more_than_a_step_apart_is_refused(island):
    tiles = around(island, 6, GLTF, height_format=pb.HEIGHT_FORMAT_UINT16, height_range=COARSE)
    values = tensors.to_array(tiles[-1, 0].heights.values, "").copy()
    values[0, -1] += 3
    tiles[-1, 0].heights.values.CopyFrom(tensors.from_array(values))
    neighbours = [outside((-1, 0), tiles[-1, 0]), pb.SceneNeighbour(x_offset=0, y_offset=-1)]
    with pytest.raises(ClientError) as caught:
        extend(island, 6, (1, 1), neighbours)
    assert caught.value.field == "neighbours[0].heights"
    assert "expected numbers at most a step of 0.00991836 m apart; take both from one answer" in caught.value.message
