"""One training step of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) and everything that it changes."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from export.avatar import loss
from export.avatar.config import SESSION_FIELDS, TrainConfig
from export.avatar.model import Discriminator, Generator
from export.avatar.palette import choose_palette

Network = TypeVar("Network", bound=torch.nn.Module)


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
        if self.generator.synthesis.palette is not None:
            colours = choose_palette(images, config.model.palette_size)
            self.generator.synthesis.palette.colours.copy_(torch.from_numpy(colours))
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        path_interval = config.path_interval if config.path_weight else 0
        self.generator_optimiser = self._adam(self.generator, path_interval)
        self.discriminator_optimiser = self._adam(self.discriminator, config.r1_interval)
        self.path_mean = torch.zeros((), device=config.device)
        self.step = 0
        self.seconds = 0.0
        self.metrics: dict[str, float] = {}
        self.datasheet: dict[str, Any] = {}
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    @property
    def images_seen(self) -> int:
        """Real pictures shown so far."""
        return self.step * self.config.batch

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: enough to go on bit for bit."""
        return {
            "config": self.config.to_json(),
            "datasheet": self.datasheet,
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
        end = torch.full_like(crossover, layers)
        return mapping.mix(w, w_mix, torch.where(mixed, crossover, end).to(config.device), end.to(config.device))

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
        return torch.optim.Adam(network.parameters(), lr=self.config.learning_rate * ratio, betas=(0.0, 0.99**ratio), eps=1e-8)
