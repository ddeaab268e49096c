"""The training run of a prior: the VQ-VAE's worlds as codes, model and loop."""

from __future__ import annotations

from pathlib import Path

from export.scene import code_windows, loop
from export.scene.prior_config import PriorTrainConfig
from export.scene.prior_trainer import PriorTrainer
from export.scene.train import load_data
from export.scene.trained import open_vqvae, train_config

KIND = "scene-prior"
HELD_OUT_WINDOWS = 512


def train_prior(config: PriorTrainConfig) -> Path:
    """Trains until a budget ends or a signal comes; returns the path of the checkpoint."""
    loop.prepare(config)
    return loop.run(config, build(config), KIND)


def build(config: PriorTrainConfig) -> PriorTrainer:
    """The trainer of a configuration with its data; raises CheckpointError where there is no VQ-VAE for tiles."""
    model, state = open_vqvae(config.vqvae)
    if model.config.mode != "tile":
        raise ValueError(f'"{config.vqvae}" was trained on pictures; a prior needs a VQ-VAE of tiles')
    data_config = train_config(state["config"], cache=config.cache)
    margin, folder = config.model.margin, config.cache / "codes"
    worlds = load_data(data_config, "train").worlds
    train = code_windows.cached(folder, model, worlds, config.windows * len(worlds), margin, config.seed)
    unseen = load_data(data_config, "held-out").worlds
    held_out = code_windows.cached(folder, model, unseen, HELD_OUT_WINDOWS, margin, config.seed)
    return PriorTrainer(config, model, state, train, held_out)
