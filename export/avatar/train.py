"""The training loop of the avatar family: budgets, curves, checkpoints and sample grids."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm import tqdm

from export import checkpoint
from export.avatar import data
from export.avatar.config import TrainConfig
from export.avatar.sample import DEFAULT_TRUNCATION, generate
from export.avatar.trainer import Diverged, Trainer
from export.run_log import RunLog, write_config

KIND = "avatar"
CHECKPOINT = "checkpoint.pt"


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list, so that a step in progress can finish and be saved."""
    received: list[int] = []
    old = {name: signal.signal(name, lambda n, _: received.append(n)) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for name, previous in old.items():
            signal.signal(name, previous)


def train(config: TrainConfig) -> Path:
    """Trains until a budget ends or a signal comes; returns the path of the checkpoint."""
    if not config.minutes and not config.kimg:
        raise ValueError("no budget: give --minutes, --kimg or both")
    if config.threads:
        torch.set_num_threads(config.threads)
    dataset = data.load(
        config.source,
        config.path,
        config.licence,
        size=config.model.image_size,
        count=config.faces,
        seed=config.seed,
        cache=config.cache,
        pixel_size=config.model.pixel_size,
        channels=config.model.image_channels,
    )
    if len(dataset.images) < config.batch:
        raise ValueError(f"{dataset.name} has {len(dataset.images)} pictures; a batch takes {config.batch}")
    trainer = Trainer(config, dataset.images)
    trainer.datasheet = dataset.datasheet.to_json()
    path = config.folder / CHECKPOINT
    if config.resume:
        trainer.restore(checkpoint.load(path, KIND))
    elif path.exists():
        raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
    write_config(config.folder, config.to_json())
    with RunLog(config.folder, resumed_at=trainer.images_seen if config.resume else None) as log, stop_signals() as signals:
        try:
            run_steps(trainer, log, path, signals)
        except Diverged as error:
            good = f'the last good checkpoint is "{path}"' if path.exists() else "there is no good checkpoint yet"
            raise Diverged(f"{error}; {good}; a lower --learning-rate or a higher --r1-gamma is steadier") from error
    return path


def run_steps(trainer: Trainer, log: RunLog, path: Path, signals: list[int]) -> None:
    """The training loop: steps, curves, and a checkpoint with a sample grid every few minutes and at the end."""
    config = trainer.config
    total = int(config.kimg * 1000) or None
    started = saved = time.monotonic()
    before, first_step = trainer.seconds, trainer.step
    with tqdm(total=total, initial=trainer.images_seen, desc="training", unit="img", smoothing=0.05) as bar:
        while not signals and (total is None or trainer.images_seen < total):
            now = time.monotonic()
            if config.minutes and now - started >= config.minutes * 60:
                break
            trainer.train_step()
            trainer.seconds = before + time.monotonic() - started
            bar.update(config.batch)
            if trainer.step % config.log_every == 0:
                trainer.check_finite()
                bar.set_postfix({name: f"{value:.2f}" for name, value in trainer.metrics.items() if "loss" in name})
                log.scalars(trainer.metrics, trainer.images_seen)
            if now - saved >= config.grid_minutes * 60:
                save(trainer, log, path)
                saved = now
    if trainer.step > first_step:
        save(trainer, log, path)


def save(trainer: Trainer, log: RunLog, path: Path) -> None:
    """Writes a checkpoint and the sample grid of seeds 0 to 63, after making sure that all weights are finite."""
    trainer.check_finite()
    checkpoint.save(path, KIND, trainer.state())
    images = generate(trainer.average, range(64), DEFAULT_TRUNCATION)
    log.pictures("samples", images, trainer.images_seen, columns=8, enlarge=max(1, 128 // trainer.config.model.image_size))
