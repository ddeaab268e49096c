"""Seeds: frozen numbers, and the same number for the same address however it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import seeds

SEEDS = st.integers(0, seeds.MAX_SEED)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(counter, key, expected):
    words = seeds.philox(np.array([[counter]], np.uint32), np.array([key], np.uint32))
    assert words[0, 0].tolist() == expected


def test_latents_are_frozen():
    drawn = seeds.latents([0, 7, seeds.MAX_SEED], 3)
    expected = [
        [0.99113768, -0.92466259, -0.61760896],
        [0.00029156765, -0.30484697, 1.7887573],
        [1.0985957, 0.63230222, 0.64585996],
    ]
    np.testing.assert_allclose(drawn, np.array(expected, np.float32), rtol=2e-6)


def test_action_normals_are_frozen():
    drawn = seeds.action_normals(3, [1, 2, 2**63], 5, 3)
    expected = [[-2.1522415, 0.9178123, -1.985176], [-1.0196849, 0.4700499, 2.137541], [0.6881886, -0.78308517, 1.3746579]]
    np.testing.assert_allclose(drawn, np.array(expected, np.float32), rtol=2e-6)


@given(st.lists(SEEDS, min_size=1, max_size=8), st.integers(1, 40))
def test_a_latent_is_the_same_alone_and_in_a_batch(numbers, size):
    batch = seeds.latents(numbers, size)
    for row, seed in zip(batch, numbers, strict=True):
        np.testing.assert_array_equal(row, seeds.latents([seed], size)[0])


@pytest.mark.parametrize("size", [4 * seeds.CACHED - 1, 4 * seeds.CACHED, 4 * seeds.CACHED + 1, 50_000])
def test_a_long_draw_is_the_same_in_parts_and_rows(size):
    numbers = [5, seeds.MAX_SEED, 0]
    noise = seeds.avatar_noise(numbers, size)
    for row, seed in zip(noise, numbers, strict=True):
        np.testing.assert_array_equal(row, seeds.avatar_noise([seed], size)[0])
    counters = np.zeros((1, size // 4, 4), np.uint32)
    counters[..., 0] = np.arange(size // 4) | (seeds.Purpose.AVATAR_NOISE << 24)
    places = [0, seeds.CACHED - 2, size // 4 - 1]
    key = np.array([[5, 0]], np.uint32)
    whole = seeds.philox(counters, key)
    for place in places:
        np.testing.assert_array_equal(whole[:, [place]], seeds.philox(counters[:, [place]], key))
    np.testing.assert_array_equal(noise[:, :100], seeds.avatar_noise(numbers, 100))


def test_no_counters_draw_nothing():
    assert seeds.philox(np.empty((0, 3, 4), np.uint32), np.zeros((1, 2), np.uint32)).shape == (0, 3, 4)


@pytest.mark.parametrize("size", [9, 4 * seeds.CACHED + 1])
def test_rows_keep_their_own_counters_and_keys(size):
    worlds, many = np.arange(5, dtype=np.uint64), np.array([seeds.MAX_SEED, 3, 3, 0, 1], np.uint64)
    drawn = seeds.scene_uniforms(many, worlds, 2, size)
    for row, seed, world in zip(drawn, many, worlds, strict=True):
        np.testing.assert_array_equal(row, seeds.scene_uniforms([seed], [world], 2, size)[0])


@given(SEEDS, st.lists(SEEDS, min_size=1, max_size=8), st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_a_draw_depends_on_seed_agent_and_tick_alone(seed, agents, tick, width):
    for draw in (seeds.action_normals, seeds.action_gumbels):
        batch = draw(seed, agents, tick, width)
        assert np.isfinite(batch).all()
        for row, agent in zip(batch, agents, strict=True):
            np.testing.assert_array_equal(row, draw(seed, [agent], tick, width)[0])


def test_purposes_seeds_agents_and_ticks_give_independent_draws():
    rows = [
        seeds.latents([5], 64)[0],
        seeds.avatar_noise([5], 64)[0],
        seeds.action_normals(5, [0], 0, 64)[0],
        seeds.action_normals(5, [1], 0, 64)[0],
        seeds.action_normals(5, [0], 1, 64)[0],
        seeds.action_normals(6, [0], 0, 64)[0],
    ]
    correlations = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlations).max() < 0.5


def test_normals_and_gumbels_have_their_moments():
    normal = seeds.latents(range(2000), 50)
    gumbel = seeds.action_gumbels(1, range(2000), 0, 50)
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert abs(gumbel.mean() - 0.5772) < 0.02
    assert abs(gumbel.std() - np.pi / np.sqrt(6)) < 0.02


@pytest.mark.parametrize("width", [0, -1, 4 * seeds.MAX_BLOCKS])
def test_a_width_out_of_range_is_refused(width):
    with pytest.raises(ValueError, match="width is"):
        seeds.latents([1], width)
