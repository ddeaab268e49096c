"""Rules of pretraining: it learns to draw and to give styles, and training goes on from what it leaves."""

from __future__ import annotations

import dataclasses
import math
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import TINY, assert_identical, noise_pictures, tiny_config

from export import checkpoint
from export.avatar.autoencoder import PictureEncoder, nearest_colour, reconstruction_loss
from export.avatar.drawing import DRAWING_KIND, Drawing, begin_with
from export.avatar.flow import StyleFlow
from export.avatar.model import Discriminator, Generator, Mapping
from export.avatar.palette import choose_palette
from export.avatar.players import schedule
from export.avatar.pretrain import PretrainConfig
from export.avatar.style_flow import FlowConfig, FlowMatching
from export.avatar.train import Stopped, train
from export.avatar.trained import open_trained
from export.avatar.trainer import Diverged

QUICK = FlowConfig(steps=4, batch=16)
FLOW = dataclasses.replace(TINY, mapping="flow", flow_width=16, flow_blocks=1, flow_steps=2)
CELLS = dataclasses.replace(FLOW, pixel_size=2, channels=(4, 4, 4), palette_size=6)


def pretraining(folder: Path, **changes: object) -> PretrainConfig:
    config = PretrainConfig(
        runs=folder / "runs", cache=folder.parent / "faces", faces=40, kimg=0.8, batch=8, model=FLOW, encoded=20, flow=QUICK
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


def test_a_signal_ends_the_drawing_after_the_step_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Drawing.train_step

    def interrupted(self: Drawing, images: np.ndarray, pace: float) -> torch.Tensor:
        loss = step(self, images, pace)
        if self.step == 3:
            signal.raise_signal(signal.SIGTERM)
        return loss

    config, whole = (pretraining(tmp_path, run=run, kimg=0.04) for run in ("stopped", "whole"))
    networks = open_trained(str(whole.pretrain())).generator.state_dict()
    with monkeypatch.context() as patch:
        patch.setattr(Drawing, "train_step", interrupted)
        with pytest.raises(
            Stopped, match=r'after 24 pictures; saved in ".*drawing.pt"; the same command with --resume goes on'
        ):
            config.pretrain()
    assert checkpoint.load(config.training.folder / "drawing.pt", DRAWING_KIND)["step"] == 3
    again = open_trained(str(dataclasses.replace(config, resume=True).pretrain()))
    for name, weight in again.generator.state_dict().items():
        assert torch.equal(weight, networks[name]), name


def test_a_diverged_autoencoder_does_not_replace_its_last_good_state(tmp_path: Path) -> None:
    config = pretraining(tmp_path, kimg=0.024)
    config.pretrain()
    path = config.training.folder / "drawing.pt"
    state = checkpoint.load(path, DRAWING_KIND)
    state["options"] |= {"kimg": 8.0, "learning_rate": 1e30}
    checkpoint.save(path, DRAWING_KIND, state)
    wild = dataclasses.replace(config, kimg=8.0, learning_rate=1e30, resume=True, save_minutes=0.0)
    with pytest.raises(Diverged, match=r"after \d steps; the last good state is \".*drawing.pt\"; a lower --learning-rate"):
        wild.pretrain()
    kept = checkpoint.load(path, DRAWING_KIND)
    assert kept["step"] < 6
    assert all(torch.isfinite(weight).all() for network in kept["networks"].values() for weight in network.values())


def test_a_diverged_mapping_network_leaves_no_checkpoint(tmp_path: Path) -> None:
    wild = pretraining(tmp_path, kimg=0.024, flow=dataclasses.replace(QUICK, learning_rate=1e30))
    with pytest.raises(
        Diverged, match=r"the mapping network diverged after .*drawing.pt\"; go on with --resume and a lower --flow"
    ):
        wild.pretrain()
    assert not (wild.training.folder / "checkpoint.pt").exists()
    dataclasses.replace(wild, flow=QUICK, resume=True).pretrain()


def test_another_shape_begins_with_the_layers_that_agree(tmp_path: Path, pretrained: PretrainConfig) -> None:
    source = pretrained.training.folder
    config = pretraining(tmp_path, run="again", kimg=0.008, model=CELLS, start_from=str(source), learning_rate=1e-9)
    trained = open_trained(str(config.pretrain()))
    ours, theirs = trained.generator.synthesis.state_dict(), open_trained(str(source)).generator.synthesis.state_dict()
    agreeing = {name for name, weight in theirs.items() if name in ours and ours[name].shape == weight.shape}
    kept = {name for name in agreeing if torch.allclose(ours[name], theirs[name], atol=0.02)}
    assert {"convs.0.conv.weight", "convs.2.conv.weight"} <= kept
    assert kept >= {name for name in agreeing if name.startswith("convs.")}
    assert "to_image.0.conv.weight" not in agreeing
    (first, last) = trained.stages
    assert (first["pictures_seen"], last["pictures_seen"]) == (800, 8)
    assert first["command"] == pretrained.command


def test_from_a_generator_without_its_autoencoder_the_encoder_learns_alone_first(
    tmp_path: Path, pretrained: PretrainConfig
) -> None:
    source = tmp_path / "played.pt"
    source.write_bytes((pretrained.training.folder / "checkpoint.pt").read_bytes())
    trained, pictures = open_trained(str(source)), noise_pictures()
    ours = drawing(pretraining(tmp_path))
    ours.begin_with_trained(trained, alone=3)
    assert torch.equal(ours.encoder.layers.conv.weight, trained.discriminator.conv.weight[:, :-1])
    theirs, encoder = trained.generator.synthesis.state_dict(), ours.encoder.layers.logit.weight.clone()
    for _ in range(4):
        assert_identical(ours.synthesis.state_dict(), theirs)
        ours.train_step(pictures, 1.0)
    assert not torch.equal(ours.encoder.layers.logit.weight, encoder)
    ours.train_step(pictures, 1.0)
    assert not torch.equal(ours.synthesis.convs[0].conv.weight, theirs["convs.0.conv.weight"])
    again = pretraining(tmp_path, run="again", kimg=0.04, start_from=str(source), encoder_kimg=0.016)
    stages = open_trained(str(again.pretrain())).stages
    assert [stage["pictures_seen"] for stage in stages] == [800, 40]


def test_what_it_cannot_start_from_is_named(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match='"nothing" is neither a default'):
        pretraining(tmp_path, start_from="nothing").pretrain()


def test_training_goes_on_from_it_and_names_it(tmp_path: Path, pretrained: PretrainConfig) -> None:
    source = pretrained.training.folder
    trained = open_trained(str(train(tiny_config(tmp_path, kimg=0.016, start_from=str(source), mixing=0.0, model=FLOW))))
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


def test_a_colour_that_is_farther_off_costs_more_where_distance_counts() -> None:
    """Scores that are sure of a wrong colour: the cross entropy is the same for all wrong ones, the distance is not."""
    synthesis = Generator(dataclasses.replace(CELLS, palette_size=3)).synthesis
    synthesis.palette.colours.copy_(torch.tensor([[-1.0, -1.0, -1.0], [-0.9, -0.9, -0.9], [1.0, 1.0, 1.0]]))
    w, images = torch.randn(4, CELLS.latent_size), torch.full((4, 3, 32, 32), -1.0)
    costs = {}
    for wrong in (1, 2):
        scores = torch.zeros(4, 3, 16, 16)
        scores[:, wrong] = 20.0
        synthesis.scores = lambda styles, noise, scores=scores: scores  # type: ignore[method-assign]
        costs[wrong] = [reconstruction_loss(synthesis, w, images, weight).item() for weight in (0.0, 1.0)]
    assert costs[1][0] == pytest.approx(costs[2][0])
    assert costs[1][1] - costs[1][0] == pytest.approx(0.1, abs=1e-3)
    assert costs[2][1] - costs[2][0] == pytest.approx(2.0, abs=1e-3)


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
    begin_with(discriminator, encoder.layers.state_dict())
    for ours, theirs in zip(discriminator.blocks.parameters(), encoder.layers.blocks.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(discriminator.conv.weight[:, :-1], encoder.layers.conv.weight)
    assert torch.equal(discriminator.logit.weight, verdict)


def test_the_flow_comes_to_give_the_styles_it_is_shown() -> None:
    """Two kinds of styles, one thrice as frequent as the other: most of what comes out belongs to one, in these shares."""
    rng = torch.Generator().manual_seed(0)
    centre = torch.tensor([[-1.0] * 8, [1.0] * 8])
    kinds = (torch.rand(2000, generator=rng) < 0.25).long()
    styles = centre[kinds] + 0.2 * torch.randn(2000, 8, generator=rng)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        mapping = Mapping(dataclasses.replace(FLOW, flow_width=64, flow_steps=12))
    matching = FlowMatching(FlowConfig(steps=1500, batch=64, learning_rate=0.005), mapping, styles, seed=2)
    for _ in range(1500):
        matching.step()
    with torch.no_grad():
        w = matching.averaged().to_w(torch.randn(2000, 8, generator=rng))
    away = torch.cdist(w, centre)
    near = (away.min(dim=1).values < 1.4).float().mean()
    assert near > 0.9, near
    assert (away.argmin(dim=1) == 1).float().mean() == pytest.approx(0.25, abs=0.08)


def test_the_flow_follows_its_field_by_the_midpoint_rule() -> None:
    flow = StyleFlow(2, 4, 1, 50)
    # dx/dt = (x[1], -x[0]) turns by one radian; the midpoint rule is of second order, Euler's would be 1 % too long.
    flow.velocity = lambda x, time: torch.stack([x[:, 1], -x[:, 0]], dim=1)  # type: ignore[method-assign]
    turned = flow(torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(turned, torch.tensor([[math.cos(1.0), -math.sin(1.0)]]), atol=1e-4, rtol=0)


def test_the_mean_style_is_that_of_the_averaged_mapping_network() -> None:
    matching = FlowMatching(QUICK, Mapping(FLOW), torch.randn(100, 8), seed=2)
    matching.step()
    mapping = matching.averaged()
    with torch.no_grad():
        mean = mapping.to_w(torch.randn(20_000, 8)).mean(dim=0)
    torch.testing.assert_close(mapping.w_mean, mean, atol=0.05, rtol=0)


def test_fully_connected_layers_are_not_pretrained() -> None:
    with pytest.raises(ValueError, match=r"only a flow is pretrained: give --model\.mapping flow"):
        PretrainConfig(model=TINY)
    with pytest.raises(ValueError, match="the mapping network is not a flow"):
        FlowMatching(QUICK, Mapping(TINY), torch.randn(100, 8), seed=2)


def test_the_learning_rate_rises_then_falls_along_a_quarter_of_a_cosine() -> None:
    assert schedule(0, 1000, 200) == pytest.approx(1 / 200)
    assert schedule(500, 1000, 200) == pytest.approx(0.7071, abs=1e-4)
    assert schedule(999, 1000, 200) == 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kimg": 0.0}, "kimg is 0.0; it must be above 0"),
        ({"style_noise": -0.1}, "style_noise is -0.1; it must not be below 0"),
        ({"encoded": 0}, "encoded is 0; it must be above 0"),
        ({"encoder_kimg": -1.0}, "encoder_kimg is -1.0; it must not be below 0"),
        ({"distance_weight": 1.0}, "only a palette of one colour a cell has a use for it"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pretraining(tmp_path, **changes)


@pytest.mark.parametrize("name", ["steps", "batch", "learning_rate"])
def test_flow_options_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"flow {name} is 0; it must be above 0"):
        FlowConfig(**{name: 0})
