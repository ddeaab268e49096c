"""The training run of the avatar family: data, networks, budgets, checkpoints, measurements and pictures."""

from __future__ import annotations

import dataclasses
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from export import checkpoint
from export.avatar import data, parallel
from export.avatar.config import TrainConfig
from export.avatar.evaluate import InLoopMetric
from export.avatar.pictures import straight
from export.avatar.sample import draw
from export.avatar.trained import open_trained
from export.avatar.trainer import Diverged, Trainer
from export.run_log import RunLog, write_config, write_film
from export.stopping import stop_signals

KIND = "avatar"
CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
MEASURED = ("metric/", "best/")
"""How the figures of measurements begin."""
JUDGE = "metric/fd_vgg"
"""The figure that decides which checkpoint is the best: less is better."""


class Stopped(Exception):
    """A signal ended a training; what it had learnt by then is saved in `path`, which is None where there is nothing yet."""

    def __init__(self, path: Path, images_seen: int) -> None:
        self.path = path if path.exists() else None
        saved = f'saved in "{path}"; the same command with --resume goes on' if self.path else "there is nothing to save yet"
        super().__init__(f"stopped by a signal after {images_seen:,} pictures; {saved}")


def train(config: TrainConfig) -> Path:
    """Trains until a budget ends; returns the path of the checkpoint. A signal saves, and raises Stopped.

    Under torchrun every process calls this: they train together, and process 0 writes the files.
    """
    if not config.minutes and not config.kimg:
        raise ValueError("no budget: give --minutes, --kimg or both")
    if config.threads:
        torch.set_num_threads(config.threads)
    with parallel.processes(config.device) as device:
        config = dataclasses.replace(config, device=device)
        with parallel.first_process_first():
            dataset = load_data(config)
        trainer = Trainer(config, dataset.images)
        trainer.datasheet = dataset.datasheet.to_json()
        path = config.folder / CHECKPOINT
        if config.resume:
            state = checkpoint.load(path, KIND)
            check_same_pictures(state["datasheet"], trainer.datasheet)
            trainer.restore(state)
        elif path.exists():
            raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
        elif config.start_from:
            source = open_trained(config.start_from)
            trainer.start_from(source.generator, source.discriminator)
            trainer.earlier = source.stages
        resumed_at = trainer.images_seen if config.resume else None
        first = parallel.rank() == 0
        with RunLog(config.folder, resumed_at=resumed_at) if first else nullcontext() as log, stop_signals() as signals:
            if log:
                write_config(config.folder, config.to_json())
            try:
                TrainingLoop(trainer, log, held_out(config, dataset.images) if first else None).run(signals)
            except Diverged as error:
                good = f'the last good checkpoint is "{path}"' if path.exists() else "there is no good checkpoint yet"
                raise Diverged(f"{error}; {good}; a lower --learning-rate or a higher --r1-gamma is steadier") from error
            if parallel.any_process(bool(signals))[0]:
                raise Stopped(path, trainer.images_seen)
    return path


