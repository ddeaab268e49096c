"""Rules of drawing few pictures again: random styles are matched with pictures, and the generator learns to draw those."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import assert_identical, tiny_config

from export.avatar.config import TrainConfig
from export.avatar.model import Generator, ModelConfig
from export.avatar.optimal_transport import PAIRS, OptimalTransport, coarse
from export.avatar.pictures import to_uint8
from export.avatar.train import CHECKPOINT, train
from export.avatar.trainer import Trainer
from export.checkpoint import load

SHAPE = ModelConfig(latent_size=8, mapping_layers=2, channels=(8, 8, 8), pixel_size=2, palette_size=6)


def generator(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    made = Generator(SHAPE)
    assert made.synthesis.palette is not None
    made.synthesis.palette.colours.copy_(torch.rand(6, 4) * 2 - 1)
    made.mapping.requires_grad_(False)
    return made


def drawn_by(network: Generator, styles: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        w = styles[:, None].expand(-1, SHAPE.num_layers, -1)
        return to_uint8(network.synthesis(w, torch.zeros(len(w), SHAPE.noise_size)).numpy())


def transport(network: Generator, images: np.ndarray, learning_rate: float = 0.01) -> OptimalTransport:
    average = copy.deepcopy(network).requires_grad_(False)
    return OptimalTransport(network, average, images, torch.Generator().manual_seed(3), learning_rate=learning_rate)


def test_drawings_are_matched_with_the_pictures_they_are_of() -> None:
    network = generator()
    # The search draws the same random numbers: the pictures are those of its own styles.
    rng = torch.Generator().manual_seed(3)
    torch.randperm(PAIRS, generator=rng)
    with torch.no_grad():
        styles = network.mapping.to_w(torch.randn(PAIRS, SHAPE.latent_size, generator=rng))
    images = drawn_by(network, styles)
    search = transport(network, images)
    assert search.search() < 0.1
    np.testing.assert_array_equal(drawn_by(network, search.styles), images[search.rows])


@pytest.mark.parametrize(("count", "each"), [(60, 5), (120, 2), (PAIRS + 100, 1)])
def test_every_style_has_one_picture_and_every_picture_as_many_styles(count: int, each: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 32, 32), np.uint8)
    search = transport(generator(), images)
    search.search()
    assert len(search.styles.unique(dim=0)) == len(search.rows)
    pictures, styles = search.rows.unique(return_counts=True)
    assert len(pictures) == min(count, PAIRS)
    assert (styles == each).all()


def test_the_generator_learns_to_draw_the_pictures_and_its_mapping_stays() -> None:
    network, other = generator(0), generator(5)
    assert network.synthesis.palette is not None
    other.synthesis.palette = network.synthesis.palette
    with torch.no_grad():
        images = drawn_by(other, other.mapping.to_w(torch.randn(40, SHAPE.latent_size)))
    before = copy.deepcopy(network.mapping.state_dict())
    learning = transport(network, images)
    losses = [float(learning.train_step(step, 16, 1.0)) for step in range(60)]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    assert_identical(dict(network.mapping.state_dict()), dict(before))


def test_pictures_are_compared_by_the_means_of_cells() -> None:
    images = torch.zeros(1, 3, 64, 64)
    images[0, 1, :4, :4] = 1.0
    assert coarse(images).reshape(3, 16, 16)[1, 0, 0] == 1.0
    assert coarse(images).sum() == 1.0


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run of eight steps, the first five of which draw, from another run's networks."""
    folder = tmp_path_factory.mktemp("drawing") / "run"
    source = train(tiny_config(folder, run="source", model=SHAPE, kimg=0.016, mirror=False))
    return tiny_config(
        folder, start_from=str(source), model=SHAPE, kimg=0.064, draw_kimg=0.04, freeze_mapping=True, mirror=False
    )


def test_a_run_that_stopped_while_it_drew_goes_on_exactly(started: TrainConfig) -> None:
    whole, parts = (dataclasses.replace(started, run=name) for name in ("whole", "parts"))
    train(whole)
    for kimg in (0.024, 0.048, 0.064):
        train(dataclasses.replace(parts, kimg=kimg, resume=kimg > 0.024))
    states = [load(config.folder / CHECKPOINT, "avatar") for config in (whole, parts)]
    for name in ("generator", "average", "discriminator", "optimisers", "augmentation", "rng", "step"):
        assert_identical(states[0][name], states[1][name], name)


def test_only_the_synthesis_network_learns_while_it_draws(started: TrainConfig) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 32, 32), np.uint8)
    trainer = Trainer(dataclasses.replace(started, seed=2), images)
    discriminator, mapping = (copy.deepcopy(dict(n.state_dict())) for n in (trainer.discriminator, trainer.generator.mapping))
    constant = trainer.generator.synthesis.constant.detach().clone()
    while trainer.draws:
        trainer.train_step()
    assert trainer.images_seen == 40
    assert_identical(dict(trainer.discriminator.state_dict()), discriminator)
    assert_identical(dict(trainer.generator.mapping.state_dict()), mapping)
    assert not torch.equal(trainer.generator.synthesis.constant, constant)
    trainer.train_step()
    assert not torch.equal(trainer.discriminator.dense.weight, discriminator["dense.weight"])


def test_drawing_needs_networks_to_go_on_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="draw_kimg goes on from trained networks; give --start-from as well"):
        tiny_config(tmp_path, draw_kimg=1.0)
