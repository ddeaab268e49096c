"""Projection: a network that corrects the styles of an avatar until it looks like a picture (ReStyle, Alaluf et al. 2021)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.avatar.model import Generator, ModelConfig


@dataclass(frozen=True)
class EncoderShape:
    """The shape of an encoder."""

    channels: tuple[int, ...] = (48, 64, 96, 96, 96, 96, 96, 96)
    """Feature maps of one convolution after another; each but the first halves the picture, down to 4 x 4 cells."""
    hidden: int = 192
    """Width of the layer in which the pictures and the styles meet."""


class Encoder(nn.Module):
    """One step of refinement: (target, current picture, its styles) to better styles (arXiv:2104.02699).

    image and current are [N, C, S, S] in [-1, 1], premultiplied; w_in and the answer are [N, num_layers, L]. Starts
    out as a network that changes nothing.
    """

    def __init__(self, model: ModelConfig, config: EncoderShape | None = None) -> None:
        super().__init__()
        config = config or EncoderShape()
        self.pixel_size = model.pixel_size
        widths = config.channels[: int(math.log2(model.grid_size)) - 1]
        convs = [nn.Conv2d(2 * model.image_channels, widths[0], 3, padding=1)]
        for inputs, outputs in itertools.pairwise(widths):
            convs.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
        self.convs = nn.ModuleList(convs)
        self.pictures = nn.Linear(widths[-1] * 16, config.hidden)
        self.styles = nn.Linear(model.num_layers * model.latent_size, config.hidden)
        self.hidden = nn.Linear(config.hidden, config.hidden)
        self.change = nn.Linear(config.hidden, model.num_layers * model.latent_size)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)
        self.register_buffer("w_mean", torch.zeros(model.latent_size))
        self.w_mean: Tensor

    def forward(self, image: Tensor, current: Tensor, w_in: Tensor) -> Tensor:
        x = torch.cat([image, current - image], dim=1)
        if self.pixel_size > 1:
            x = F.avg_pool2d(x, self.pixel_size)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        styles = (w_in - self.w_mean).flatten(1)
        y = F.leaky_relu(self.pictures(x.flatten(1)) + self.styles(styles), 0.2)
        y = F.leaky_relu(self.hidden(y), 0.2)
        return w_in + self.change(y).reshape(w_in.shape)


def mean_styles(generator: Generator, count: int) -> Tensor:
    """The styles [count, num_layers, L] of the mean avatar, where projection starts."""
    return generator.mapping.w_mean.expand(count, generator.config.num_layers, -1)


@torch.inference_mode()
def project(generator: Generator, encoder: Encoder, images: Tensor, noise: Tensor, steps: int) -> list[tuple[Tensor, Tensor]]:
    """Refines pictures [N, C, S, S] for some steps; returns (styles, avatars) after 0, 1, ... steps.

    Raises ValueError for pictures of another shape than the generator draws.
    """
    config = generator.config
    expected = (config.image_channels, config.image_size, config.image_size)
    if tuple(images.shape[1:]) != expected:
        raise ValueError(f"pictures are {list(images.shape[1:])}; this generator draws {list(expected)}")
    w = mean_styles(generator, len(images))
    answers = [(w, generator.synthesis(w, noise).clamp(-1.0, 1.0))]
    for _ in range(steps):
        w = encoder(images, answers[-1][1], w)
        answers.append((w, generator.synthesis(w, noise).clamp(-1.0, 1.0)))
    return answers
