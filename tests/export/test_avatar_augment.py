"""Rules of the augmentations: each one equals a slow reference, happens as often as asked, and lets gradients through."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from export.avatar.augment import Draw, Pipeline, apply, draw
from export.avatar.augment_colour import colour_matrices, recolour
from export.avatar.augment_geometry import affine_matrices, blit, blit_maps, warp

SIZE = 6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 4, channels: int = 4, size: int = SIZE, seed: int = 0) -> Tensor:
    """Random pictures in [-1, 1]; with four channels the colours are below alpha, as premultiplied ones are."""
    values = np.random.default_rng(seed).random((count, channels, size, size))
    if channels == 4:
        values[:, :3] *= values[:, 3:]
    return torch.from_numpy(2.0 * values - 1.0)


def reference_blit(image: np.ndarray, flip: bool, turns: int, shift: tuple[int, int]) -> np.ndarray:
    turned = np.rot90(image[:, :, ::-1] if flip else image, turns, axes=(1, 2))
    size, (right, down) = image.shape[1], shift
    padded = np.pad(turned, ((0, 0), (size, size), (size, size)), mode="symmetric")
    return padded[:, size - down : 2 * size - down, size - right : 2 * size - right]


def reference_sample(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """The bilinear value at a place in pixels, (0, 0) being the middle of the first one; the picture reflects at its edges."""
    size = image.shape[1]
    padded = np.pad(image, ((0, 0), (4 * size, 4 * size), (4 * size, 4 * size)), mode="symmetric")
    column, row = math.floor(x), math.floor(y)
    right, down = x - column, y - row
    value = np.zeros(len(image))
    for i, share_y in ((0, 1 - down), (1, down)):
        for j, share_x in ((0, 1 - right), (1, right)):
            value += share_y * share_x * padded[:, row + i + 4 * size, column + j + 4 * size]
    return value


def reference_warp(image: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Four samples a pixel, each looked up through the matrix."""
    size = image.shape[1]
    result = np.zeros_like(image)
    for row in range(size):
        for column in range(size):
            for i in (0.25, 0.75):
                for j in (0.25, 0.75):
                    place = np.array([2 * (column + j) / size - 1, 2 * (row + i) / size - 1, 1.0])
                    x, y, _ = inverse @ place
                    result[:, row, column] += reference_sample(image, (x + 1) * size / 2 - 0.5, (y + 1) * size / 2 - 0.5) / 4
    return result


def reference_colour(colour: np.ndarray, values: dict[str, float]) -> np.ndarray:
    """One straight colour in [-1, 1], changed step by step."""
    colour = (colour + values["brightness"]) * values["contrast"]
    if values["luma_flip"]:
        colour = colour - 2.0 * colour.mean()
    axis = np.ones(3) / math.sqrt(3.0)
    cosine, sine = math.cos(values["hue"]), math.sin(values["hue"])
    colour = colour * cosine + np.cross(axis, colour) * sine + axis * (axis @ colour) * (1 - cosine)
    return colour.mean() + (colour - colour.mean()) * values["saturation"]


@given(flip=st.booleans(), turns=st.integers(0, 3), right=st.integers(-4, 4), down=st.integers(-4, 4))
def test_moving_whole_pixels_is_mirroring_turning_and_shifting(flip: bool, turns: int, right: int, down: int) -> None:
    images = pictures(1)
    maps = blit_maps(torch.tensor([flip]), torch.tensor([turns]), torch.tensor([[right, down]]), SIZE)
    expected = reference_blit(images[0].numpy(), flip, turns, (right, down))
    assert np.array_equal(blit(images, maps)[0].numpy(), expected)


@pytest.mark.parametrize("channels", [3, 4])
def test_general_geometry_equals_sampling_pixel_by_pixel(channels: int) -> None:
    images = pictures(6, channels)
    matrices = draw("bg", 1.0, 6, SIZE, generator(2)).affine
    warped = warp(images, matrices)
    for image, matrix, result in zip(images, matrices, warped, strict=True):
        np.testing.assert_allclose(result.numpy(), reference_warp(image.numpy(), matrix.numpy()), atol=1e-9)


def test_the_affine_matrix_undoes_its_five_steps() -> None:
    rng = np.random.default_rng(4)
    scale, stretch = rng.uniform(0.5, 2.0, (2, 8))
    first, last = rng.uniform(-3, 3, (2, 8))
    shift = rng.uniform(-0.3, 0.3, (8, 2))
    values = {"scale": scale, "rotate_first": first, "stretch": stretch, "rotate_last": last, "shift": shift}
    matrices = affine_matrices(**{name: torch.from_numpy(value) for name, value in values.items()})
    for index, matrix in enumerate(matrices.numpy()):
        source = rng.uniform(-1, 1, 2)
        place = source * scale[index]
        for angle, factor in ((first[index], stretch[index]), (last[index], 1.0)):
            turned = complex(*place) * complex(math.cos(angle), math.sin(angle))
            place = np.array([turned.real * factor, turned.imag / factor])
        place = place + 2 * shift[index]
        np.testing.assert_allclose((matrix @ [*place, 1.0])[:2], source, atol=1e-12)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_equal_changing_pixel_by_pixel(channels: int) -> None:
    rng, count = np.random.default_rng(5), 6
    drawn = {
        "brightness": rng.normal(size=count),
        "contrast": rng.uniform(0.5, 2, count),
        "hue": rng.uniform(-3, 3, count),
        "saturation": rng.uniform(0, 2, count),
        "luma_flip": np.arange(count) % 2 == 0,
    }
    images = pictures(count, channels)
    result = recolour(images, colour_matrices(**{name: torch.from_numpy(value) for name, value in drawn.items()}))
    for index in range(count):
        values = {name: float(value[index]) for name, value in drawn.items()}
        for row, column in np.ndindex(SIZE, SIZE):
            before, after = (batch[index, :, row, column].numpy() for batch in (images, result))
            alpha = (before[3] + 1) / 2 if channels == 4 else 1.0
            straight = 2 * ((before[:3] + 1) / 2 / alpha) - 1
            expected = 2 * alpha * ((reference_colour(straight, values) + 1) / 2) - 1
            np.testing.assert_allclose(after[:3], expected, atol=1e-9)
            if channels == 4:
                assert after[3] == before[3]