def check_same_pictures(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises ValueError when a run would go on with other pictures than it began with; names what differs."""
    wrong = [f"{key} was {then.get(key)}, is {value}" for key, value in now.items() if then.get(key) != value]
    if wrong:
        raise ValueError(
            f"the pictures have changed since this run began: {'; '.join(wrong)}; bring them back or start a new --run"
        )


def load_data(config: TrainConfig, count: int = 0, split: data.Split = "train") -> data.Dataset:
    """The pictures of a run; raises ValueError when there are too few."""
    model = config.model
    dataset = data.load(
        config.source,
        config.path,
        config.licence,
        size=model.image_size,
        count=count or config.faces,
        seed=config.seed,
        cache=config.cache,
        pixel_size=model.pixel_size,
        channels=model.image_channels,
        split=split,
        minimum=config.minimum,
    )
    if config.source == data.FOLDER:
        dataset = data.some_of(dataset, config.take, config.seed)
    return dataset


def held_out(config: TrainConfig, images: np.ndarray) -> InLoopMetric | None:
    """What the generator is measured by, or None without measurements: held-out pictures, or a folder's own."""
    if not config.metric_minutes and not config.metric_kimg:
        return None
    if config.source != data.FOLDER:
        images = load_data(config, config.metric_count, "held-out").images
    return InLoopMetric(images, config.metric_count, config.cache, drawn=config.metric_drawn, pairs=config.metric_pairs)


class TrainingLoop:
    """Steps with what happens between them; every process runs it, and process 0 has the log and the metric."""

    def __init__(self, trainer: Trainer, log: RunLog | None, metric: InLoopMetric | None) -> None:
        self.trainer, self.log, self.metric = trainer, log, metric
        self.started = self.saved = self.measured = time.monotonic()
        self.seconds_before, self.first_step = trainer.seconds, trainer.step
        self.measured_at = trainer.images_seen

    def run(self, signals: list[int]) -> None:
        """Trains until a budget ends or a signal comes, with curves, checkpoints, sample grids and measurements."""
        trainer, config = self.trainer, self.trainer.config
        total = int(config.kimg * 1000) or None
        bar = tqdm(
            total=total, initial=trainer.images_seen, desc="training", unit="img", smoothing=0.05, disable=self.log is None
        )
        with bar:
            while total is None or trainer.images_seen < total:
                stop, save, measure = parallel.any_process(self._over(signals), self._save_due(), self._measure_due())
                if measure:
                    self.measure()
                if save:
                    self.save()
                if stop:
                    break
                trainer.train_step()
                trainer.seconds = self.seconds_before + time.monotonic() - self.started
                bar.update(config.batch)
                if trainer.step % config.log_every == 0:
                    trainer.check_finite()
                    bar.set_postfix({name: f"{value:.2f}" for name, value in trainer.metrics.items() if "loss" in name})
                    if self.log:
                        # A measurement stands in its curve once, at the picture it was made at.
                        curves = {name: value for name, value in trainer.metrics.items() if not name.startswith(MEASURED)}
                        self.log.scalars(curves, trainer.images_seen)
        if trainer.step > self.first_step:
            trainer.seconds = self.seconds_before + time.monotonic() - self.started
            if parallel.any_process(self._measure_due())[0]:
                self.measure()
            self.save()
            if self.log:
                write_film(self.log.folder, "samples", self.log.folder / "progress.gif")

    def save(self, name: str = CHECKPOINT) -> None:
        """Writes a checkpoint and the sample grid of seeds 0 to 63, after making sure that all weights are finite."""
        trainer = self.trainer
        trainer.check_finite()
        state = trainer.state()
        if self.log:
            checkpoint.save(trainer.config.folder / name, KIND, state)
            images = straight(draw(trainer.average, range(64)))
            enlarge = max(1, 128 // trainer.config.model.image_size)
            self.log.pictures("samples", images, trainer.images_seen, columns=8, enlarge=enlarge)
        self.saved = time.monotonic()

    def measure(self) -> None:
        """Measures the averaged generator and keeps the best checkpoint so far as best.pt."""
        trainer = self.trainer
        trainer.check_finite()
        if self.log and self.metric:
            best = trainer.metrics.get(f"best/{JUDGE}", float("inf"))
            found = {f"metric/{name}": value for name, value in self.metric.measure(trainer.average).items()}
            trainer.metrics |= found | {f"best/{JUDGE}": min(best, found[JUDGE])}
            self.log.scalars(found, trainer.images_seen)
            better = found[JUDGE] < best
        else:
            better = False
        if parallel.any_process(better)[0]:
            self.save(BEST)
        self.measured, self.measured_at = time.monotonic(), trainer.images_seen

    def _over(self, signals: list[int]) -> bool:
        minutes = self.trainer.config.minutes
        return bool(signals) or bool(minutes and time.monotonic() - self.started >= minutes * 60)

    def _save_due(self) -> bool:
        return time.monotonic() - self.saved >= self.trainer.config.grid_minutes * 60

    def _measure_due(self) -> bool:
        config, seen = self.trainer.config, self.trainer.images_seen
        if config.metric_kimg:
            every = config.metric_kimg * 1000
            return seen > self.measured_at and seen // every > (seen - config.batch) // every
        return bool(config.metric_minutes) and time.monotonic() - self.measured >= config.metric_minutes * 60
