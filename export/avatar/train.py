"""Trains a StyleGAN2 generator of faces (Karras et al. 2020, arXiv:1912.04958) on one device."""

from __future__ import annotations

import copy
import dataclasses
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from export import checkpoint
from export.avatar import data, loss
from export.avatar.model import Discriminator, Generator, ModelConfig
from export.avatar.sample import DEFAULT_TRUNCATION, generate
from export.run_log import RunLog, write_config

Network = TypeVar("Network", bound=torch.nn.Module)
KIND = "avatar"
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class TrainConfig:
    """Trains an avatar generator and writes checkpoints, curves and sample grids to a run folder."""

    run: str = "pixel"
    """Name of the run: its folder is <runs>/avatar/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    source: Literal["pixel-art", "folder"] = "pixel-art"
    """The pictures: the built-in DiceBear faces or a folder of your own."""
    path: str = ""
    """The folder of pictures for --source folder, at any size; they are centre-cropped and resized."""
    licence: str = "unknown"
    """SPDX licence of the pictures in the folder; it goes into the model's card."""
    faces: int = 30_000
    """How many built-in faces to draw."""
    cache: Path = Path("data/avatar")
    """Folder where prepared pictures are kept."""
    minutes: float = 0.0
    """Stop after so many minutes of training in this session; 0 sets no limit."""
    kimg: float = 0.0
    """Stop after so many thousand pictures shown in all; 0 sets no limit."""
    resume: bool = False
    """Go on exactly where the run's checkpoint stopped."""
    seed: int = 1
    """Seed of weights, order of pictures, latents and noise."""
    batch: int = 32
    """Pictures in a step."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Shape of both networks."""
    learning_rate: float = 0.0025
    """Learning rate of Adam for both networks."""
    r1_gamma: float = 0.1
    """Weight of the R1 penalty; higher is steadier and slower."""
    r1_interval: int = 16
    """Steps between two R1 penalties."""
    path_weight: float = 2.0
    """Weight of the path-length penalty; 0 leaves it out."""
    path_interval: int = 8
    """Steps between two path-length penalties."""
    path_decay: float = 0.01
    """How fast the mean path length follows."""
    mixing: float = 0.9
    """Share of the pictures that take their styles from two latents."""
    average_kimg: float = 5.0
    """Half-life of the averaged generator in thousands of pictures."""
    mirror: bool = False
    """Show half of the pictures mirrored."""
    log_every: int = 50
    """Steps between two points of the curves."""
    grid_minutes: float = 5.0
    """Minutes between two checkpoints with their sample grids."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""
    device: str = "cpu"
    """PyTorch device, for example cpu or cuda."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / KIND / self.run

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return {key: str(v) if isinstance(v, Path) else v for key, v in dataclasses.asdict(self).items()}


SESSION_FIELDS = {"run", "runs", "cache", "minutes", "kimg", "resume", "log_every", "grid_minutes", "threads", "device"}
"""Fields that may differ between the sessions of one run; they change no weight."""


class Diverged(RuntimeError):
    """Training produced a number that is not finite; the message names the last good checkpoint."""


