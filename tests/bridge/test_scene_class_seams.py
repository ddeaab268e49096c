"""Borders of classes: what stands beside a tile goes on in it where its decoder expected something else there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.scene_class_seams import LONGEST, classes
from bridge.scene_seams import SIDES

CELLS, COUNT = 32, 3
FAR = int(LONGEST) + 1


def logits(values):
    """Return logits [C, T + 2, T + 2] of a model that is sure of the classes [T + 2, T + 2]."""
    return np.where(np.arange(COUNT)[:, None, None] == values, 6.0, 0.0).astype(np.float32)


def facing(side, grid):
    """Return a view of a tile whose first row lies at a side."""
    turned = grid.T if side[0] else grid
    return turned[::-1] if sum(side) > 0 else turned


everywhere = np.zeros((CELLS + 2, CELLS + 2), int)


@pytest.mark.parametrize("side", SIDES)
def test_what_stands_beside_a_tile_goes_on_in_it_and_ends_soon(side):
    there = np.zeros((CELLS, CELLS), np.uint8)
    facing((-side[0], -side[1]), there)[0, 10:20] = 1
    made = facing(side, classes(logits(everywhere), {side: there}, 1))
    assert (made[0, 11:19] == 1).all()
    assert (made[FAR:] == 0).all()
    assert (made[:, :8] == 0).all()
    assert (made[:, 22:] == 0).all()


@given(st.integers(0, 99), st.sets(st.sampled_from(SIDES)))
def test_where_the_decoder_expected_what_is_there_nothing_changes(seed, sides):
    whole = np.random.default_rng(seed).integers(COUNT, size=(CELLS + 2, CELLS + 2))
    wide = np.pad(whole, CELLS - 1)
    around = {(x, y): wide[(1 + y) * CELLS :, (1 + x) * CELLS :][:CELLS, :CELLS].astype(np.uint8) for x, y in sides}
    np.testing.assert_array_equal(classes(logits(whole), around, 1), whole[1:-1, 1:-1])


def test_only_the_differing_part_of_a_border_changes_a_tile():
    """The decoder expected a road of class 2 in the neighbour, which has it: it goes on although all else differs."""
    expected = everywhere.copy()
    expected[:, 16] = 2
    there = np.ones((CELLS, CELLS), np.uint8)
    there[:, 15] = 2
    made = classes(logits(expected), {(0, -1): there}, 1)
    assert (made[:, 15] == 2).all()
    assert (made[0, [*range(14), *range(17, CELLS)]] == 1).all()
    assert (made[FAR:, [*range(14), *range(17, CELLS)]] == 0).all()


def test_corners_and_models_that_see_no_neighbours_change_nothing():
    there = np.ones((CELLS, CELLS), np.uint8)
    corners = {(x, y): there for x in (-1, 1) for y in (-1, 1)}
    assert (classes(logits(everywhere), corners, 1) == 0).all()
    assert (classes(logits(everywhere[1:-1, 1:-1]), {(0, 1): there}, 0) == 0).all()
