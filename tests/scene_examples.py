"""Small worlds and models of the scene family for tests: made in milliseconds, without pyworldgen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bridge.scene_rules import ground_classes
from export import checkpoint
from export.scene import data
from export.scene.classes import GROUND, METRES_PER_CELL, NOTHING, TREE
from export.scene.code_windows import encode_windows
from export.scene.config import TrainConfig
from export.scene.datasheet import Datasheet, measured
from export.scene.prior_config import PriorConfig, PriorTrainConfig
from export.scene.prior_trainer import PriorTrainer
from export.scene.tasks import TileTask
from export.scene.tiles import TileSource
from export.scene.trained import Trained, load_checkpoint
from export.scene.vqvae_config import VQVAEConfig
from export.scene.vqvae_trainer import VQVAETrainer
from export.scene.world import World

SMALL = VQVAEConfig(hidden=16, residual_hidden=8, fine=8, codebook=32, code_width=8)
SMALL_PRIOR = PriorConfig(width=32, heads=2, layers=2, code_width=16)


def world(number: int = 0, rows: int = 200, columns: int = 200) -> World:
    """Waves of some metres with ground by the rule and trees in a checkerboard of plots."""
    rng = np.random.default_rng(number)
    row, column = np.mgrid[0 : rows + 1, 0 : columns + 1]
    phases, lengths = rng.uniform(0.0, 6.0, 4), rng.uniform(9.0, 30.0, 4)
    height = 4.0 * np.sin(row / lengths[0] + phases[0]) + 3.0 * np.cos(column / lengths[1] + phases[1])
    height += 2.0 * np.sin((row + column) / lengths[2] + phases[2]) + 2.0
    ground = ground_classes(height.astype(np.float32), METRES_PER_CELL, GROUND)
    plots = (row[:-1, :-1] // 8 + column[:-1, :-1] // 8) % 2 == 0
    objects = np.where(plots & (ground > 1), TREE, NOTHING).astype(np.uint8)
    return World(f"waves-{number}", height.astype(np.float32), ground, objects)


def dataset(worlds: Sequence[World], split: str = "train") -> data.Dataset:
    """A data set of given worlds."""
    sheet = Datasheet(
        source="waves",
        licence="CC0-1.0",
        attribution="",
        redistributable=True,
        split=split,
        seed=1,
        metres_per_cell=METRES_PER_CELL,
        worlds={"waves": len(worlds)},
        left_out=0,
        scales={},
        versions={},
        **measured(worlds),
    )
    return data.Dataset(list(worlds), sheet, [])


def trainer(folder: Path, **options: Any) -> VQVAETrainer:
    """A small VQ-VAE's trainer on three worlds, one of them held out."""
    config = TrainConfig(**{"runs": folder, "batch": 4, "ktiles": 0.02, "log_every": 1, "model": SMALL} | options)
    worlds = [world(number) for number in range(3)]
    made = VQVAETrainer(config, TileTask(TileSource(worlds[:2]), TileSource(worlds[2:]), 4), middle=2.0, scale=5.0)
    made.datasheet = dataset(worlds[:2]).datasheet.to_json()
    return made


def prior_trainer(folder: Path, below: VQVAETrainer, **options: Any) -> PriorTrainer:
    """A small prior's trainer on the codes of a small VQ-VAE."""
    config = PriorTrainConfig(**{"runs": folder, "batch": 4, "ktiles": 0.02, "log_every": 1, "model": SMALL_PRIOR} | options)
    below.model.eval()
    windows = [encode_windows(below.model, [world(number)], 16, config.model.margin, 1) for number in (0, 2)]
    return PriorTrainer(config, below.model, below.state(), *windows)


def trained(folder: Path, steps: int = 2, **options: Any) -> Trained:
    """A small VQ-VAE and prior, trained for some steps and read back from the prior's checkpoint."""
    torch.manual_seed(0)
    below = trainer(folder)
    for _ in range(steps):
        below.train_step()
    above = prior_trainer(folder, below, **options)
    for _ in range(steps):
        above.train_step()
    path = folder / "prior" / "checkpoint.pt"
    checkpoint.save(path, "scene-prior", above.state())
    return load_checkpoint(path)


__all__ = ["SMALL", "SMALL_PRIOR", "dataset", "prior_trainer", "trained", "trainer", "world"]