class Trainer:
    """Everything that changes while training: networks, optimisers, counters and the one random generator."""

    def __init__(self, config: TrainConfig, images: np.ndarray) -> None:
        self.config = config
        self.images = images
        self.rng = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.generator = self._place(Generator(config.model))
            self.discriminator = self._place(Discriminator(config.model))
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        path_interval = config.path_interval if config.path_weight else 0
        self.generator_optimiser = self._adam(self.generator, path_interval)
        self.discriminator_optimiser = self._adam(self.discriminator, config.r1_interval)
        self.path_mean = torch.zeros((), device=config.device)
        self.step = 0
        self.seconds = 0.0
        self.metrics: dict[str, float] = {}
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    @property
    def images_seen(self) -> int:
        """Real pictures shown so far."""
        return self.step * self.config.batch

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: enough to go on bit for bit."""
        return {
            "config": self.config.to_json(),
            "step": self.step,
            "seconds": self.seconds,
            "metrics": self.metrics,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
            "path_mean": self.path_mean,
            "rng": self.rng.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's state; raises ValueError when its configuration trains another model."""
        now = {key: value for key, value in self.config.to_json().items() if key not in SESSION_FIELDS}
        for key, value in now.items():
            then = state["config"].get(key)
            if then != value:
                raise ValueError(f"the checkpoint was trained with {key} = {then}, not {value}; use another --run name")
        for name in ("generator", "discriminator", "average", "generator_optimiser", "discriminator_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.path_mean = state["path_mean"].to(self.config.device)
        self.rng.set_state(state["rng"])
        self.step, self.seconds, self.metrics = state["step"], state["seconds"], dict(state["metrics"])

    def train_step(self) -> None:
        """One step of both players: they share the generated pictures, the discriminator moves first."""
        config = self.config
        real = self._real_batch()
        fake = self._fake_batch()
        self._step_discriminator(real, fake.detach())
        self._step_generator(fake)
        if self.step % config.r1_interval == 0:
            self._step_r1(real)
        if config.path_weight and self.step % config.path_interval == 0:
            self._step_path_length()
        self.step += 1
        self._update_average()

    def check_finite(self) -> None:
        """Raises Diverged when a loss or a weight is not a finite number."""
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                raise Diverged(f"{name} became {value} after {self.images_seen} pictures")
        for network in (self.generator, self.discriminator):
            for name, weight in network.named_parameters():
                if not torch.isfinite(weight).all():
                    raise Diverged(f"weight {name} is not finite after {self.images_seen} pictures")

    def _step_discriminator(self, real: Tensor, fake: Tensor) -> None:
        self.discriminator.requires_grad_(True)
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        value = loss.discriminator_loss(real_logits, fake_logits)
        self._descend(self.discriminator_optimiser, value)
        self.metrics["loss/discriminator"] = value.item()
        self.metrics["logit/real"] = real_logits.mean().item()
        self.metrics["logit/fake"] = fake_logits.mean().item()

    def _step_generator(self, fake: Tensor) -> None:
        self.discriminator.requires_grad_(False)
        value = loss.generator_loss(self.discriminator(fake))
        self._descend(self.generator_optimiser, value)
        self.metrics["loss/generator"] = value.item()

    def _step_r1(self, real: Tensor) -> None:
        self.discriminator.requires_grad_(True)
        real = real.detach().requires_grad_(True)
        penalty = loss.r1_penalty(real, self.discriminator(real))
        # Lazy regularisation: applied once in r1_interval steps, so it counts r1_interval times.
        weight = 0.5 * self.config.r1_gamma * self.config.r1_interval
        self._descend(self.discriminator_optimiser, penalty * weight)
        self.metrics["penalty/r1"] = penalty.item()

    def _step_path_length(self) -> None:
        config = self.config
        count = max(1, config.batch // 2)
        w = self._styles(count)
        images = self.generator.synthesis(w, self._normal(count, config.model.noise_size))
        lengths = loss.path_lengths(images, w, self._normal(*images.shape))
        mean = self.path_mean.lerp(lengths.mean(), config.path_decay)
        self.path_mean = mean.detach()
        penalty = (lengths - mean).square().mean()
        self._descend(self.generator_optimiser, penalty * config.path_weight * config.path_interval)
        self.metrics["penalty/path"] = penalty.item()
        self.metrics["path_length"] = self.path_mean.item()

    def _descend(self, optimiser: torch.optim.Optimizer, value: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()

    def _fake_batch(self) -> Tensor:
        config = self.config
        w = self._styles(config.batch)
        return self.generator.synthesis(w, self._normal(config.batch, config.model.noise_size))

    def _styles(self, count: int) -> Tensor:
        """Draws w [count, num_layers, L] with style mixing and lets the mean of w follow."""
        config, mapping = self.config, self.generator.mapping
        w = mapping.to_w(self._normal(count, config.model.latent_size))
        w_mix = mapping.to_w(self._normal(count, config.model.latent_size))
        mapping.w_mean.lerp_(w.detach().mean(dim=0), 0.005)
        layers = config.model.num_layers
        crossover = torch.randint(1, layers, (count,), generator=self.rng)
        mixed = torch.rand(count, generator=self.rng) < config.mixing
        mix_layer = torch.where(mixed, crossover, torch.full_like(crossover, layers)).to(config.device)
        return mapping.mix(w, w_mix, mix_layer)

    def _real_batch(self) -> Tensor:
        """The next pictures in the order that seed and epoch fix, as floats in [-1, 1]."""
        batch = self.config.batch
        per_epoch = len(self.images) // batch
        epoch, position = divmod(self.step, per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, np.random.default_rng([self.config.seed, epoch]).permutation(len(self.images)))
        chosen = np.sort(self._epoch[1][position * batch : (position + 1) * batch])
        pixels = torch.from_numpy(np.ascontiguousarray(self.images[chosen])).to(self.config.device)
        real = pixels.float().div(127.5).sub(1.0)
        if self.config.mirror:
            flip = (torch.rand(batch, generator=self.rng) < 0.5).to(self.config.device)
            real = torch.where(flip[:, None, None, None], real.flip(3), real)
        return real.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def _update_average(self) -> None:
        half_life = min(self.config.average_kimg * 1000, 0.05 * self.images_seen)
        weight = 1.0 - 0.5 ** (self.config.batch / max(half_life, 1e-8))
        for average, current in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(current, weight)
        self.average.mapping.w_mean.copy_(self.generator.mapping.w_mean)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.rng).to(self.config.device)

    def _place(self, network: Network) -> Network:
        return network.to(device=self.config.device, memory_format=torch.channels_last)

    def _adam(self, network: torch.nn.Module, interval: int) -> torch.optim.Adam:
        # Lazy regularisation takes interval + 1 optimiser steps for interval steps of the loss (section 3.1).
        ratio = interval / (interval + 1) if interval else 1.0
        return torch.optim.Adam(
            network.parameters(), lr=self.config.learning_rate * ratio, betas=(0.0, 0.99**ratio), eps=1e-8
        )


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
    )
    if len(dataset.images) < config.batch:
        raise ValueError(f"{dataset.name} has {len(dataset.images)} pictures; a batch takes {config.batch}")
    trainer = Trainer(config, dataset.images)
    path = config.folder / CHECKPOINT
    if config.resume:
        trainer.restore(checkpoint.load(path, KIND))
    elif path.exists():
        raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
    write_config(config.folder, config.to_json())
    with RunLog(config.folder, resumed_at=trainer.step if config.resume else None) as log, stop_signals() as signals:
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
                log.scalars(trainer.metrics, trainer.step)
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
    log.pictures(
        "samples", images, trainer.images_seen, columns=8, enlarge=max(1, 128 // trainer.config.model.image_size)
    )
