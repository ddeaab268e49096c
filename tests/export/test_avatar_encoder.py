"""Rules of projection: an encoder begins by changing nothing, learns to come nearer, goes on where it stopped, and is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from tiny_training import noise_pictures

from export.avatar import companions, encoder_report
from export.avatar.companions import Projector
from export.avatar.encoder import Encoder, mean_styles, project
from export.avatar.encoder_training import EncoderRecipe, EncoderTrainer, picture_loss, train_encoder
from export.avatar.model import Generator, ModelConfig
from export.avatar.to_onnx import encoder_graph
from export.checkpoint import CheckpointError
from export.onnx_model import export_graph
from export.parity import check_parity

MODEL = ModelConfig(image_size=32, pixel_size=2, palette_size=6, latent_size=8, mapping_layers=1, channels=(8, 8, 8))
RECIPE = EncoderRecipe(pool=64, batch=32, drawn=8, refinements=2)


@pytest.fixture(scope="module")
def generator() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = Generator(MODEL)
        network.mapping.w_mean.normal_()
        assert network.synthesis.palette is not None
        network.synthesis.palette.colours.uniform_(-1.0, 1.0)
    return network.eval().requires_grad_(False)


def moved_encoder() -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        encoder = Encoder(MODEL)
        torch.nn.init.normal_(encoder.change.weight, std=0.05)
    return encoder.eval().requires_grad_(False)


def feeds(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    images = [torch.from_numpy(rng.uniform(-1, 1, (count, 4, 32, 32)).astype(np.float32)) for _ in range(2)]
    return images[0], images[1], torch.from_numpy(rng.standard_normal((count, MODEL.num_layers, 8), np.float32))


def test_a_new_encoder_changes_nothing() -> None:
    image, current, w = feeds(3)
    assert torch.equal(Encoder(MODEL)(image, current, w), w)


@pytest.mark.parametrize("size", [32, 64, 256])
def test_encoders_of_every_size_end_in_four_by_four_cells_and_stay_small(size: int) -> None:
    model = ModelConfig(image_size=size, latent_size=64)
    encoder = Encoder(model)
    w = torch.zeros(1, model.num_layers, 64)
    image = torch.zeros(1, 4, size, size)
    assert encoder(image, image, w).shape == w.shape
    assert 2 * sum(parameter.numel() for parameter in encoder.parameters()) <= 2.5e6


def test_projection_starts_from_the_mean_avatar(generator: Generator) -> None:
    image, _, _ = feeds(2)
    noise = torch.zeros(2, MODEL.noise_size)
    answers = project(generator, moved_encoder(), image, noise, 3)
    assert len(answers) == 4
    assert torch.equal(answers[0][0], mean_styles(generator, 2))
    for w, drawn in answers:
        with torch.no_grad():
            assert torch.equal(drawn, generator.synthesis(w, noise).clamp(-1.0, 1.0))
    with torch.no_grad():
        assert torch.equal(answers[2][0], moved_encoder()(image, answers[1][1], answers[1][0]))


def test_pictures_of_another_shape_are_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match=r"pictures are \[3, 32, 32\]; this generator draws \[4, 32, 32\]"):
        project(generator, Encoder(MODEL), torch.zeros(1, 3, 32, 32), torch.zeros(1, MODEL.noise_size), 1)


def test_equal_pictures_have_no_loss_and_cells_count_once() -> None:
    one, two = torch.rand(2, 4, 32, 32), torch.rand(2, 4, 32, 32)
    assert picture_loss(one, one, 2).tolist() == [0.0, 0.0]
    big = [picture.repeat_interleave(2, 2).repeat_interleave(2, 3) for picture in (one, two)]
    torch.testing.assert_close(picture_loss(big[0], big[1], 2), picture_loss(one, two, 1))


@pytest.mark.parametrize("pictures", [noise_pictures(channels=4), np.empty((0,), np.uint8)])
def test_training_brings_avatars_nearer_to_their_styles(generator: Generator, pictures: np.ndarray) -> None:
    trainer = EncoderTrainer(generator, pictures, RECIPE)
    for _ in range(40):
        trainer.train_step()
    images, styles = trainer.new_avatars(64)
    noise = torch.zeros(64, MODEL.noise_size)
    answers = project(generator, trainer.average, torch.from_numpy(images) / 127.5 - 1.0, noise, 2)
    apart = [trainer.distance(w, styles).mean().item() for w, _ in answers]
    assert apart[1] < 0.9 * apart[0]
    assert apart[2] < 0.9 * apart[0]


def test_projections_under_way_hold_the_picture_of_their_styles(generator: Generator) -> None:
    trainer = EncoderTrainer(generator, noise_pictures(channels=4), RECIPE)
    torch.nn.init.normal_(trainer.encoder.change.weight, std=0.05)
    for _ in range(8):
        trainer.train_step()
    assert trainer.real is not None
    for pool in (trainer.avatars, trainer.real):
        assert set(pool.corrections.tolist()) == {0, 1}
        at_start = pool.corrections == 0
        assert torch.equal(pool.w_in[at_start], mean_styles(generator, int(at_start.sum())))
        assert (pool.w_in[~at_start] != generator.mapping.w_mean).any(dim=(1, 2)).all()
        assert (pool.current[at_start] == trainer.mean_image).all()


def test_training_stops_by_itself_and_goes_on_where_it_stopped(generator: Generator, tmp_path: Path) -> None:
    trainer = EncoderTrainer(generator, noise_pictures(channels=4), RECIPE)
    train_encoder(trainer, 0.005)
    steps, seconds = trainer.step, trainer.seconds
    assert steps >= 1
    trainer.save(tmp_path / "encoder.pt", "digest")
    again = EncoderTrainer(generator, noise_pictures(channels=4), RECIPE)
    again.load(tmp_path / "encoder.pt", "digest")
    assert (again.step, again.seconds) == (steps, seconds)
    for one, two in zip(trainer.encoder.parameters(), again.encoder.parameters(), strict=True):
        assert torch.equal(one, two)
    train_encoder(again, 0.005)
    assert again.step > steps
    assert again.seconds > seconds


def test_the_state_of_another_generator_or_recipe_is_refused(generator: Generator, tmp_path: Path) -> None:
    trainer = EncoderTrainer(generator, noise_pictures(channels=4), RECIPE)
    trainer.save(tmp_path / "encoder.pt", "digest")
    with pytest.raises(CheckpointError, match="belongs to another state of the generator; train without --resume"):
        trainer.load(tmp_path / "encoder.pt", "other")
    other = EncoderTrainer(generator, noise_pictures(channels=4), dataclasses.replace(RECIPE, batch=16))
    with pytest.raises(CheckpointError, match="was trained with"):
        other.load(tmp_path / "encoder.pt", "digest")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        trainer.load(tmp_path / "none.pt", "digest")


def test_training_on_pictures_without_numbers_stops(generator: Generator) -> None:
    trainer = EncoderTrainer(generator, noise_pictures(channels=4), RECIPE)
    trainer.encoder.hidden.bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="training of the encoder diverged at step 1"):
        train_encoder(trainer, 5.0)
    assert trainer.step == 0


def test_the_report_compares_with_avatars_that_cost_nothing(generator: Generator) -> None:
    images = encoder_report.nearest_random(generator, noise_pictures(4, 4), np.random.default_rng(7), count=50)
    report = encoder_report.measure_projection(generator, moved_encoder(), images, steps=2, compared=3)
    distance = report["distance"]
    assert list(distance) == ["steps_0", "steps_1", "steps_2", "best_of_the_steps", "nearest_of_1000_random"]
    assert distance["best_of_the_steps"]["pixels"] <= min(distance[f"steps_{count}"]["pixels"] for count in (1, 2))
    assert distance["nearest_of_1000_random"]["pixels"] < distance["steps_0"]["pixels"]
    assert len(encoder_report.table(report).splitlines()) == 2 + 5


def test_the_nearest_random_avatar_of_an_avatar_is_itself(generator: Generator) -> None:
    noise = noise_pictures(4, 4)
    found = encoder_report.nearest_random(generator, noise, np.random.default_rng(7), count=50)
    again = encoder_report.nearest_random(generator, found, np.random.default_rng(7), count=50)
    assert np.array_equal(found, again)
    assert (encoder_report.pixel_distance(found, again) == 0.0).all()


def test_pairs_stand_one_above_the_other(tmp_path: Path) -> None:
    originals, avatars = np.full((5, 3, 8, 8), 10, np.uint8), np.full((5, 3, 8, 8), 200, np.uint8)
    encoder_report.save_pairs(originals, avatars, tmp_path / "new" / "pairs.png", columns=2, enlarge=1)
    with Image.open(tmp_path / "new" / "pairs.png") as image:
        sheet = np.asarray(image)
    assert sheet.shape == (2 * (8 + 8) + 4, 16, 3)
    assert (sheet[:8] == 10).all()
    assert (sheet[8:16] == 200).all()


def test_an_encoder_is_kept_beside_a_checkpoint_for_one_state_of_the_generator(generator: Generator, tmp_path: Path) -> None:
    projector = Projector(moved_encoder().half().float(), 3, {"distance": {}})
    assert companions.read_projector(tmp_path, generator) is None
    companions.write_projector(projector, tmp_path, generator)
    again = companions.read_projector(tmp_path, generator)
    assert again is not None
    assert (again.steps, again.measured) == (3, {"distance": {}})
    image, current, w = feeds(2)
    assert torch.equal(again.encoder(image, current, w), projector.encoder(image, current, w))


def test_the_encoder_graph_computes_the_same(generator: Generator, tmp_path: Path) -> None:
    encoder = moved_encoder()
    graph = encoder_graph(generator, encoder)
    export_graph(graph, tmp_path / "encoder.onnx", {})
    assert check_parity(graph, tmp_path / "encoder.onnx", seed=0).error <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "encoder.onnx"), providers=["CPUExecutionProvider"])
    image, current, w = feeds(3)
    (found,) = session.run(["w"], {"image": image.numpy(), "current": current.numpy(), "w_in": w.numpy()})
    np.testing.assert_allclose(found, encoder(image, current, w).numpy(), atol=1e-4)
