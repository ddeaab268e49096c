"""Rules of the VQ-VAE: shapes, what flows where, and losses in metres."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scene_examples import SMALL, world

from export.scene import reconstruction
from export.scene.tasks import tensors
from export.scene.tiles import TileSource
from export.scene.vqvae import VQVAE, Decoded
from export.scene.vqvae_config import VQVAEConfig
from export.scene.vqvae_loss import slope_loss, tile_losses

TILES = TileSource([world()]).draw(3, 1)


def model(**changes: object) -> VQVAE:
    torch.manual_seed(0)
    made = VQVAE(dataclasses.replace(SMALL, **changes), middle=2.0, scale=5.0)
    if made.config.quantiser == "vq":
        made.quantiser.codebook.normal_()
    return made


@pytest.mark.parametrize(("downsampling", "quantiser"), [(4, "vq"), (8, "vq"), (4, "fsq"), (8, "fsq")])
def test_a_tile_becomes_codes_and_a_tile_again(downsampling: int, quantiser: str) -> None:
    made = model(downsampling=downsampling, quantiser=quantiser)
    codes = made.encode(*tensors(TILES))
    assert codes.shape == (3, 64 // downsampling, 64 // downsampling)
    assert codes.dtype == torch.int64
    assert codes.max() < made.codes == made.config.codes
    decoded = made.decode(codes)
    assert decoded.height.shape == (3, 65, 65)
    assert decoded.ground.shape == (3, 8, 64, 64)
    assert decoded.objects.shape == (3, 4, 64, 64)


@pytest.mark.parametrize("quantiser", ["vq", "fsq"])
def test_every_weight_of_encoder_and_decoder_learns(quantiser: str) -> None:
    made = model(quantiser=quantiser)
    inputs = tensors(TILES)
    decoded, quantised, _ = made(*inputs)
    (sum(tile_losses(decoded, *inputs, 2.0).values()) + quantised.loss).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_pictures_become_codes_and_pictures_again() -> None:
    made = model(mode="image", image_size=64)
    pictures = torch.rand(2, 3, 64, 64)
    codes = made.encode(pictures)
    assert codes.shape == (2, 16, 16)
    assert made.decode(codes).shape == (2, 3, 64, 64)


def test_the_papers_network_takes_pictures_of_256_pixels() -> None:
    config = VQVAEConfig(mode="image")
    assert (config.image_size, config.hidden, config.residual_layers, config.residual_hidden) == (256, 128, 2, 32)
    assert config.grid == 64


def test_a_perfect_tile_costs_nothing_and_a_metre_costs_half() -> None:
    height, ground, objects = tensors(TILES)
    sure = [torch.nn.functional.one_hot(part, count).permute(0, 3, 1, 2) * 50.0 for part, count in ((ground, 8), (objects, 4))]
    perfect = tile_losses(Decoded(height, *sure), height, ground, objects, 2.0)
    assert all(value.item() == pytest.approx(0.0, abs=1e-6) for value in perfect.values())
    lifted = tile_losses(Decoded(height + 1.0, *sure), height, ground, objects, 2.0)
    assert lifted["height"].item() == pytest.approx(0.5, abs=1e-4)
    assert lifted["slope"].item() == pytest.approx(0.0, abs=1e-6)


def test_the_slope_loss_counts_rise_over_run() -> None:
    tilted = torch.arange(65.0).expand(1, 65, 65) * 0.5
    # 0.5 m on 2 m is a slope of 0.25, the unit: a half in one direction, nothing in the other.
    assert slope_loss(tilted, torch.zeros(1, 65, 65), 2.0).item() == pytest.approx(0.25)


def test_figures_are_perfect_for_a_perfect_tile() -> None:
    figures = reconstruction.class_figures(TILES.ground, TILES.ground, ("a", "b", "c", "d", "e", "f", "g", "h"))
    assert figures.pop("accuracy") == 1.0
    assert all(value == {"recall": 1.0, "iou": 1.0} for value in figures.values())
    wrong = reconstruction.class_figures(np.zeros((1, 2, 2)), np.array([[[0, 0], [1, 1]]]), ("a", "b", "c"))
    assert wrong == {"accuracy": 0.5, "a": {"recall": 1.0, "iou": 0.5}, "b": {"recall": 0.0, "iou": 0.0}}


def test_encoding_alone_and_in_a_batch_gives_the_same_codes() -> None:
    made = model().eval()
    alone = [reconstruction.encode(made, TILES[n : n + 1]) for n in range(3)]
    assert np.array_equal(np.concatenate(alone), reconstruction.encode(made, TILES))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"downsampling": 5}, "downsampling is 5; it must be 4 or 8"),
        ({"mode": "image", "image_size": 30}, "image_size is 30"),
        ({"codebook": 1}, "codebook is 1; it must be from 2 to 65536"),
        ({"hidden": 0}, "hidden is 0; it must be above 0"),
    ],
)
def test_impossible_shapes_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VQVAEConfig(**options)
