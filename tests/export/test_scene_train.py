"""Rules of the VQ-VAE's training: exact resume, budgets, curves, sheets, and what is refused."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scene_examples import SMALL, dataset, trainer, world

from export import checkpoint
from export.scene import data, loop
from export.scene import train as training
from export.scene.config import TrainConfig
from export.scene.train import KIND, train
from export.scene.trained import open_trained
from export.scene.vqvae_trainer import VQVAETrainer

SMALL_PICTURES = dataclasses.replace(SMALL, mode="image", image_size=32)


@pytest.fixture
def waves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in worlds replaced by small ones."""
    sets = {"train": dataset([world(0), world(1)]), "held-out": dataset([world(2)], "held-out")}
    monkeypatch.setattr(data, "load", lambda *_, split, **__: sets[split])


def config(folder: Path, **options: object) -> TrainConfig:
    return TrainConfig(**{"runs": folder, "batch": 4, "log_every": 1, "model": SMALL} | options)


def same(first: object, second: object) -> bool:
    """Whether two nested states are equal bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


@pytest.mark.usefixtures("waves")
def test_a_run_in_sessions_is_the_run_in_one_go(tmp_path: Path) -> None:
    whole = train(config(tmp_path / "a", ktiles=0.1))
    for stop in (0.028, 0.06, 0.1):
        part = train(config(tmp_path / "b", ktiles=stop, resume=stop != 0.028))
    states = [checkpoint.load(path, KIND) for path in (whole, part)]
    for state in states:
        for key in ("seconds", "config"):
            del state[key]
    assert states[0]["step"] == 25
    assert states[0]["restarted"] > 0
    assert same(*states)


@pytest.mark.usefixtures("waves")
def test_a_run_leaves_a_checkpoint_curves_a_sheet_and_its_configuration(tmp_path: Path) -> None:
    path = train(config(tmp_path, ktiles=0.02))
    names = {file.name.split(".")[0] for file in path.parent.iterdir()}
    assert {"checkpoint", "config", "events", "progress", "samples-000000020"} <= names
    with Image.open(path.parent / "samples-000000020.png") as sheet:
        assert sheet.width == 8 * 64 * 2
    metrics = checkpoint.load(path, KIND)["metrics"]
    assert {"held-out/height_mae_m", "held-out/ground_accuracy", "held-out/perplexity", "codes/used"} <= metrics.keys()


@pytest.mark.usefixtures("waves")
def test_a_signal_ends_the_run_after_the_step_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = VQVAETrainer.train_step

    def interrupted(self: VQVAETrainer) -> None:
        step(self)
        if self.step == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(VQVAETrainer, "train_step", interrupted)
    assert checkpoint.load(train(config(tmp_path, ktiles=1.0)), KIND)["step"] == 3


@pytest.mark.usefixtures("waves")
def test_training_lowers_the_losses(tmp_path: Path) -> None:
    made = trainer(tmp_path, learning_rate=3e-3)
    made.train_step()
    before = dict(made.metrics)
    for _ in range(150):
        made.train_step()
    assert made.metrics["loss/height"] < 0.7 * before["loss/height"]
    assert made.metrics["loss/ground"] < 0.8 * before["loss/ground"]


def test_the_seed_decides_the_weights_and_the_tiles(tmp_path: Path) -> None:
    first, second, other = (trainer(tmp_path, seed=seed) for seed in (1, 1, 2))
    for made in (first, second, other):
        made.train_step()
    weights = [made.model.encoder.to_code.weight for made in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.usefixtures("waves")
def test_other_options_are_refused_on_resume(tmp_path: Path) -> None:
    train(config(tmp_path, ktiles=0.01))
    with pytest.raises(ValueError, match=r"trained with commitment = 0.25, not 0.5"):
        train(config(tmp_path, ktiles=0.02, resume=True, commitment=0.5))
    with pytest.raises(ValueError, match="go on with --resume or choose another --run name"):
        train(config(tmp_path, ktiles=0.02))


def test_a_run_without_a_budget_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no budget"):
        train(config(tmp_path))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.model.encoder.to_code.weight.data[0, 0] = torch.nan
    made.metrics = {}
    with pytest.raises(loop.Diverged, match=r"weight model.encoder.to_code.weight is not finite"):
        loop.check_finite(made.networks(), made.metrics, 4)


def test_normalisation_does_not_follow_a_few_summits() -> None:
    flat = world()
    peaks = flat.height.copy()
    peaks[::40, ::40] = 500.0
    sources = [training.TileSource([dataclasses.replace(flat, height=height)]) for height in (flat.height, peaks)]
    (middle, scale), (other_middle, other_scale) = (training.normalisation(source, 64) for source in sources)
    assert other_middle == pytest.approx(middle, abs=0.2)
    assert other_scale == pytest.approx(scale, rel=0.1)


@pytest.mark.usefixtures("waves")
def test_image_mode_learns_from_rendered_worlds(tmp_path: Path) -> None:
    path = train(config(tmp_path, ktiles=0.02, model=SMALL_PICTURES))
    assert "held-out/psnr_db" in checkpoint.load(path, KIND)["metrics"]
    with pytest.raises(checkpoint.CheckpointError, match="is a VQ-VAE of pictures, which no prior draws; onnx publishes it"):
        open_trained(str(path.parent))


def test_image_mode_learns_from_a_folder(tmp_path: Path) -> None:
    folder, rng = tmp_path / "art", np.random.default_rng(0)
    folder.mkdir()
    for number in range(20):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(folder / f"{number}.png")
    options = {"source": "folder", "path": str(folder), "licence": "CC0-1.0", "model": SMALL_PICTURES}
    state = checkpoint.load(train(config(tmp_path, ktiles=0.02, **options)), KIND)
    assert state["datasheet"] == {"source": "folder art", "licence": "CC0-1.0", "count": 20}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch is 0; it must be above 0"),
        ({"minutes": -1.0}, "minutes is -1.0; it must not be below 0"),
        ({"decay": 1.0}, "decay is 1.0; it must be from 0 to below 1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainConfig(**options)
