"""The training run of a prior: the VQ-VAE's worlds as codes, model and loop."""

from __future__ import annotations

from pathlib import Path

from export.scene import code_windows, loop
from export.scene.prior_config import PriorTrainConfig
from export.scene.prior_trainer import PriorTrainer, fingerprint
from export.scene.train import load_data
from export.scene.trained import Trained, open_trained, open_vqvae, train_config

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
    trainer = PriorTrainer(config, model, state, train, held_out)
    if config.start_from and not config.resume:
        start_from(trainer, open_trained(config.start_from), config)
    return trainer


def start_from(trainer: PriorTrainer, source: Trained, config: PriorTrainConfig) -> None:
    """Raises ValueError when the other prior has another shape, or draws codes of another VQ-VAE."""
    ours, theirs = vars(config.model), vars(source.prior.config)
    wrong = "; ".join(f"{key} is {ours[key]} here, {theirs[key]} there" for key in ours if ours[key] != theirs[key])
    if wrong:
        raise ValueError(f"the prior to start from has another shape: {wrong}; give the same --model options")
    if fingerprint(source.vqvae) != fingerprint(trainer.vqvae):
        raise ValueError(f'"{config.start_from}" draws codes of another VQ-VAE than "{config.vqvae}"; give its own as --vqvae')
    stage = source.record["prior"]
    earlier = [*stage.get("earlier", []), {key: value for key, value in stage.items() if key != "earlier"}]
    trainer.start_from(source.prior, earlier)
