"""Rules of palettes: the data's own colours, commonest first, and one of them in every cell of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.avatar.config import TrainConfig
from export.avatar.model import Generator, ModelConfig, Palette
from export.avatar.palette import APART, choose_palette, match_palette, palette_use
from export.avatar.trainer import Trainer


def pictures(counts: dict[tuple[int, ...], int]) -> np.ndarray:
    """One picture of 8 x 8 pixels with so many pixels of each colour."""
    pixels = [colour for colour, count in counts.items() for _ in range(count)]
    return np.array(pixels, np.uint8).reshape(1, 8, 8, -1).transpose(0, 3, 1, 2)


def as_bytes(palette: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(colour) for colour in np.rint((palette + 1.0) * 127.5).astype(int).tolist()]


def test_the_commonest_colours_come_first_and_near_ones_are_left_out() -> None:
    images = pictures({(10, 20, 30, 255): 40, (11, 20, 30, 255): 16, (0, 0, 0, 0): 6, (200, 0, 0, 255): 2})
    assert as_bytes(choose_palette(images, 3, apart=3)) == [(10, 20, 30, 255), (0, 0, 0, 0), (200, 0, 0, 255)]
    assert as_bytes(choose_palette(images, 2, apart=1)) == [(10, 20, 30, 255), (11, 20, 30, 255)]


def test_a_palette_larger_than_the_colours_repeats_the_first() -> None:
    images = pictures({(10, 20, 30): 60, (200, 0, 0): 4})
    assert as_bytes(choose_palette(images, 4)) == [(10, 20, 30), (200, 0, 0), (10, 20, 30), (10, 20, 30)]


@given(seed=st.integers(0, 1000), count=st.integers(2, 12), apart=st.sampled_from(sorted(APART.values())))
@settings(max_examples=20, deadline=None)
def test_chosen_colours_are_the_datas_and_far_enough_apart(seed: int, count: int, apart: int) -> None:
    images = np.random.default_rng(seed).integers(0, 4, (3, 4, 8, 8)).astype(np.uint8) * 60
    chosen = choose_palette(images, count, apart=apart)
    present = {tuple(colour) for colour in images.transpose(0, 2, 3, 1).reshape(-1, 4).tolist()}
    assert set(as_bytes(chosen)) <= present
    assert len(set(as_bytes(chosen))) == count


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_matching_reorders_and_leaves_equal_palettes_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = rng.uniform(-1, 1, (2, 9, 4)).astype(np.float32)
    use = rng.dirichlet(np.ones(9))
    matched = match_palette(old, new, use)
    assert sorted(map(tuple, matched)) == sorted(map(tuple, new))
    np.testing.assert_array_equal(match_palette(old, rng.permutation(old), use), old)


def test_places_that_are_much_used_take_near_colours_and_the_rest_what_is_left() -> None:
    old = np.array([[0.0], [0.2], [0.9]], np.float32)
    new = np.array([[0.15], [0.7], [-1.0]], np.float32)
    # The nearest pair of all, 0.2 and 0.15, would leave -1 or 0.7 to the place of nearly all cells.
    assert match_palette(old, new, np.array([0.9, 0.01, 0.09])).ravel().tolist() == pytest.approx([0.15, -1.0, 0.7])
    assert match_palette(old, new, np.array([0.01, 0.9, 0.09])).ravel().tolist() == pytest.approx([-1.0, 0.15, 0.7])


def test_the_use_of_a_palette_is_the_share_of_drawn_cells() -> None:
    torch.manual_seed(0)
    model = ModelConfig(palette_size=5, latent_size=8, mapping_layers=1, channels=(4, 4, 4, 4))
    generator = Generator(model).requires_grad_(False)
    use = palette_use(generator)
    assert use.shape == (5,)
    assert use.sum() == pytest.approx(1.0)
    generator.synthesis.to_image[-1].bias[3] = 1e6
    np.testing.assert_array_equal(palette_use(generator), [0, 0, 0, 1, 0])


@pytest.mark.parametrize("mix", ["one", "blend"])
def test_gradients_see_the_blend_and_pictures_of_pixel_art_one_colour(mix: str) -> None:
    palette = Palette(ModelConfig(palette_size=5, palette_mix=mix))
    rng = torch.Generator().manual_seed(0)
    palette.colours.copy_(torch.rand(5, 4, generator=rng) * 2 - 1)
    scores = torch.randn(2, 5, 3, 3, generator=rng)
    blend = torch.einsum("nkhw,kc->nchw", scores.softmax(dim=1), palette.colours)
    torch.testing.assert_close(palette(scores.clone().requires_grad_(True)), blend)
    drawn = palette(scores)
    if mix == "blend":
        torch.testing.assert_close(drawn, blend)
    else:
        best = palette.colours[scores.argmax(dim=1)].permute(0, 3, 1, 2)
        assert torch.equal(drawn, best)


def test_sharper_scores_come_nearer_to_one_colour_and_to_the_same_one() -> None:
    scores = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    plain, sharp = (Palette(ModelConfig(palette_size=5, palette_sharpness=sharpness)) for sharpness in (1.0, 3.0))
    for palette in (plain, sharp):
        palette.colours.copy_(torch.linspace(-1, 1, 20).reshape(5, 4))
        palette(scores.clone().requires_grad_(True))
    assert sharp.impurity < plain.impurity
    assert torch.equal(sharp(scores), plain(scores))


def test_a_sharpness_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="palette_sharpness is 0; it must be above 0"):
        ModelConfig(palette_size=5, palette_sharpness=0)


def test_a_model_says_how_far_its_colours_are_apart() -> None:
    images = (np.random.default_rng(1).geometric(0.3, (40, 4, 32, 32)).clip(1, 40) * 6).astype(np.uint8)
    for asked, least in ((0, APART["one"]), (40, 40)):
        model = ModelConfig(palette_size=6, palette_apart=asked)
        chosen = Trainer(TrainConfig(model=model), images).generator.synthesis.palette.colours.numpy()
        levels = np.rint((chosen + 1.0) * 127.5)
        between = np.abs(levels[:, None] - levels[None]).max(axis=2)[~np.eye(6, dtype=bool)]
        assert (between >= least).all()
        assert asked or between.min() < 40
    with pytest.raises(ValueError, match="palette_apart is 256; it must be from 0 to 255"):
        ModelConfig(palette_size=6, palette_apart=256)
