"""Rules of laying transparent pictures on a colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.avatar.pictures import BACKDROP, over


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=50))
def test_compositing_is_within_half_a_level_of_the_formula(pairs: list[tuple[int, int]]) -> None:
    alpha = np.array([pair[1] for pair in pairs])
    colour = np.minimum([pair[0] for pair in pairs], alpha)
    images = np.stack([colour, colour, colour, alpha])[None, :, None, :].astype(np.uint8)
    expected = colour + np.array([[190], [205], [220]]) * (1.0 - alpha / 255.0)
    assert np.abs(over(images)[0, :, 0].astype(float) - expected).max() <= 0.5 + 1e-9


def test_opaque_pictures_stay_and_empty_ones_are_the_backdrop() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), np.uint8)
    opaque = np.concatenate([images, np.full((2, 1, 8, 8), 255, np.uint8)], axis=1)
    assert np.array_equal(over(opaque), images)
    assert over(images) is images
    bright_but_clear = np.concatenate([images, np.zeros((2, 1, 8, 8), np.uint8)], axis=1)
    assert (over(bright_but_clear) == np.array(BACKDROP)[None, :, None, None]).all()


@pytest.mark.parametrize(
    "images", [np.zeros((2, 3, 8, 8), np.float32), np.zeros((2, 2, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8)]
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \[N, 3 or 4, H, W\]"):
        over(images)
