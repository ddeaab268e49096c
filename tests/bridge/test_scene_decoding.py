"""Masked decoding: every mask is drawn in so many steps, given codes stay, and a row is drawn alike alone and among others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import seeds
from bridge.scene_decoding import MaskedDrawing, draw, place

GRID, MARGIN, CODES = 4, 2, 8


def tokens(rows, known=()):
    whole = np.full((rows, GRID + 2 * MARGIN, GRID + 2 * MARGIN), CODES + 1, np.int64)
    whole[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = CODES
    for cell, code in known:
        whole[:, MARGIN + cell // GRID, MARGIN + cell % GRID] = code
    return whole


def logits(generator, rows):
    return generator.normal(size=(rows, GRID, GRID, CODES)).astype(np.float32) * 3


def drawn(whole, steps=5, seed=(3,), at=(0,), generator_seed=1):
    """Draw to the end; return the codes and how many masks were left after each step."""
    drawing = MaskedDrawing(whole, MARGIN, CODES, seeds=seed, places=at, steps=steps, choice_temperature=4.0)
    generator, left = np.random.default_rng(generator_seed), []
    while not drawing.finished:
        drawing.advance(logits(generator, 1).repeat(len(whole), axis=0))
        left.append((drawing.codes == CODES).sum(axis=(1, 2)).tolist())
    return drawing.codes, left


@given(st.integers(1, 20), st.integers(0, seeds.MAX_SEED))
def test_all_masks_are_drawn_in_at_most_so_many_steps(steps, seed):
    codes, left = drawn(tokens(1), steps, (seed,))
    assert ((codes >= 0) & (codes < CODES)).all()
    assert len(left) == min(steps, len(left))
    counts = [one for (one,) in left]
    assert all(later < earlier for earlier, later in zip([GRID**2, *counts], counts, strict=False))


def test_masks_follow_a_cosine():
    _, left = drawn(tokens(1), 5)
    planned = np.floor(16 * np.cos(np.pi / 2 * np.arange(1, 6) / 5) + 1e-9)
    assert [one for (one,) in left] == planned.astype(int).tolist()


@given(st.dictionaries(st.integers(0, GRID**2 - 1), st.integers(0, CODES - 1), max_size=GRID**2))
def test_given_codes_and_the_margin_stay(known):
    whole = tokens(1, known.items())
    drawing = MaskedDrawing(whole, MARGIN, CODES, seeds=[1], places=[2], steps=3, choice_temperature=4.0)
    generator = np.random.default_rng(0)
    while not drawing.finished:
        drawing.advance(logits(generator, 1))
    kept = whole != CODES
    np.testing.assert_array_equal(drawing.tokens[kept], whole[kept])


def test_a_row_is_drawn_alike_alone_and_among_others():
    together, _ = drawn(tokens(3), seed=(1, 2, 3), at=(4, 5, 6))
    for row in range(3):
        alone, _ = drawn(tokens(1), seed=(row + 1,), at=(row + 4,))
        np.testing.assert_array_equal(together[row], alone[0])
    assert not np.array_equal(together[0], together[1])


def test_a_draw_follows_the_distribution():
    share = np.array([0.5, 0.25, 0.125, 0.125])
    uniform = seeds.scene_uniforms([5], [0], 0, 100_000)[0]
    codes, likelihood = draw(np.broadcast_to(np.log(share), (100_000, 4)), uniform)
    np.testing.assert_allclose(np.bincount(codes) / 100_000, share, atol=0.005)
    np.testing.assert_allclose(likelihood[:9], np.log(share)[codes[:9]])


@pytest.mark.parametrize("uniform", [2.0**-33, 1 - 2.0**-33])
def test_a_draw_at_the_edge_is_a_code(uniform):
    codes, _ = draw(np.array([[-50.0, 0.0, -90.0]], np.float32), np.array([uniform]))
    assert codes[0] in (0, 1)


def test_draws_are_frozen():
    uniform = seeds.scene_uniforms([7, 2**64 - 1], [0, place(-1, 2)], 3, 3)
    expected = [[0.288669726229, 0.319300345029, 0.321549891378], [0.790351681528, 0.0760770790512, 0.79556169163]]
    np.testing.assert_allclose(uniform, expected, rtol=1e-9)
    np.testing.assert_allclose(
        seeds.object_uniforms(7, place(1, -2), 3), [0.796879923553, 0.281228443957, 0.145066274679], rtol=1e-9
    )


def test_places_are_different_addresses():
    assert len({place(x, y) for x in (-(2**31), -1, 0, 1, 2**31 - 1) for y in (-(2**31), -1, 0, 1)}) == 20
