"""Trains the encoder of a generator: on the generator's own avatars, whose styles are known, and on pictures of the data."""

from __future__ import annotations

import copy
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from export import checkpoint
from export.avatar.directions import WhiteSpace, draw, sample_styles
from export.avatar.encoder import Encoder, mean_styles
from export.avatar.model import Generator

KIND = "avatar encoder"


@dataclass(frozen=True)
class EncoderRecipe:
    """What an encoder is trained with."""

    batch: int = 32
    """Pictures in a step: half of them avatars, half of the data, or all avatars where there is no data."""
    refinements: int = 3
    """Corrections in a row that each picture gets in a step."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    style_weight: float = 0.1
    """Weight of the distance to the known styles, in standard deviations, for avatars."""
    prior_weight: float = 0.003
    """Weight of the distance to the mean style, for pictures whose styles are not known."""
    average: float = 0.995
    """Share that the averaged encoder keeps in a step."""
    seed: int = 0
    """Seed of weights and draws."""


def picture_loss(drawn: Tensor, target: Tensor, cell: int) -> Tensor:
    """Mean absolute difference [N] of pictures [N, C, S, S], sharp and averaged over 2 x 2 and 4 x 4 cells."""
    difference = F.avg_pool2d(drawn - target, cell) if cell > 1 else drawn - target
    blurred = [F.avg_pool2d(difference, size) for size in (2, 4)]
    return torch.stack([part.abs().mean(dim=(1, 2, 3)) for part in (difference, *blurred)]).sum(dim=0)


class EncoderTrainer:
    """Trains an encoder against a frozen generator; `pictures` uint8 [N, C, S, S] may be empty."""

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

    def train_step(self) -> None:
        """Refines one batch step by step and learns from every refinement."""
        generator, recipe = self.generator, self.recipe
        target, styles, known = self.batch()
        noise = self._noise(len(target))
        w = mean_styles(generator, len(target))
        current = draw(generator, w[:1], noise[:1]).expand(len(target), -1, -1, -1).clone()
        self.optimiser.zero_grad()
        for index in range(recipe.refinements):
            w = self.encoder(target, current, w)
            drawn = generator.synthesis(w, noise)
            pixels = picture_loss(drawn, target, generator.config.pixel_size)
            spread = ((w - torch.where(known[:, None, None], styles, self.encoder.w_mean)) @ self.unroot.T).square()
            weight = torch.where(known, recipe.style_weight, recipe.prior_weight)
            loss = (pixels + weight * spread.mean(dim=(1, 2))).mean()
            loss.backward()
            w, current = w.detach(), drawn.detach().clamp(-1.0, 1.0)
            self.metrics[f"pixels_{index + 1}"] = float(pixels.mean())
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(recipe.average, 1.0 - 1.0 / (self.step + 1))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.encoder.parameters(), strict=True):
                mean.lerp_(value, 1.0 - keep)

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns pictures [N, C, S, S], their styles [N, num_layers, L] and whether these are known, bool [N]."""
        generator, count = self.generator, self.recipe.batch
        own = count if not len(self.pictures) else count // 2
        truncation = torch.from_numpy(self.rng.uniform(0.5, 1.0, (own, 1)).astype(np.float32))
        w = generator.mapping.w_mean + truncation * (sample_styles(generator, own, self.rng) - generator.mapping.w_mean)
        styles = w[:, None].expand(-1, generator.config.num_layers, -1)
        images = draw(generator, styles, self._noise(own)).clone()
        if own < count:
            rows = self.rng.integers(0, len(self.pictures), count - own)
            images = torch.cat([images, torch.from_numpy(self.pictures[rows]) / 127.5 - 1.0])
            styles = torch.cat([styles, mean_styles(generator, count - own)])
        return images, styles.clone(), torch.arange(count) < own

    def _noise(self, count: int) -> Tensor:
        return torch.from_numpy(self.rng.standard_normal((count, self.generator.config.noise_size), np.float32))

    def save(self, path: Path, generator_digest: str) -> None:
        """Writes all that `load` needs to go on."""
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
    """Trains for some minutes and returns the averaged encoder.

    Raises ValueError as soon as a loss is not a number: the generator or the pictures hold one.
    """
    begin, before = time.monotonic(), trainer.seconds
    with tqdm(desc="encoder", unit="step", leave=False) as bar:
        while (elapsed := time.monotonic() - begin) < 60 * minutes:
            trainer.train_step()
            trainer.seconds = before + elapsed
            bar.update()
            if trainer.step % 20 == 0:
                if not all(np.isfinite(value) for value in trainer.metrics.values()):
                    raise ValueError(f"training of the encoder diverged at step {trainer.step}: {trainer.metrics}")
                bar.set_postfix({key: f"{value:.3f}" for key, value in trainer.metrics.items()}, refresh=False)
    return trainer.average.eval()
