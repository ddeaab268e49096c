"""The loop around a trainer's steps: budgets, signals, curves, checkpoints and sheets."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from export import checkpoint
from export.run_log import RunLog, write_config, write_film
from export.stopping import stop_signals

CHECKPOINT = "checkpoint.pt"


class Diverged(RuntimeError):
    """Training produced a number that is not finite; the message names the last good checkpoint."""


class Config(Protocol):
    """What the loop reads of a configuration."""

    minutes: float
    resume: bool
    batch: int
    log_every: int
    save_minutes: float
    threads: int

    @property
    def folder(self) -> Path: ...
    @property
    def items(self) -> float: ...
    def to_json(self) -> dict[str, Any]: ...


class Trainer(Protocol):
    """What the loop asks of a trainer."""

    step: int
    seconds: float
    metrics: dict[str, float]

    def train_step(self) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...
    def networks(self) -> dict[str, nn.Module]: ...
    def measure(self) -> dict[str, float]: ...
    def sheet(self) -> np.ndarray: ...


def prepare(config: Config) -> Path:
    """Sets threads and returns the checkpoint's path; raises ValueError without a budget or before overwriting a run."""
    if not config.minutes and not config.items:
        raise ValueError("no budget: give --minutes, --ktiles or both")
    if config.threads:
        torch.set_num_threads(config.threads)
    path = config.folder / CHECKPOINT
    if path.exists() and not config.resume:
        raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
    return path


def run(config: Config, trainer: Trainer, kind: str) -> Path:
    """Trains until a budget ends or a signal comes; returns the checkpoint's path."""
    path = config.folder / CHECKPOINT
    if config.resume:
        trainer.restore(checkpoint.load(path, kind))
    resumed_at = trainer.step * config.batch if config.resume else None
    with RunLog(config.folder, resumed_at=resumed_at) as log, stop_signals() as signals:
        write_config(config.folder, config.to_json())
        try:
            _steps(config, trainer, kind, log, signals)
        except Diverged as error:
            good = f'the last good checkpoint is "{path}"' if path.exists() else "there is no good checkpoint yet"
            raise Diverged(f"{error}; {good}; a lower --learning-rate is steadier") from error
    write_film(config.folder, "samples", config.folder / "progress.gif")
    return path


def check_finite(networks: Mapping[str, nn.Module], metrics: Mapping[str, float], seen: int) -> None:
    """Raises Diverged when a figure or a weight is not a finite number."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} became {value} after {seen} tiles")
    for part, network in networks.items():
        for name, weight in network.named_parameters():
            if not torch.isfinite(weight).all():
                raise Diverged(f"weight {part}.{name} is not finite after {seen} tiles")


def _steps(config: Config, trainer: Trainer, kind: str, log: RunLog, signals: list[int]) -> None:
    started = saved = time.monotonic()
    before, first = trainer.seconds, trainer.step
    limit = int(config.items) or None
    # Without a terminal the curves tell enough.
    with tqdm(total=limit, initial=first * config.batch, desc="training", unit="tile", smoothing=0.05, disable=None) as bar:
        while limit is None or trainer.step * config.batch < limit:
            now = time.monotonic()
            if signals or (config.minutes and now - started >= config.minutes * 60):
                break
            if now - saved >= config.save_minutes * 60:
                _save(config, trainer, kind, log)
                saved = time.monotonic()
            trainer.train_step()
            trainer.seconds = before + time.monotonic() - started
            bar.update(config.batch)
            if trainer.step % config.log_every == 0:
                seen = trainer.step * config.batch
                check_finite(trainer.networks(), trainer.metrics, seen)
                bar.set_postfix({name: f"{value:.3f}" for name, value in trainer.metrics.items() if name.startswith("loss/")})
                log.scalars(trainer.metrics, seen)
    if trainer.step > first:
        _save(config, trainer, kind, log)


def _save(config: Config, trainer: Trainer, kind: str, log: RunLog) -> None:
    """Measures on held-out tiles, writes the checkpoint and a sheet."""
    seen = trainer.step * config.batch
    check_finite(trainer.networks(), trainer.metrics, seen)
    found = {f"held-out/{name}": value for name, value in trainer.measure().items()}
    trainer.metrics |= found
    log.scalars(found, seen)
    checkpoint.save(config.folder / CHECKPOINT, kind, trainer.state())
    log.pictures("samples", trainer.sheet(), seen, columns=8, enlarge=2)
