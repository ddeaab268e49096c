"""Filling a mask: outside everything stays, what goes on smoothly goes on, and what is uneven at the edge fades soon."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.scene_fill import filled_classes, filled_heights

SIZE = 33
ROW, COLUMN = np.mgrid[:SIZE, :SIZE].astype(float)
DISC = np.hypot(ROW - 16, COLUMN - 16) < 12


@given(st.integers(0, 99))
def test_outside_the_mask_nothing_changes(seed):
    rng = np.random.default_rng(seed)
    free = np.pad(rng.random((SIZE - 2, SIZE - 2)) < rng.random(), 1)
    difference, classes = rng.normal(size=(SIZE, SIZE)), rng.normal(size=(2, SIZE, SIZE))
    np.testing.assert_array_equal(filled_heights(difference, free)[~free], difference[~free])
    np.testing.assert_array_equal(filled_classes(classes, free)[:, ~free], classes[:, ~free])


def test_an_inclined_plane_goes_on_through_the_mask():
    plane = 0.5 * ROW - 0.25 * COLUMN + 3.0
    hidden = np.where(DISC, 99.0, plane)
    np.testing.assert_allclose(filled_heights(hidden, DISC), plane, atol=1e-2)


def test_neither_heights_nor_slopes_break_at_the_masks_edge():
    """Of a parabola, which a plate does not keep, the second differences at the edge stay near what they are beside it."""
    bowl = 0.02 * (COLUMN - 30.0) ** 2
    filled = filled_heights(np.where(DISC, 0.0, bowl), DISC)
    bend = np.abs(np.diff(filled[16], 2))
    assert bend.max() < 0.15
    assert np.abs(np.diff(filled[16])).max() < 1.5


def test_what_is_uneven_along_the_edge_fades_inside():
    """Eight cells from the edges much is left of a wave as long as the mask, and hardly anything of waves of two and four."""
    band = (ROW > 8) & (ROW < 24) & (COLUMN > 0) & (COLUMN < SIZE - 1)
    middle = [
        np.abs(filled_heights(np.sin(2 * np.pi * (COLUMN - 16) / length), band)[16, 8:25]).max() for length in (32.0, 4.0, 2.0)
    ]
    assert middle[0] > 0.3
    assert max(middle[1:]) < 0.05


def test_classes_fade_within_a_few_cells():
    field = filled_classes(np.ones((1, SIZE, SIZE)), DISC)[0]
    assert field[16, 5] > 0.6
    assert field[16, 16] < 0.05
    assert (np.diff(field[16, 4:17]) < 0).all()
