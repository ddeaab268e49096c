"""Rules of the two networks: shapes at every size, mixing, truncation, noise and the batch statistic."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from export.avatar.layers import Resample
from export.avatar.model import Discriminator, Generator, ModelConfig, minibatch_stddev

TINY = ModelConfig(latent_size=8, mapping_layers=2, channels=(4, 4, 4, 4))


@pytest.fixture
def generator() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(TINY)
        generator.mapping.w_mean.normal_()
        for conv in generator.synthesis.convs:
            conv.noise_strength.data.fill_(0.1)
    return generator.requires_grad_(False)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def styles(generator: Generator, truncation: float, start: int = 0, end: int = 0) -> Tensor:
    level, layers = torch.full((3,), truncation), (torch.full((3,), start), torch.full((3,), end))
    return generator.mapping(normal(1, 3, 8), normal(2, 3, 8), level, *layers)


@pytest.mark.parametrize(
    ("size", "resample"), [(32, "nearest"), (64, "linear"), (128, "nearest"), (256, "linear"), (1024, "linear")]
)
def test_both_networks_fit_every_size(size: int, resample: Resample) -> None:
    config = ModelConfig(image_size=size, latent_size=4, mapping_layers=1, channel_base=64, channel_max=4, resample=resample)
    generator, discriminator = Generator(config), Discriminator(config)
    w = torch.randn(1, config.num_layers, 4)
    with torch.no_grad():
        image = generator.synthesis(w, torch.randn(1, config.noise_size))
        assert image.shape == (1, 4, size, size)
        assert discriminator(image).shape == (1,)


@pytest.mark.parametrize("size", [0, 16, 33, 48, 2048])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size is {size}; it must be a power of two from 32 to 1024"):
        ModelConfig(image_size=size)


def test_a_wrong_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"channels has 2 numbers; it needs one for each of \[4, 8, 16, 32\]"):
        ModelConfig(channels=(8, 8))


def test_the_card_numbers_agree_with_the_network(generator: Generator) -> None:
    assert TINY.num_layers == 8
    assert TINY.noise_size == 16 + 2 * (64 + 256 + 1024)
    maps = generator.synthesis.noise_maps(torch.arange(TINY.noise_size)[None].float())
    assert [part.shape[-1] for part in maps] == [4, 8, 8, 16, 16, 32, 32]
    assert len(maps) == len(generator.synthesis.convs) == TINY.num_layers - 1
    flat = torch.cat([part.flatten(1) for part in maps], dim=1)
    assert torch.equal(flat[0], torch.arange(TINY.noise_size).float())


def test_a_latent_counts_by_its_direction_only(generator: Generator) -> None:
    z = normal(1, 5, 8)
    torch.testing.assert_close(generator.mapping.to_w(z), generator.mapping.to_w(z * 17.0))


def test_truncation_zero_gives_the_mean_and_one_changes_nothing(generator: Generator) -> None:
    mean = generator.mapping.w_mean
    assert torch.equal(styles(generator, 0.0), mean.expand(3, 8, 8))
    torch.testing.assert_close(styles(generator, 1.0), generator.mapping.to_w(normal(1, 3, 8))[:, None].expand(3, 8, 8))
    half = styles(generator, 0.5)
    torch.testing.assert_close(half, (styles(generator, 0.0) + styles(generator, 1.0)) / 2)


@pytest.mark.parametrize(("start", "end"), [(0, 8), (0, 0), (3, 8), (8, 8), (0, 2), (2, 5), (5, 2)])
def test_mixing_takes_the_second_latent_in_its_range_of_layers(generator: Generator, start: int, end: int) -> None:
    mixed = styles(generator, 1.0, start, end)
    first, second = generator.mapping.to_w(normal(1, 3, 8)), generator.mapping.to_w(normal(2, 3, 8))
    for index in range(8):
        torch.testing.assert_close(mixed[:, index], second if start <= index < end else first)


def test_a_latent_of_zeros_has_a_style(generator: Generator) -> None:
    assert torch.isfinite(generator.mapping.to_w(torch.zeros(1, 8))).all()


@pytest.mark.parametrize("palette", [0, 6])
def test_cells_are_drawn_as_squares(palette: int) -> None:
    config = ModelConfig(latent_size=8, mapping_layers=1, channels=(4, 4, 4), pixel_size=2, palette_size=palette)
    generator, discriminator = Generator(config).requires_grad_(False), Discriminator(config)
    assert config.resolutions == [4, 8, 16]
    image = generator.synthesis(normal(0, 2, config.num_layers, 8), normal(1, 2, config.noise_size))
    assert image.shape == (2, 4, 32, 32)
    cells = image[:, :, ::2, ::2]
    assert torch.equal(image, cells.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    assert discriminator(image).shape == (2,)


@pytest.mark.parametrize(("pixel_size", "most"), [(0, 2), (3, 2), (4, 2)])
def test_a_grid_of_too_few_cells_is_refused(pixel_size: int, most: int) -> None:
    message = f"pixel_size is {pixel_size}; it must be a power of two from 1 to {most} for 32 pixels"
    with pytest.raises(ValueError, match=message):
        ModelConfig(pixel_size=pixel_size)


def test_every_style_and_every_noise_map_reaches_the_picture(generator: Generator) -> None:
    w, noise = styles(generator, 1.0).requires_grad_(), normal(3, 3, TINY.noise_size).requires_grad_()
    image = generator.synthesis(w, noise)
    grad_w, grad_noise = torch.autograd.grad(image.square().sum(), (w, noise))
    assert (grad_w.abs().sum(dim=2) > 0).all()
    for part in generator.synthesis.noise_maps(grad_noise):
        assert part.abs().sum() > 0


def test_pictures_of_a_batch_do_not_depend_on_each_other(generator: Generator) -> None:
    w, noise = styles(generator, 1.0), normal(3, 3, TINY.noise_size)
    together = generator.synthesis(w, noise)
    for index in range(3):
        alone = generator.synthesis(w[index : index + 1], noise[index : index + 1])
        torch.testing.assert_close(alone[0], together[index], rtol=1e-4, atol=1e-5)


def test_the_batch_statistic_is_the_spread_within_a_group() -> None:
    x = normal(0, 8, 3, 4, 4)
    feature = minibatch_stddev(x, group=4)[:, 3]
    for member in range(2):
        group = x[member::2]
        expected = group.var(dim=0, unbiased=False).add(1e-8).sqrt().mean()
        torch.testing.assert_close(feature[member::2], expected.expand(4, 4, 4))


@pytest.mark.parametrize(("batch", "spread"), [(1, False), (3, True), (6, True)])
def test_the_batch_statistic_takes_any_batch(batch: int, spread: bool) -> None:
    x = normal(0, batch, 2, 4, 4)
    feature = minibatch_stddev(x, group=4)[:, 2]
    assert feature.shape == (batch, 4, 4)
    if not spread:
        assert feature.max() <= 1.001e-4


def test_equal_pictures_have_no_spread() -> None:
    x = normal(0, 1, 2, 4, 4).expand(8, -1, -1, -1)
    assert minibatch_stddev(x)[:, 2].max() <= 1.001e-4
