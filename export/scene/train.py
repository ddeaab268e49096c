"""The training run of a VQ-VAE: data, model and loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.scene import data, loop, pictures
from export.scene.config import TrainConfig
from export.scene.tasks import PictureTask, Task, TileTask
from export.scene.tiles import TileSource
from export.scene.trained import open_vqvae, recorded
from export.scene.vqvae_trainer import VQVAETrainer, normalisation

KIND = "scene-vqvae"


def train(config: TrainConfig) -> Path:
    """Trains until a budget ends or a signal comes; returns the path of the checkpoint."""
    loop.prepare(config)
    trainer = build(config)
    return loop.run(config, trainer, KIND)


def build(config: TrainConfig) -> VQVAETrainer:
    """The trainer of a configuration with its data."""
    if config.model.mode == "image":
        task, sheet = picture_task(config)
        trainer = VQVAETrainer(config, task)
    else:
        train_set, held_out = load_data(config, "train"), load_data(config, "held-out")
        source = TileSource(train_set.worlds)
        middle, scale = normalisation(source)
        trainer = VQVAETrainer(config, TileTask(source, TileSource(held_out.worlds)), middle=middle, scale=scale)
        sheet = train_set.datasheet.to_json()
    trainer.datasheet = sheet
    if config.start_from and not config.resume:
        _start_from(trainer, config)
    return trainer


def _start_from(trainer: VQVAETrainer, config: TrainConfig) -> None:
    """Raises CheckpointError without a VQ-VAE there, ValueError when it has another shape."""
    model, state = open_vqvae(config.start_from)
    if model.config != config.model:
        ours, theirs = vars(config.model), vars(model.config)
        wrong = "; ".join(f"{key} is {ours[key]} here, {theirs[key]} there" for key in ours if ours[key] != theirs[key])
        raise ValueError(f"the VQ-VAE to start from has another shape: {wrong}; give the same --model options")
    trainer.start_from(model, [*state["earlier"], recorded(state)])


def load_data(config: TrainConfig, split: data.Split) -> data.Dataset:
    """The worlds of a run."""
    return data.load(
        config.source,
        config.path,
        config.licence,
        sources=config.sources,
        seed=config.seed,
        split=split,
        cache=config.cache,
        reading=config.reading,
    )


def picture_task(config: TrainConfig) -> tuple[Task, dict[str, object]]:
    """The pictures of image mode: a folder's, of which a tenth is held out, or built-in worlds, rendered."""
    size = config.model.image_size
    if config.source == data.FOLDER:
        images = pictures.read_folder(Path(config.path), size)
        order = np.random.default_rng(0).permutation(len(images))
        held = max(1, len(images) // 10)
        sources = [pictures.PictureSource(images[part]) for part in (order[held:], order[:held])]
        name = f"folder {Path(config.path).resolve().name}"
        sheet: dict[str, object] = {"source": name, "licence": config.licence, "count": len(images)}
        return PictureTask(sources[0], sources[1]), sheet
    train_set, held_out = load_data(config, "train"), load_data(config, "held-out")
    rendered = [pictures.RenderedSource(part.worlds, size) for part in (train_set, held_out)]
    return PictureTask(rendered[0], rendered[1]), train_set.datasheet.to_json()
