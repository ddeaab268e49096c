"""Climates: what is not asked for comes from kinds of real tiles, by a field uniform over worlds and smooth within one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.scene_card import FREE, TileKind
from bridge.scene_climate import FEWEST, Conditions, completed, level
from bridge.scene_request import MAX_COORDINATE
from bridge.seeds import MAX_SEED

SEEDS = st.integers(0, MAX_SEED)
PLACES = st.tuples(*[st.integers(-MAX_COORDINATE, MAX_COORDINATE)] * 2)
NUMBERS = st.floats(0, 1, width=32)
KINDS = st.lists(st.builds(TileKind, st.integers(0, 3), NUMBERS, NUMBERS), min_size=1, max_size=40)
ASKED = st.builds(
    Conditions, st.integers(-1, 3), st.just(FREE) | NUMBERS, st.just(FREE) | NUMBERS, st.integers(0, 64), st.booleans()
)
FIELDS = ("biome", "ruggedness", "water_share")


@pytest.mark.parametrize("at", [(0, 0), (3, 2), (-7, 100), (MAX_COORDINATE, -MAX_COORDINATE)])
def test_at_every_place_the_field_is_uniform_over_worlds(at):
    counts, _ = np.histogram([level(seed, at) for seed in range(2000)], 10, (0, 1))
    assert ((counts - 200.0) ** 2 / 200.0).sum() < 33.7  # chi-squared with 9 degrees of freedom, 1 in 10,000


def test_in_a_world_it_changes_slowly_and_everywhere():
    field = np.array([[level(5, (x, y)) for x in range(60)] for y in range(60)])
    steps = [np.abs(np.diff(field, axis=axis)) for axis in (0, 1)]
    assert all(0.02 < step.mean() < 0.1 and step.max() < 0.5 for step in steps)
    assert np.ptp(field) > 0.9


@given(KINDS, ASKED, SEEDS, PLACES)
@settings(max_examples=200, deadline=None)
def test_what_is_asked_for_stays_and_the_rest_is_of_one_kind(kinds, asked, seed, at):
    found = completed(kinds, asked, seed, at)
    assert found == completed(kinds, asked, seed, at)
    assert found.steps == asked.steps
    left = [name for name in FIELDS if getattr(asked, name) == FREE]
    assert all(getattr(found, name) == getattr(asked, name) for name in FIELDS if name not in left)
    likely = [kind for kind in kinds if asked.biome in (FREE, kind.biome)]
    if not likely or not asked.climate:
        assert found == asked
    else:
        assert any(all(getattr(found, name) == getattr(kind, name) for name in left) for kind in likely)


@given(SEEDS, PLACES, NUMBERS)
@settings(max_examples=100, deadline=None)
def test_beside_a_number_comes_what_goes_with_numbers_near_it(seed, at, asked):
    kinds = [TileKind(number % 4, 0.01 * number, number / 63) for number in range(64)]
    found = completed(kinds, Conditions(water_share=asked), seed, at)
    nearest = sorted(range(64), key=lambda number: abs(kinds[number].water_share - asked))[:FEWEST]
    assert found.ruggedness in [kinds[number].ruggedness for number in nearest]


def test_over_many_worlds_kinds_are_as_often_as_in_the_card():
    kinds = [TileKind(0, 0.1, 0.0), TileKind(1, 0.2, 0.0), TileKind(1, 0.3, 0.0), TileKind(2, 0.4, 0.0)]
    biomes = [completed(kinds, Conditions(), seed, (0, 0)).biome for seed in range(2000)]
    shares = np.bincount(biomes) / 2000
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.045)


@given(ASKED, SEEDS, PLACES)
def test_a_card_without_kinds_leaves_conditions_free(asked, seed, at):
    assert completed([], asked, seed, at) == asked


def test_the_field_is_frozen():
    """A world's climate does not change with the version: these numbers were drawn once."""
    asked = ((0, (0, 0)), (7, (3, -2)), (MAX_SEED, (-601, 1000)))
    assert [round(level(seed, at), 6) for seed, at in asked] == [0.679191, 0.284965, 0.611018]
