"""One training step of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) and everything that it changes."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.avatar import augment, loss
from export.avatar.adaptive import AdaptiveStrength
from export.avatar.batches import Batch, BatchSource
from export.avatar.config import SESSION_FIELDS, TrainConfig
from export.avatar.latents import Latents, draw_latents
from export.avatar.model import Discriminator, Generator
from export.avatar.optimal_transport import OptimalTransport
from export.avatar.palette import APART, choose_palette, match_palette, palette_use
from export.avatar.parallel import mean, world
from export.avatar.players import Player, Precision, build, frozen_discriminator, frozen_generator, pace_at, schedule

DRAWING_WARM_UP = 50
"""Steps of drawing in which its learning rate rises."""


class Diverged(RuntimeError):
    """Training produced a number that is not finite; the message names the last good checkpoint."""


class Trainer:
    """Everything that changes while training: networks, optimisers, counters and the one random generator.

    images are uint8 [N, C, S, S] in the model's channels and size, C = 4 being premultiplied RGBA.
    """

    def __init__(self, config: TrainConfig, images: np.ndarray) -> None:
        self.config = config
        self.rng = torch.Generator().manual_seed(config.seed)
        self.batches = BatchSource(config, images, self.rng)
        self.generator, self.discriminator = build(config)
        if self.generator.synthesis.palette is not None:
            colours = choose_palette(
                images, config.model.palette_size, apart=config.model.palette_apart or APART[config.model.palette_mix]
            )
            self.generator.synthesis.palette.colours.copy_(torch.from_numpy(colours))
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        path_interval = config.path_interval if config.path_weight else 0
        self.players = {
            "generator": Player(self.generator, config, interval=path_interval, frozen=frozen_generator(config)),
            "discriminator": Player(
                self.discriminator, config, interval=config.r1_interval, frozen=frozen_discriminator(config)
            ),
        }
        self.precision = Precision(config)
        self.strength = AdaptiveStrength(
            p=config.augment_p, target=config.augment_target, kimg=config.augment_kimg, limit=config.augment_max
        )
        self.transport = OptimalTransport(self.generator, self.average, images, self.rng, learning_rate=config.draw_rate)
        self.path_mean = torch.zeros((), device=config.device)
        self.step = 0
        self.seconds = 0.0
        self.earlier: list[dict[str, Any]] = []
        self.metrics: dict[str, float] = {}
        self.datasheet: dict[str, Any] = {}
        self._measured: dict[str, Tensor] = {}

    @property
    def images_seen(self) -> int:
        """Real pictures shown so far, by all processes."""
        return self.step * self.config.batch

    @property
    def draws(self) -> bool:
        """Whether the game has not begun yet: the generator draws the pictures again."""
        return self.images_seen < self.config.draw_kimg * 1000

    def start_from(self, generator: Generator, discriminator: Discriminator) -> None:
        """Begins with trained networks of the same shape instead of random ones; a palette takes the new data's colours."""
        if dataclasses.replace(generator.config, palette_sharpness=self.config.model.palette_sharpness) != self.config.model:
            ours, theirs = vars(self.config.model), vars(generator.config)
            wrong = "; ".join(f"{key} is {ours[key]} here, {theirs[key]} there" for key in ours if ours[key] != theirs[key])
            raise ValueError(f"the networks to start from have another shape: {wrong}; give the same --model options")
        fresh, old = (network.synthesis.palette for network in (self.generator, generator))
        matched = None
        if fresh is not None and old is not None:
            colours = match_palette(old.colours.cpu().numpy(), fresh.colours.cpu().numpy(), palette_use(generator))
            matched = torch.from_numpy(colours)
        for network in (self.generator, self.average):
            network.load_state_dict(generator.state_dict())
            if matched is not None:
                network.synthesis.palette.colours.copy_(matched)
        self.discriminator.load_state_dict(discriminator.state_dict())

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: enough to go on bit for bit. All processes call it, one writes it."""
        self.collect_metrics()
        scaler = self.precision.scaler
        return {
            "config": self.config.to_json(),
            "datasheet": self.datasheet,
            "step": self.step,
            "seconds": self.seconds,
            "earlier": self.earlier,
            "metrics": self.metrics,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": {name: player.optimiser.state_dict() for name, player in self.players.items()},
            "augmentation": self.strength.state(),
            "drawing": self.transport.state() if self.draws else {},
            "scaler": scaler.state_dict() if scaler else {},
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
        for name in ("generator", "discriminator", "average"):
            getattr(self, name).load_state_dict(state[name])
        for name, player in self.players.items():
            player.optimiser.load_state_dict(state["optimisers"][name])
        self.strength.restore(state["augmentation"], share=1.0 / world())
        if self.precision.scaler and state["scaler"]:
            self.precision.scaler.load_state_dict(state["scaler"])
        self.path_mean = state["path_mean"].to(self.config.device)
        self.rng.set_state(state["rng"])
        self.step, self.seconds, self.metrics = state["step"], state["seconds"], dict(state["metrics"])
        self.earlier = list(state["earlier"])
        if self.draws:
            self.transport.restore(state["drawing"])

    def train_step(self) -> None:
        """One step of drawing, or of both players: they share the generated pictures, the discriminator moves first."""
        if self.draws:
            self._step_drawing()
        else:
            self._step_game()
        self.step += 1
        self._update_average()

    def _step_drawing(self) -> None:
        config = self.config
        pace = schedule(self.step, math.ceil(config.draw_kimg * 1000 / config.batch), DRAWING_WARM_UP)
        self.players["generator"].learn(True)
        self._measure({"loss/drawing": self.transport.train_step(self.step, config.batch, pace)})

    def _step_game(self) -> None:
        config = self.config
        for player in self.players.values():
            player.pace(pace_at(self.images_seen / 1000, config.decay_kimg))
        batches = self.batches.draw(self.step, self.strength.p)
        fakes = self._fakes(batches)
        reals = self._step_discriminator(batches, fakes)
        generator_learns = self.images_seen >= (config.draw_kimg + config.head_start_kimg) * 1000
        if generator_learns:
            self._step_generator(batches, fakes)
        if self.step % config.r1_interval == 0:
            self._step_r1(reals)
        if generator_learns and config.path_weight and self.step % config.path_interval == 0:
            self._step_path_length()
        self.strength.update(self.step + 1, config.batch)

    def collect_metrics(self) -> dict[str, float]:
        """Brings `metrics` up to date, with means over all processes: all of them must call it."""
        if self._measured:
            values = mean(torch.stack([value.float() for value in self._measured.values()])).tolist()
            self.metrics.update(zip(self._measured, values, strict=True))
            self._measured.clear()
        self.metrics |= {"augmentation/p": self.strength.p, "augmentation/r_t": self.strength.overfitting}
        return self.metrics

    def check_finite(self) -> None:
        """Raises Diverged when a loss or a weight is not a finite number."""
        for name, value in self.collect_metrics().items():
            if not math.isfinite(value):
                raise Diverged(f"{name} became {value} after {self.images_seen} pictures")
        for network in (self.generator, self.discriminator):
            for name, weight in network.named_parameters():
                if not torch.isfinite(weight).all():
                    raise Diverged(f"weight {name} is not finite after {self.images_seen} pictures")

    def _step_discriminator(self, batches: list[Batch], fakes: list[Tensor]) -> list[Tensor]:
        """Returns the real pictures as the discriminator saw them."""
        config, player, reals = self.config, self.players["discriminator"], []
        player.learn(True)
        for batch, fake in zip(batches, fakes, strict=True):
            real = self._change(batch.real, batch, 0)
            real_logits, fake_logits = self._judge(real), self._judge(self._change(fake.detach(), batch, 1))
            value = loss.discriminator_loss(real_logits, fake_logits, config.objective)
            self.precision.backward(value / config.accumulate)
            self.strength.observe(real_logits)
            self._measure({"loss/discriminator": value, "logit/real": real_logits.mean(), "logit/fake": fake_logits.mean()})
            reals.append(real)
        player.step(self.precision.scaler)
        return reals

    def _step_generator(self, batches: list[Batch], fakes: list[Tensor]) -> None:
        self.players["discriminator"].learn(False)
        for batch, fake in zip(batches, fakes, strict=True):
            # A batch in parts is generated again, one part at a time, so that one graph at a time is kept.
            image = fake if fake.requires_grad else self._generate(batch.latents)[0]
            value = loss.generator_loss(self._judge(self._change(image, batch, 2)), self.config.objective)
            self._measure({"loss/generator": value})
            palette = self.generator.synthesis.palette
            if palette is not None:
                self._measure({"palette/impurity": palette.impurity})
                value = value + self.config.palette_purity * palette.impurity
            self.precision.backward(value / self.config.accumulate)
        self.players["generator"].step(self.precision.scaler)

    def _step_r1(self, reals: list[Tensor]) -> None:
        """R1 at the real pictures as the discriminator saw them, in float32."""
        config, player = self.config, self.players["discriminator"]
        player.learn(True)
        # Lazy regularisation: applied once in r1_interval steps, so it counts r1_interval times.
        weight = 0.5 * config.r1_gamma * config.r1_interval / config.accumulate
        for real in reals:
            images = real.detach().requires_grad_(True)
            penalty = loss.r1_penalty(images, self.discriminator(images))
            (penalty * weight).backward()
            self._measure({"penalty/r1": penalty})
        player.step()

    def _step_path_length(self) -> None:
        """The path-length penalty on half a batch, in float32; the mean length follows after the step."""
        config, model = self.config, self.config.model
        count = max(1, config.batch // self.batches.parts // 2) * self.batches.parts
        latents = draw_latents(model, count, config.mixing, self.rng)
        directions = torch.randn(count, model.image_channels, model.image_size, model.image_size, generator=self.rng)
        lengths = []
        for chosen in self.batches.my_parts(count):
            part = latents.part(chosen, config.device)
            w = self._styles(part)
            w = w if w.requires_grad else w.requires_grad_(True)
            images = self.generator.synthesis(w, part.noise)
            lengths.append(loss.path_lengths(images, w, directions[chosen].to(config.device)))
            penalty = (lengths[-1] - self.path_mean).square().mean()
            (penalty * config.path_weight * config.path_interval / config.accumulate).backward()
            self._measure({"penalty/path": penalty})
        self.players["generator"].step()
        self.path_mean = self.path_mean.lerp(mean(torch.cat(lengths).detach().mean()), config.path_decay)
        self._measured["path_length"] = self.path_mean

    def _fakes(self, batches: list[Batch]) -> list[Tensor]:
        """Generates each part, keeping its graph for the generator's step if there is one only; w's mean follows."""
        with torch.set_grad_enabled(len(batches) == 1):
            generated = [self._generate(batch.latents) for batch in batches]
        if not self.config.freeze_mapping:
            w_mean = torch.stack([w[:, 0].detach().mean(dim=0) for _, w in generated]).mean(dim=0)
            self.generator.mapping.w_mean.lerp_(mean(w_mean), 0.005)
        return [image for image, _ in generated]

    def _generate(self, latents: Latents) -> tuple[Tensor, Tensor]:
        """Returns pictures [N, C, S, S] and the styles [N, num_layers, L] they were drawn with."""
        w = self._styles(latents)
        with self.precision.reduced():
            return self.generator.synthesis(w, latents.noise).float(), w

    def _styles(self, latents: Latents) -> Tensor:
        mapping = self.generator.mapping
        end = torch.full_like(latents.mix_start, self.config.model.num_layers)
        return mapping.mix(mapping.to_w(latents.z), mapping.to_w(latents.z_mix), latents.mix_start, end)

    def _change(self, images: Tensor, batch: Batch, which: int) -> Tensor:
        return augment.apply(images, batch.changes[which], self.config.model.pixel_size) if batch.changes else images

    def _judge(self, images: Tensor) -> Tensor:
        with self.precision.reduced():
            return self.discriminator(images).float()

    def _measure(self, values: dict[str, Tensor]) -> None:
        """Keeps what the last part gave; brought to the CPU when somebody looks."""
        self._measured |= {name: value.detach() for name, value in values.items()}

    @torch.no_grad()
    def _update_average(self) -> None:
        half_life = self.config.average_kimg * 1000
        if not self.config.start_from:
            half_life = min(half_life, 0.05 * self.images_seen)
        weight = 1.0 - 0.5 ** (self.config.batch / max(half_life, 1e-8))
        for average, current in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(current, weight)
        self.average.mapping.w_mean.copy_(self.generator.mapping.w_mean)
