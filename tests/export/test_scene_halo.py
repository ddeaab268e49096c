"""Rules of decoding a tile with the codes around it: nothing else than one large decoding would give."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from scene_examples import SMALL

from export.scene.halo import DECODER_MARGIN, HaloDecoder
from export.scene.vqvae import VQVAE

INSIDE = slice(1, -1)
FARTHER = 2e-3
"""What codes behind the margin may change: the last corners of the kernels reach a fifth code."""


@pytest.fixture(params=[{}, {"quantiser": "fsq"}, {"downsampling": 8}], ids=["vq", "fsq", "downsampling 8"])
def vqvae(request: pytest.FixtureRequest) -> VQVAE:
    torch.manual_seed(0)
    made = VQVAE(dataclasses.replace(SMALL, **request.param), middle=3.0, scale=5.0).eval().requires_grad_(False)
    if made.config.quantiser == "vq":
        made.quantiser.codebook.normal_()
    return made


def block(vqvae: VQVAE) -> torch.Tensor:
    """The codes of 3 x 3 tiles."""
    side = 3 * vqvae.config.grid
    return torch.randint(vqvae.codes, (2, side, side), generator=torch.Generator().manual_seed(1))


def test_without_neighbours_a_tile_is_what_the_model_decodes(vqvae: VQVAE) -> None:
    decoder, grid = HaloDecoder(vqvae), vqvae.config.grid
    codes = block(vqvae)[:, :grid, :grid]
    found = decoder(torch.nn.functional.pad(codes, (DECODER_MARGIN,) * 4, value=decoder.outside))
    expected = vqvae.decode(codes)
    torch.testing.assert_close(found.height, expected.height, atol=1e-4, rtol=0)
    for name in ("ground", "objects"):
        torch.testing.assert_close(getattr(found, name)[:, :, INSIDE, INSIDE], getattr(expected, name), atol=1e-4, rtol=0)


def test_among_neighbours_a_tile_and_its_ring_are_the_middle_of_one_large_decoding(vqvae: VQVAE) -> None:
    codes, grid, cells = block(vqvae), vqvae.config.grid, vqvae.config.size
    seen = slice(grid - DECODER_MARGIN, 2 * grid + DECODER_MARGIN)
    found, expected = HaloDecoder(vqvae)(codes[:, seen, seen]), vqvae.decode(codes)
    vertices, told = slice(cells, 2 * cells + 1), slice(cells - 1, 2 * cells + 1)
    torch.testing.assert_close(found.height, expected.height[:, vertices, vertices], atol=FARTHER, rtol=0)
    for name in ("ground", "objects"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name)[:, :, told, told], atol=FARTHER, rtol=0)


def test_pictures_have_no_neighbours() -> None:
    with pytest.raises(TypeError, match="one of pictures"):
        HaloDecoder(VQVAE(dataclasses.replace(SMALL, mode="image", image_size=32)))
