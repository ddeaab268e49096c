"""Trains the encoder of a generator: on the generator's own avatars, whose styles are known, and on pictures of the data."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from export import checkpoint
from export.avatar.directions import WhiteSpace, draw, draw_straight_through, sample_styles
from export.avatar.encoder import Encoder, mean_styles
from export.avatar.model import Generator
from export.avatar.pictures import to_uint8

KIND = "avatar encoder"
NewTargets = Callable[[int], tuple[np.ndarray, Tensor]]


@dataclass(frozen=True)
class EncoderRecipe:
    """What an encoder is trained with."""

    pool: int = 4096
    """Projections under way: avatars with known styles, at any number of corrections."""
    batch: int = 128
    """Projections in a step that learn from known styles, which needs no picture to be drawn."""
    drawn: int = 24
    """Projections in a step that learn from the picture of their new styles: half of avatars, half of the data."""
    refinements: int = 4
    """Corrections after which a projection makes room for the next target."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    picture_weight: float = 2.0
    """Weight of the difference of the pictures, beside that of the known styles in standard deviations."""
    prior_weight: float = 0.01
    """Weight of the distance to the mean style, for pictures whose styles are not known."""
    average: float = 0.995
    """Share that the averaged encoder keeps in a step."""
    seed: int = 0
    """Seed of weights and draws."""

    def __post_init__(self) -> None:
        for name in ("pool", "batch", "drawn", "refinements", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")


@dataclass
class Projections:
    """Projections under way: targets and avatars so far uint8 [N, C, S, S], known and present styles [N, num_layers, L]."""

    target: np.ndarray
    styles: Tensor
    current: np.ndarray
    w_in: Tensor
    corrections: np.ndarray

    def feeds(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """What the encoder takes for some rows."""
        image, current = (torch.from_numpy(part[rows]) / 127.5 - 1.0 for part in (self.target, self.current))
        return image, current, self.w_in[rows]


def picture_loss(drawn: Tensor, target: Tensor, cell: int) -> Tensor:
    """Mean absolute difference [N] of pictures [N, C, S, S], sharp and averaged over 2 x 2 and 4 x 4 cells."""
    difference = F.avg_pool2d(drawn - target, cell) if cell > 1 else drawn - target
    blurred = [F.avg_pool2d(difference, size) for size in (2, 4)]
    return torch.stack([part.abs().mean(dim=(1, 2, 3)) for part in (difference, *blurred)]).mean(dim=0)


class EncoderTrainer:
    """Trains an encoder against a frozen generator; `pictures` uint8 [N, C, S, S] of the data may be empty.

    Pools of projections stand at different numbers of corrections, as the encoder made them. Each step learns the styles
    of many avatars, draws the new pictures of a few projections, learns from these too and keeps them as where to go on.
    """

    def __init__(self, generator: Generator, pictures: np.ndarray, recipe: EncoderRecipe) -> None:
        self.generator, self.pictures, self.recipe = generator, pictures, recipe
        self.rng = np.random.default_rng(recipe.seed)
        self.step, self.seconds = 0, 0.0
        self.metrics: dict[str, float] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.encoder = Encoder(generator.config)
        self.encoder.w_mean.copy_(generator.mapping.w_mean)
        self.average = copy.deepcopy(self.encoder).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.encoder.parameters(), lr=recipe.learning_rate)
        # Inverting the root once makes the loss on styles a plain product.
        white = WhiteSpace.of(sample_styles(generator, 4096, np.random.default_rng(recipe.seed)))
        self.unroot = torch.linalg.inv(white.root)
        noise = torch.zeros(1, generator.config.noise_size)
        self.mean_image = to_uint8(draw(generator, mean_styles(generator, 1), noise).numpy())
        self.avatars = self.begin(*self.new_avatars(recipe.pool))
        self.real = self.begin(*self.new_pictures(recipe.pool)) if len(pictures) else None

    def train_step(self) -> None:
        """One step of the optimiser; raises ValueError, with the weights as they were, when a loss is not a number."""
        recipe = self.recipe
        rows = self.rng.integers(0, len(self.avatars.target), recipe.batch)
        styles = self.encoder(*self.avatars.feeds(rows))
        learned = self.distance(styles, self.avatars.styles[rows]).mean()
        loss = learned
        halves = [(self.avatars, self.new_avatars)] + ([(self.real, self.new_pictures)] if self.real else [])
        later = []
        for pool, new in halves:
            rows = self.rng.choice(len(pool.target), max(1, recipe.drawn // len(halves)), replace=False)
            image, current, w_in = pool.feeds(rows)
            w = self.encoder(image, current, w_in)
            drawn = draw_straight_through(self.generator, w, self._noise(len(rows)))
            pixels = picture_loss(drawn, image, self.generator.config.pixel_size).mean()
            loss = loss + recipe.picture_weight * pixels / len(halves)
            if pool is self.real:
                loss = loss + recipe.prior_weight * self.distance(w, self.encoder.w_mean.expand_as(w)).mean()
            later.append((pool, new, rows, drawn.detach(), w.detach()))
            self.metrics["pixels_real" if pool is self.real else "pixels_avatars"] = pixels.item()
        self.metrics["styles"] = learned.item()
        if not math.isfinite(loss.item()):
            raise ValueError(f"training of the encoder diverged at step {self.step + 1}: {self.metrics}")
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimiser.step()
        for pool, new, rows, drawn, w in later:
            self.advance(pool, new, rows, drawn, w)
        self.step += 1
        keep = min(recipe.average, 1.0 - 1.0 / (self.step + 1))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.encoder.parameters(), strict=True):
                mean.lerp_(value, 1.0 - keep)

    def distance(self, w: Tensor, styles: Tensor) -> Tensor:
        """Mean squared distance [N] of styles in standard deviations."""
        return ((w - styles) @ self.unroot.T).square().mean(dim=(1, 2))

    def begin(self, images: np.ndarray, styles: Tensor) -> Projections:
        """Projections of pictures uint8 [N, C, S, S], from the mean avatar on."""
        count = len(images)
        w = mean_styles(self.generator, count).clone()
        return Projections(images, styles, self.mean_image.repeat(count, 0), w, np.zeros(count, np.int64))

    def advance(self, pool: Projections, new: NewTargets, rows: np.ndarray, drawn: Tensor, w: Tensor) -> None:
        """Keeps where projections have come to, and gives new targets to those that had all their corrections."""
        pool.current[rows], pool.w_in[rows] = to_uint8(drawn.numpy()), w
        pool.corrections[rows] += 1
        done = rows[pool.corrections[rows] >= self.recipe.refinements]
        if len(done):
            fresh = self.begin(*new(len(done)))
            pool.target[done], pool.styles[done] = fresh.target, fresh.styles
            pool.current[done], pool.w_in[done], pool.corrections[done] = fresh.current, fresh.w_in, 0

    def new_avatars(self, count: int) -> tuple[np.ndarray, Tensor]:
        """Random avatars uint8 [count, C, S, S] at truncations from 0.5 to 1, and their styles."""
        generator = self.generator
        w = sample_styles(generator, count, self.rng)
        truncation = torch.from_numpy(self.rng.uniform(0.5, 1.0, (count, 1)).astype(np.float32))
        w = generator.mapping.w_mean + truncation * (w - generator.mapping.w_mean)
        images = to_uint8(draw(generator, w, self._noise(count)).numpy())
        return images, w[:, None].repeat(1, generator.config.num_layers, 1)

    def new_pictures(self, count: int) -> tuple[np.ndarray, Tensor]:
        """Pictures of the data, whose styles nobody knows."""
        rows = self.rng.integers(0, len(self.pictures), count)
        return self.pictures[rows], mean_styles(self.generator, count).clone()

    def _noise(self, count: int) -> Tensor:
        return torch.from_numpy(self.rng.standard_normal((count, self.generator.config.noise_size), np.float32))

    def save(self, path: Path, generator_digest: str) -> None:
        """Writes all that `load` needs to go on, but for the projections under way, which begin anew."""
        state: dict[str, Any] = {
            "encoder": self.encoder.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.bit_generator.state,
            "step": self.step,
            "seconds": self.seconds,
            "recipe": asdict(self.recipe),
            "generator": generator_digest,
        }
        checkpoint.save(path, KIND, state)

    def load(self, path: Path, generator_digest: str) -> None:
        """Goes on where `save` left off; raises CheckpointError for the encoder of another generator or recipe."""
        state = checkpoint.load(path, KIND)
        if state["generator"] != generator_digest:
            raise checkpoint.CheckpointError(f'"{path}" belongs to another state of the generator; train without --resume')
        if state["recipe"] != asdict(self.recipe):
            raise checkpoint.CheckpointError(f'"{path}" was trained with {state["recipe"]}, not {asdict(self.recipe)}')
        self.encoder.load_state_dict(state["encoder"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["rng"]
        self.step, self.seconds = state["step"], state["seconds"]


def train_encoder(trainer: EncoderTrainer, minutes: float) -> Encoder:
    """Trains for some minutes and returns the averaged encoder; raises what `train_step` raises."""
    begin, before = time.monotonic(), trainer.seconds
    with tqdm(desc="encoder", unit="step", leave=False) as bar:
        while (elapsed := time.monotonic() - begin) < 60 * minutes:
            trainer.train_step()
            trainer.seconds = before + elapsed
            bar.update()
            if trainer.step % 20 == 0:
                bar.set_postfix({key: f"{value:.3f}" for key, value in trainer.metrics.items()}, refresh=False)
    return trainer.average.eval()