def test_nothing_is_drawn_where_nothing_is_seen() -> None:
    images = torch.full((8, 4, SIZE, SIZE), -1.0)
    changed = apply(images, draw("bgc", 1.0, 8, SIZE, generator()))
    torch.testing.assert_close(changed, images)


@pytest.mark.parametrize("pipeline", ["none", "blit", "bg", "bgc"])
def test_probability_zero_is_the_identity_bit_for_bit(pipeline: Pipeline) -> None:
    images = pictures(8).float()
    assert torch.equal(apply(images, draw(pipeline, 0.0, 8, SIZE, generator())), images)


def test_every_change_happens_to_the_asked_share_of_pictures() -> None:
    p, count, cells = 0.4, 20_000, 32
    drawn = draw("bgc", p, count, cells, generator())
    # A coin, a quarter turn out of four, and a shift out of 9 x 9 may each turn out to change nothing.
    assert drawn.flip.float().mean().item() == pytest.approx(p / 2, abs=0.015)
    assert (drawn.turns != 0).float().mean().item() == pytest.approx(p * 3 / 4, abs=0.015)
    assert (drawn.shift != 0).any(dim=1).float().mean().item() == pytest.approx(p * 80 / 81, abs=0.015)
    assert (drawn.shift.min().item(), drawn.shift.max().item()) == (-4, 4)
    # Scaling, stretching, moving, and two rotations that together have probability p.
    same = (drawn.affine == torch.eye(3, dtype=torch.float64)).flatten(1).all(dim=1)
    assert same.float().mean().item() == pytest.approx((1 - p) ** 4, abs=0.015)
    # Four colour changes, and the luma flip of a coin.
    same = (drawn.colour - torch.eye(4, dtype=torch.float64)).abs().flatten(1).amax(dim=1) < 1e-9
    assert same.float().mean().item() == pytest.approx((1 - p) ** 4 * (1 - p / 2), abs=0.015)


def test_scales_and_colours_have_the_papers_spread() -> None:
    drawn = draw("bgc", 1.0, 20_000, 32, generator())
    determinants = torch.linalg.det(drawn.affine)
    # The area shrinks by the squared scale 2^N(0, 0.2); stretching and turning keep it.
    assert (determinants.log2() / 2).std().item() == pytest.approx(0.2, rel=0.05)
    volume = torch.linalg.det(drawn.colour[:, :3, :3]).abs().log2()
    # Contrast counts three times, saturation twice.
    assert volume.std().item() == pytest.approx(math.hypot(3 * 0.5, 2 * 1.0), rel=0.05)


def test_pictures_that_are_not_drawn_come_out_untouched_beside_changed_ones() -> None:
    images = pictures(64, size=8).float()
    drawn = draw("bgc", 0.2, 64, 8, generator(1))
    changed = apply(images, drawn)
    plain = ~drawn.flip & (drawn.turns == 0) & (drawn.shift == 0).all(dim=1)
    plain &= (drawn.affine == torch.eye(3)).flatten(1).all(dim=1) & (drawn.colour == torch.eye(4)).flatten(1).all(dim=1)
    assert 0 < plain.sum() < 64
    assert torch.equal(changed[plain], images[plain])
    assert (changed[~plain] != images[~plain]).flatten(1).any(dim=1).all()


def test_pixel_art_stays_on_its_grid_of_cells() -> None:
    cells = pictures(32, size=8).float()
    images = cells.repeat_interleave(2, 2).repeat_interleave(2, 3)
    changed = apply(images, draw("blit", 1.0, 32, 8, generator()), pixel_size=2)
    coarse = changed[:, :, ::2, ::2]
    assert torch.equal(changed, coarse.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_a_warp_that_stays_put_keeps_all_but_sharp_edges() -> None:
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(warp(flat, torch.eye(3)[None]), flat)


@pytest.mark.parametrize("pipeline", ["blit", "bg", "bgc"])
def test_gradients_flow_through_every_change(pipeline: Pipeline) -> None:
    images = pictures(3, size=4).requires_grad_()
    drawn = draw(pipeline, 1.0, 3, 4, generator(7))
    assert torch.autograd.gradcheck(lambda x: apply(x, drawn), (images,))
    (gradient,) = torch.autograd.grad(apply(images, drawn).sum(), images)
    assert (gradient != 0).flatten(1).any(dim=1).all()


def test_equal_generators_draw_equally_and_a_part_has_its_own_draws() -> None:
    first, second, other = (draw("bgc", 0.5, 16, 32, generator(seed)) for seed in (3, 3, 4))
    names = [field.name for field in dataclasses.fields(Draw)]
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)
    assert not torch.equal(first.affine, other.affine)
    images, chosen = pictures(16, size=8), torch.tensor([5, 2, 11])
    assert torch.equal(apply(images, first)[chosen], apply(images[chosen], first.part(chosen)))
