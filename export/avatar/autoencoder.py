"""The encoder that `pretrain` learns beside the synthesis network, and what tells a picture from its drawing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.avatar.layers import EqualConv, EqualLinear, activate
from export.avatar.model import Discriminator, ModelConfig, Synthesis

HIDDEN = 256


class PictureEncoder(nn.Module):
    """Pictures [N, C, S, S] in [-1, 1] to styles [N, L], each of whose numbers has mean 0 and deviation 1 over the data.

    `layers` are the discriminator's, without its batch statistics and its verdict.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.channels_at(4)
        self.layers = Discriminator(config)
        self.layers.conv = EqualConv(channels, channels, 3)
        self.layers.dense = EqualLinear(channels * 16, HIDDEN)
        self.layers.logit = EqualLinear(HIDDEN, config.latent_size)
        self.scale = nn.BatchNorm1d(config.latent_size, affine=False, momentum=0.02)

    def forward(self, images: Tensor) -> Tensor:
        layers = self.layers
        x = activate(layers.from_image(layers.cells(images)))
        for block in layers.blocks:
            x = block(x)
        x = activate(layers.conv(x)).flatten(1)
        return self.scale(layers.logit(activate(layers.dense(x))))


def reconstruction_loss(synthesis: Synthesis, w: Tensor, images: Tensor, distance_weight: float = 0.0) -> Tensor:
    """How far pictures [N, C, S, S] are from what is drawn, without noise, with one style w [N, L] in all layers.

    A palette that is asked for one colour a cell: the cross entropy of the palette's nearest colour, and with a weight how far
    the blend of the colours is from it. Else the mean absolute and half the squared difference, and half the absolute one of
    averages over 2 x 2 and 4 x 4 pixels.
    """
    config = synthesis.config
    styles = w[:, None].expand(-1, config.num_layers, -1)
    noise = w.new_zeros(len(w), config.noise_size)
    if synthesis.palette is not None and synthesis.palette.one:
        scores, nearest = synthesis.scores(styles, noise) * synthesis.palette.sharpness, nearest_colour(synthesis, images)
        loss = F.cross_entropy(scores, nearest)
        if distance_weight:
            colours = synthesis.palette.colours
            blend = F.conv2d(scores.softmax(dim=1), colours.t()[:, :, None, None])
            off = blend - F.embedding(nearest, colours).permute(0, 3, 1, 2)
            loss = loss + distance_weight * off.abs().mean()
        return loss
    difference = synthesis(styles, noise) - images
    loss = difference.abs().mean() + 0.5 * difference.square().mean()
    for size in (2, 4):
        loss = loss + 0.5 * F.avg_pool2d(difference, size).abs().mean()
    return loss


@torch.no_grad()
def nearest_colour(synthesis: Synthesis, images: Tensor) -> Tensor:
    """The index [N, G, G] of the palette's colour that is nearest to each cell."""
    cells = F.avg_pool2d(images, synthesis.config.pixel_size) if synthesis.config.pixel_size > 1 else images
    assert synthesis.palette is not None
    colours = synthesis.palette.colours
    # The squared distance less the cell's own square, which is the same for all colours.
    products = F.conv2d(cells, colours[:, :, None, None])
    return (colours.square().sum(dim=1)[None, :, None, None] - 2.0 * products).argmin(dim=1)
