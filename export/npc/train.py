"""Trains the virtual assistant: rollouts and updates until a budget ends, with curves and exact checkpoints."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from tqdm import tqdm

from export import checkpoint
from export.npc.config import TrainConfig
from export.npc.trainer import Diverged, Trainer
from export.run_log import RunLog, write_config
from export.stopping import stop_signals

KIND = "npc"
CHECKPOINT = "checkpoint.pt"
POLICY_ZIP = "policy.zip"


def train(config: TrainConfig) -> Path:
    """Train until a budget ends or a signal comes; return the run folder.

    The folder holds `checkpoint.pt`, which resumes exactly, `policy.zip`, Stable-Baselines3's own file, `config.json`
    and TensorBoard's curves. `ValueError` for a configuration that cannot be trained, `Diverged` with the reason when a
    number is not finite.
    """
    if not config.seconds and not config.steps:
        raise ValueError("no budget: give --seconds, --steps or both")
    torch.set_num_threads(config.threads)
    trainer = Trainer(config)
    path = config.folder / CHECKPOINT
    if config.resume:
        trainer.restore(checkpoint.load(path, KIND))
    elif path.exists():
        raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
    write_config(config.folder, config.to_json())
    with RunLog(config.folder, resumed_at=trainer.steps if config.resume else None) as log, stop_signals() as signals:
        try:
            run_rollouts(trainer, log, path, signals)
        except Diverged as error:
            good = f'the last good checkpoint is "{path}"' if path.exists() else "there is no good checkpoint yet"
            raise Diverged(f"{error}; {good}; a lower --learning-rate is steadier") from error
    return config.folder


def run_rollouts(trainer: Trainer, log: RunLog, path: Path, signals: list[int]) -> None:
    """The training loop: a rollout and its update, a point of every curve, now and then a checkpoint, one at the end."""
    config = trainer.config
    started = saved = time.monotonic()
    before, first_step = trainer.seconds, trainer.steps
    total = config.steps or None
    with tqdm(total=total, initial=trainer.steps, desc="training", unit="step", unit_scale=True, smoothing=0.05) as bar:
        while not signals and (total is None or trainer.steps < total):
            if config.seconds and time.monotonic() - started >= config.seconds:
                break
            trainer.train_rollout()
            now = time.monotonic()
            trainer.seconds = before + now - started
            log.scalars(trainer.metrics, trainer.steps)
            bar.update(config.rollout_steps)
            shown = {"return": "episode/return", "success": "episode/success"}
            bar.set_postfix({word: f"{trainer.metrics[name]:.2f}" for word, name in shown.items() if name in trainer.metrics})
            if now - saved >= config.checkpoint_seconds:
                save(trainer, path)
                saved = now
    if trainer.steps > first_step:
        save(trainer, path)


def save(trainer: Trainer, path: Path) -> None:
    """Write the checkpoint and, beside it, Stable-Baselines3's zip for those who go on with its tools."""
    checkpoint.save(path, KIND, trainer.state())
    trainer.model.save(path.with_name(POLICY_ZIP), exclude=["lr_schedule"])
