"""Rules of pretraining: it learns to draw and to give styles, and training goes on from what it leaves."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import TINY, assert_identical, noise_pictures, tiny_config

from export import checkpoint
from export.avatar.autoencoder import PictureEncoder, nearest_colour, reconstruction_loss
from export.avatar.model import Discriminator, Generator, Mapping, ModelConfig
from export.avatar.palette import choose_palette
from export.avatar.pretrain import DRAWING_KIND, Drawing, PretrainConfig, begin_with, schedule
from export.avatar.style_game import StyleGame, StyleGameConfig
from export.avatar.train import train
from export.avatar.trained import open_trained

QUICK = StyleGameConfig(steps=4, batch=16)
CELLS = dataclasses.replace(TINY, pixel_size=2, channels=(4, 4, 4), palette_size=6)


def pretraining(folder: Path, **changes: object) -> PretrainConfig:
    config = PretrainConfig(
        runs=folder / "runs", cache=folder.parent / "faces", faces=40, kimg=0.8, batch=8, model=TINY, encoded=20, game=QUICK
    )
    return dataclasses.replace(config, **changes)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> PretrainConfig:
    config = pretraining(tmp_path_factory.mktemp("pretrained"))
    config.pretrain()
    return config


def losses(config: PretrainConfig) -> list[float]:
    events = EventAccumulator(str(config.training.folder)).Reload()
    return [point.value for point in events.Scalars("pretrain/loss")]


def test_it_learns_to_draw_the_pictures_again(tmp_path: Path, pretrained: PretrainConfig) -> None:
    begun = pretraining(tmp_path, kimg=0.008)
    begun.pretrain()
    assert losses(pretrained)[-1] < 0.7 * losses(begun)[0]


def test_equal_options_give_equal_networks(tmp_path: Path) -> None:
    first, second = (pretraining(tmp_path, run=run, kimg=0.04) for run in ("first", "second"))
    networks = [open_trained(str(config.pretrain())).generator.state_dict() for config in (first, second)]
    for name, weight in networks[0].items():
        assert torch.equal(weight, networks[1][name]), name


def test_a_run_is_not_written_over(pretrained: PretrainConfig) -> None:
    with pytest.raises(ValueError, match=r"checkpoint.pt\" exists; give --resume to go on, or choose another --run name"):
        pretrained.pretrain()


def test_a_stopped_autoencoder_goes_on_bit_for_bit(tmp_path: Path) -> None:
    config, pictures = pretraining(tmp_path, model=CELLS), noise_pictures()
    whole, part, rest = (drawing(config) for _ in range(3))
    for step in range(6):
        whole.train_step(pictures, 1.0 / (step + 1))
    for step in range(3):
        part.train_step(pictures, 1.0 / (step + 1))
    checkpoint.save(tmp_path / "drawing.pt", DRAWING_KIND, part.state())
    rest.restore(checkpoint.load(tmp_path / "drawing.pt", DRAWING_KIND))
    for step in range(3, 6):
        rest.train_step(pictures, 1.0 / (step + 1))
    assert_identical(whole.state(), rest.state())


def drawing(config: PretrainConfig) -> Drawing:
    torch.manual_seed(0)
    return Drawing(config, Generator(config.model).synthesis)


def test_a_stopped_run_goes_on_from_its_autoencoder(tmp_path: Path) -> None:
    first, second = (pretraining(tmp_path, run=run, kimg=0.04) for run in ("first", "second"))
    first.pretrain()
    path = second.pretrain()
    networks = open_trained(str(path)).generator.state_dict()
    path.unlink()
    with pytest.raises(ValueError, match=r"drawing.pt\" exists; give --resume"):
        second.pretrain()
    with pytest.raises(ValueError, match=r"the run was begun with style_noise = 0\.15, not 0\.3; use another --run name"):
        dataclasses.replace(second, style_noise=0.3, resume=True).pretrain()
    dataclasses.replace(second, resume=True).pretrain()
    again = open_trained(str(path))
    for name, weight in again.generator.state_dict().items():
        assert torch.equal(weight, networks[name]), name
    assert "resume" not in again.stages[0]["command"]


def test_training_goes_on_from_it_and_names_it(tmp_path: Path, pretrained: PretrainConfig) -> None:
    source = pretrained.training.folder
    trained = open_trained(str(train(tiny_config(tmp_path, kimg=0.016, start_from=str(source), mixing=0.0))))
    (first, last) = trained.stages
    words = shlex.split(first["command"])
    assert words[:5] == ["python", "-m", "export", "avatar", "pretrain"]
    again = tyro.cli(PretrainConfig, args=words[5:])
    assert dataclasses.replace(again, runs=pretrained.runs, cache=pretrained.cache) == pretrained
    assert first["pictures_seen"] == 800
    assert "avatar train" in last["command"]
    assert last["pictures_seen"] == 16


def test_a_grid_with_a_palette_is_pretrained_too(tmp_path: Path) -> None:
    trained = open_trained(str(pretraining(tmp_path, model=CELLS, kimg=0.04).pretrain()))
    assert trained.generator.synthesis.palette.colours.unique(dim=0).shape[0] > 1


def test_the_nearest_colour_is_the_one_at_the_smallest_distance() -> None:
    generator = Generator(CELLS)
    generator.synthesis.palette.colours.copy_(torch.randn(6, 3))
    images = torch.randn(3, 3, 32, 32)
    cells = images.reshape(3, 3, 16, 2, 16, 2).mean(dim=(3, 5))
    distance = (cells[:, None] - generator.synthesis.palette.colours[None, :, :, None, None]).square().sum(dim=2)
    assert torch.equal(nearest_colour(generator.synthesis, images), distance.argmin(dim=1))


def test_the_loss_of_what_was_drawn_is_zero() -> None:
    synthesis = Generator(TINY).synthesis
    w = torch.randn(2, TINY.latent_size)
    with torch.no_grad():
        images = synthesis(w[:, None].expand(-1, TINY.num_layers, -1), torch.zeros(2, TINY.noise_size))
        assert reconstruction_loss(synthesis, w, images) == 0.0
        assert reconstruction_loss(synthesis, w, images + 0.1) > 0.1


def test_with_a_palette_the_loss_is_the_cross_entropy_of_the_data_s_colours() -> None:
    synthesis = Generator(dataclasses.replace(CELLS, palette_sharpness=2.0)).synthesis
    pictures = np.random.default_rng(0).integers(0, 2, (4, 3, 32, 32), np.uint8) * 255
    synthesis.palette.colours.copy_(torch.from_numpy(choose_palette(pictures, 6)))
    w, images = torch.randn(4, CELLS.latent_size), torch.from_numpy(pictures) / 127.5 - 1.0
    styles = w[:, None].expand(-1, CELLS.num_layers, -1)
    with torch.no_grad():
        shares = (2.0 * synthesis.scores(styles, torch.zeros(4, CELLS.noise_size))).log_softmax(dim=1)
        wanted = nearest_colour(synthesis, images)
        expected = -shares.gather(1, wanted[:, None]).mean()
        assert reconstruction_loss(synthesis, w, images) == pytest.approx(expected.item(), rel=1e-5)


def test_the_encoder_gives_styles_of_unit_deviation() -> None:
    torch.manual_seed(0)
    encoder = PictureEncoder(TINY)
    styles = encoder(10.0 * torch.randn(64, 3, 32, 32))
    assert styles.shape == (64, TINY.latent_size)
    torch.testing.assert_close(styles.mean(dim=0), torch.zeros(TINY.latent_size), atol=1e-4, rtol=0)
    torch.testing.assert_close(styles.var(dim=0, unbiased=False), torch.ones(TINY.latent_size), atol=0.02, rtol=0)


def test_the_discriminator_begins_with_the_encoder_s_layers() -> None:
    encoder, discriminator = PictureEncoder(TINY), Discriminator(TINY)
    verdict = discriminator.logit.weight.clone()
    begin_with(discriminator, encoder.layers)
    for ours, theirs in zip(discriminator.blocks.parameters(), encoder.layers.blocks.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(discriminator.conv.weight[:, :-1], encoder.layers.conv.weight)
    assert torch.equal(discriminator.logit.weight, verdict)


def test_the_mapping_network_comes_to_give_the_styles_it_is_shown() -> None:
    torch.manual_seed(0)
    centre = torch.linspace(-1.5, 1.5, 8)
    styles = centre + 0.5 * torch.randn(2000, 8)
    config = StyleGameConfig(steps=1000, batch=64, learning_rate=0.2)
    game = StyleGame(config, Mapping(ModelConfig(latent_size=8)), styles, 0.15, seed=2)

    def astray() -> float:
        """How far the mean of the mapped styles is from that of the pictures' styles."""
        with torch.no_grad():
            z = torch.randn(2000, 8, generator=torch.Generator().manual_seed(5))
            return (game.mapping.to_w(z).mean(dim=0) - centre).norm().item()

    before = astray()
    for _ in range(400):
        game.step()
    assert astray() < 0.4 * before, (astray(), before)


def test_the_mean_style_is_that_of_the_averaged_mapping_network() -> None:
    game = StyleGame(QUICK, Mapping(ModelConfig(latent_size=8)), torch.randn(100, 8), 0.15, seed=2)
    game.step()
    mapping = game.averaged()
    with torch.no_grad():
        mean = mapping.to_w(torch.randn(20_000, 8)).mean(dim=0)
    torch.testing.assert_close(mapping.w_mean, mean, atol=0.05, rtol=0)


def test_the_learning_rate_rises_then_falls_along_a_quarter_of_a_cosine() -> None:
    assert schedule(0, 1000) == pytest.approx(1 / 200)
    assert schedule(500, 1000) == pytest.approx(0.7071, abs=1e-4)
    assert schedule(999, 1000) == 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kimg": 0.0}, "kimg is 0.0; it must be above 0"),
        ({"style_noise": -0.1}, "style_noise is -0.1; it must not be below 0"),
        ({"encoded": 0}, "encoded is 0; it must be above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pretraining(tmp_path, **changes)


def test_a_judge_sees_whole_groups_of_styles() -> None:
    with pytest.raises(ValueError, match="batch a multiple of 8"):
        StyleGameConfig(batch=20)
