"""The sidecar draws what is not asked for from the card's climate: "coast" has one, "island" is the same model without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tiny_scene
from conftest import run_sidecar

from bridge import tensors
from bridge.client import Client
from bridge.scene_card import TileKind
from bridge.scene_climate import Conditions, completed
from bridge.scene_tile import AROUND
from bridge.v1 import scene_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

KINDS = [[0, 0.125, 0.5], [0, 0.25, 0.0], [1, 0.5, 0.25], [1, 0.75, 0.0]]
FAR = [(6 * x, 6 * y) for y in range(-3, 3) for x in range(-3, 3)]
"""Places that depend on no other."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    models = tmp_path_factory.mktemp("climates")
    tiny_scene.write_scene(models)
    tiny_scene.write_scene(models, "coast", climate=KINDS)
    with run_sidecar(models) as sidecar, Client(sidecar.address) as connected:
        yield connected


def tiles(client: Client, model: str, seed: int, places: list[tuple[int, int]], **conditions: object) -> list[pb.SceneTile]:
    return list(client.generate_scene(model, [seed], places, conditions=pb.SceneConditions(**conditions)).tiles)


def asked(conditions: Conditions) -> dict[str, object]:
    return {
        "biome": tiny_scene.SCENE_SPEC["biomes"][conditions.biome],
        "ruggedness": pb.Amount(value=conditions.ruggedness),
        "water_share": pb.Amount(value=conditions.water_share),
    }


@pytest.mark.parametrize("given", [{}, {"biome": "mountains"}, {"water_share": pb.Amount(value=0.25)}])
def test_a_tile_is_the_one_of_what_the_climate_says_at_its_place(client, given):
    kinds = [TileKind(*row) for row in KINDS]
    biome = {"biome": 1} if "biome" in given else {}
    water = {"water_share": 0.25} if "water_share" in given else {}
    drawn = tiles(client, "coast", 3, FAR, **given)
    said = [completed(kinds, Conditions(**biome, **water), 3, place) for place in FAR]
    assert len({str(one) for one in said}) > 1
    for place, tile, one in zip(FAR, drawn, said, strict=True):
        assert tiles(client, "island", 3, [place], **asked(one))[0].codes == tile.codes


def test_without_the_climate_the_prior_is_asked_for_nothing(client):
    free = tiles(client, "island", 3, FAR)
    assert tiles(client, "coast", 3, FAR, ignore_climate=True) == free
    assert tiles(client, "coast", 3, FAR) != free


def test_a_tile_of_a_world_is_the_one_that_extends_its_neighbours(client):
    beside = tiles(client, "coast", 9, [(1 + x, 1 + y) for x, y in AROUND])
    (expected,) = tiles(client, "coast", 9, [(1, 1)])
    neighbours = [
        pb.SceneNeighbour(x_offset=x, y_offset=y, codes=one.codes) for (x, y), one in zip(AROUND, beside, strict=True)
    ]
    own = [pb.SceneNeighbour(x_offset=x, y_offset=y) for x, y in AROUND]
    place = pb.TileCoordinate(x=1, y=1)
    answers = [
        client.extend_scene(pb.ExtendSceneRequest(model=ModelSelector(name=model), seed=9, coordinate=place, neighbours=given))
        for model, given in (("coast", own), ("island", neighbours), ("coast", neighbours))
    ]
    assert answers[0].tile == expected
    assert answers[2].tile.codes == expected.codes
    assert answers[1].tile.codes != expected.codes


def test_edits_and_painted_tiles_know_of_no_climate(client):
    (tile,) = tiles(client, "island", 4, [(0, 0)])
    ground = tensors.to_array(tile.ground, "ground")
    edited = [client.edit_scene(model, tile, ground >= 0, seed=5).tile for model in ("island", "coast")]
    assert edited[0] == edited[1]
    painted = [client.generate_scene(model, [6], painted_ground=ground[None].astype(np.int8)) for model in ("island", "coast")]
    assert painted[0].tiles == painted[1].tiles
    nothing = np.full((1, *ground.shape), -1, np.int8)
    assert client.generate_scene("coast", [6], painted_ground=nothing).tiles[0] == tiles(client, "coast", 6, [(0, 0)])[0]


def test_a_saved_part_of_a_world_comes_back(client):
    places = [(x, y) for y in range(3) for x in range(3)]
    world = tiles(client, "coast", 8, places)
    saved = [world[places.index(place)] for place in ((1, 1), (2, 1))]
    codes = np.stack([tensors.to_array(tile.codes, "codes") for tile in saved])
    again = client.generate_scene("coast", [8], [(1, 1), (2, 1)], codes=codes, fit_world=True).tiles
    assert list(again) == saved
