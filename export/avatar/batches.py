"""What one training step takes in: real pictures, the generator's random inputs, and the augmentation of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from export.avatar import augment
from export.avatar.config import TrainConfig
from export.avatar.latents import Latents, draw_latents
from export.avatar.parallel import part_of_batch, rank, world


@dataclass(frozen=True)
class Batch:
    """A part of a step's batch, on the device."""

    real: Tensor
    """float32 [N, C, S, S] in [-1, 1], channels last."""
    latents: Latents
    """The generator's inputs for N pictures."""
    changes: tuple[augment.Draw, ...]
    """For the real pictures, and for the generated ones before each player; empty where nothing is changed."""


class BatchSource:
    """Cuts epochs into batches and batches into parts, this process's parts being the ones it returns.

    Every process draws for the whole batch from an equal generator, so that all stay in step.
    """

    def __init__(self, config: TrainConfig, images: np.ndarray, rng: torch.Generator) -> None:
        """Raises ValueError when the pictures are not the model's, or a batch does not divide into parts."""
        expected = (config.model.image_channels, config.model.image_size, config.model.image_size)
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            raise ValueError(f"pictures are {images.dtype} {images.shape[1:]}; the model takes uint8 {expected}")
        self.parts = world() * config.accumulate
        if config.batch % self.parts:
            raise ValueError(f"batch is {config.batch}; {world()} processes times accumulate need a multiple of {self.parts}")
        self.config, self.images, self.rng = config, images, rng
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def draw(self, step: int, p: float) -> list[Batch]:
        """This process's parts of a step's batch, augmented with probability p."""
        config = self.config
        pixels = torch.from_numpy(np.ascontiguousarray(self.images[self.pictures_of(step)]))
        mirrored = torch.rand(config.batch, generator=self.rng) < (0.5 if config.mirror else 0.0)
        latents = draw_latents(config.model, config.batch, config.mixing, self.rng)
        changes: list[augment.Draw] = []
        if config.pipeline != "none" and p > 0.0:
            grid = config.model.grid_size
            changes = [augment.draw(config.pipeline, p, config.batch, grid, self.rng) for _ in range(3)]
        batches = []
        for chosen in self.my_parts(config.batch):
            real = pixels[chosen].to(config.device).float().div(127.5).sub(1.0)
            real = torch.where(mirrored[chosen].to(config.device)[:, None, None, None], real.flip(3), real)
            parts = tuple(change.part(chosen) for change in changes)
            real = real.contiguous(memory_format=torch.channels_last)
            batches.append(Batch(real, latents.part(chosen, config.device), parts))
        return batches

    def pictures_of(self, step: int) -> np.ndarray:
        """Indices of a step's pictures, in the order that seed and epoch fix; what does not fill a batch is left out.

        Fewer pictures than fill one batch are all in every batch, some of them more often than others.
        """
        batch = self.config.batch
        epoch, position = divmod(step, max(1, len(self.images) // batch))
        if self._epoch[0] != epoch:
            self._epoch = (epoch, np.random.default_rng([self.config.seed, epoch]).permutation(len(self.images)))
        return np.sort(np.resize(self._epoch[1][position * batch : (position + 1) * batch], batch))

    def my_parts(self, count: int) -> list[Tensor]:
        """Which pictures of a batch each of this process's parts has."""
        accumulate = self.config.accumulate
        return [part_of_batch(count, rank() * accumulate + index, self.parts) for index in range(accumulate)]


def batch_of(images: np.ndarray, chosen: np.ndarray) -> Tensor:
    """Chosen pictures of uint8 [N, C, S, S] as float32 in [-1, 1], channels last."""
    pixels = torch.from_numpy(np.ascontiguousarray(images[np.sort(chosen)]))
    return pixels.float().div(127.5).sub(1.0).contiguous(memory_format=torch.channels_last)
