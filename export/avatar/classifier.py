"""Attribute predictor: a small convolutional network that reads named numbers (glasses, hair_length, ...) off a picture."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

BATCH = 128
WIDTHS = (24, 48, 64, 96, 96, 96, 96)
"""Feature maps of one convolution after another, each at half the resolution of the one before."""
CORRUPTION = 0.03
"""Share of the cells that are replaced in training: generated pictures are not as clean as drawn ones."""


class AttributePredictor(nn.Module):
    """Pictures [N, C, S, S] in [-1, 1] to logits [N, A]; the sigmoid of a logit is the attribute in [0, 1]."""

    def __init__(self, names: Sequence[str], image_channels: int, image_size: int, pixel_size: int = 1) -> None:
        super().__init__()
        self.names = tuple(names)
        self.pixel_size = pixel_size
        grid = image_size // pixel_size
        layers: list[nn.Module] = []
        channels, index = image_channels, 0
        if grid <= 16:
            layers += _block(channels, WIDTHS[0], 1)
            channels, index = WIDTHS[0], 1
        for width in WIDTHS[index : index + int(math.log2(grid)) - 2]:
            layers += _block(channels, width, 2)
            channels = width
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(channels * 16, 128)
        self.output = nn.Linear(128, len(self.names))

    def forward(self, images: Tensor) -> Tensor:
        if self.pixel_size > 1:
            images = F.avg_pool2d(images, self.pixel_size)
        return self.output(F.leaky_relu(self.hidden(self.features(images)), 0.2))

    def only(self, names: Sequence[str]) -> AttributePredictor:
        """A copy that reads some of the attributes, in the order given."""
        kept = copy.deepcopy(self)
        columns = [self.names.index(name) for name in names]
        kept.names = tuple(names)
        kept.output.weight.data = self.output.weight[columns]
        kept.output.bias.data = self.output.bias[columns]
        return kept


def _block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]


@dataclass(frozen=True)
class Reading:
    """How well an attribute is read off pictures that were not trained on."""

    accuracy: float
    """Share of the pictures on the right side of 0.5."""
    r2: float
    """Coefficient of determination: 1 for exact numbers, 0 for always saying the mean."""


def fit_predictor(
    images: np.ndarray, names: Sequence[str], table: np.ndarray, *, pixel_size: int = 1, shown: int = 24_000, seed: int = 0
) -> AttributePredictor:
    """Trains a predictor on pictures uint8 [N, C, S, S] and their attributes float32 [N, A] in [0, 1].

    shown counts the pictures shown in all. Cross-entropy against the number itself, so its minimum is the number also
    where an attribute is not yes or no. Raises ValueError when pictures and attributes do not fit together.
    """
    if len(images) != len(table) or table.shape[1:] != (len(names),) or not len(names):
        raise ValueError(f"{len(images)} pictures, attributes {list(table.shape)} and {len(names)} names do not fit together")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AttributePredictor(names, images.shape[1], images.shape[2], pixel_size)
    steps = max(1, shown // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    network.train()
    for _ in tqdm(range(steps), desc="attribute predictor", unit="step", leave=False):
        rows = balanced(table, rng, BATCH)
        batch = corrupt(torch.from_numpy(images[rows]) / 127.5 - 1.0, pixel_size, rng)
        loss = F.binary_cross_entropy_with_logits(network(batch), torch.from_numpy(table[rows]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval().requires_grad_(False)


def balanced(table: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draws rows of a table [N, A]: half of them anywhere, half with or without one attribute, rare ones most often.

    Without it, a predictor does well on what one face in twenty has by never seeing it.
    """
    rows = rng.integers(0, len(table), count)
    has = table > 0.5
    rarer = np.minimum(has.sum(axis=0), (~has).sum(axis=0))
    weight = np.where(rarer > 0, 1.0 / np.maximum(rarer, 1), 0.0)
    if weight.any():
        columns = rng.choice(len(weight), count // 2, p=weight / weight.sum())
        for place, column in enumerate(columns):
            rows[place] = rng.choice(np.flatnonzero(has[:, column] == (rng.random() < 0.5)))
    return rows


def corrupt(images: Tensor, pixel_size: int, rng: np.random.Generator) -> Tensor:
    """Replaces a few cells of each picture [N, C, S, S] by the same cells of the next picture."""
    cells = images.shape[2] // pixel_size
    chosen = torch.from_numpy(rng.random((len(images), 1, cells, cells)) < CORRUPTION)
    chosen = chosen.repeat_interleave(pixel_size, 2).repeat_interleave(pixel_size, 3)
    return torch.where(chosen, images.roll(1, 0), images)


@torch.inference_mode()
def predict(predictor: AttributePredictor, images: np.ndarray | Tensor, batch: int = 256) -> np.ndarray:
    """Returns the attributes float32 [N, A] in [0, 1] of pictures uint8 or, as tensors, in [-1, 1]."""
    parts = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        pixels = torch.from_numpy(part) / 127.5 - 1.0 if isinstance(part, np.ndarray) else part
        parts.append(predictor(pixels).sigmoid().numpy())
    return np.concatenate(parts) if parts else np.empty((0, len(predictor.names)), np.float32)


def read_held_out(predictor: AttributePredictor, images: np.ndarray, table: np.ndarray) -> dict[str, Reading]:
    """Measures each attribute on pictures uint8 [N, C, S, S] with their true attributes [N, A]."""
    found = predict(predictor, images)
    readings = {}
    for column, name in enumerate(predictor.names):
        truth, guess = table[:, column], found[:, column]
        spread = float(np.square(truth - truth.mean()).sum())
        r2 = 1.0 - float(np.square(truth - guess).sum()) / spread if spread > 0 else math.nan
        readings[name] = Reading(float(((truth > 0.5) == (guess > 0.5)).mean()), r2)
    return readings
