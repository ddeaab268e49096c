"""VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937) for tiles of terrain and for pictures."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.scene.classes import GROUND, OBJECTS
from export.scene.quantiser import FiniteScalarQuantiser, Quantised, VectorQuantiser
from export.scene.vqvae_config import VQVAEConfig


class Decoded(NamedTuple):
    """Heights in metres [N, 65, 65] and logits of ground [N, G, 64, 64] and objects [N, O, 64, 64]."""

    height: Tensor
    ground: Tensor
    objects: Tensor


class Residual(nn.Module):
    """ReLU, 3 x 3, ReLU, 1 x 1, and the input added."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


def residuals(config: VQVAEConfig) -> nn.Sequential:
    """The residual blocks, with the ReLU that ends them."""
    blocks = [Residual(config.hidden, config.residual_hidden) for _ in range(config.residual_layers)]
    return nn.Sequential(*blocks, nn.ReLU())


class Encoder(nn.Module):
    """Feature maps [N, C, S, S] to vectors [N, D, S / d, S / d]: strided 4 x 4 convolutions, then residual blocks."""

    def __init__(self, config: VQVAEConfig, inputs: int) -> None:
        super().__init__()
        strides = config.downsampling.bit_length() - 1
        widths = [inputs, config.hidden // 2, *[config.hidden] * (strides - 1)]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.strided = nn.Sequential(*layers)
        self.mixed = nn.Conv2d(config.hidden, config.hidden, 3, padding=1)
        self.residuals = residuals(config)
        self.to_code = nn.Conv2d(config.hidden, config.quantised_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.to_code(self.residuals(self.mixed(self.strided(x))))


class Decoder(nn.Module):
    """Vectors [N, D, S / d, S / d] to feature maps [N, fine, S, S]: the encoder backwards."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        strides = config.downsampling.bit_length() - 1
        widths = [*[config.hidden] * (strides - 1), config.hidden // 2, config.fine]
        self.mixed = nn.Conv2d(config.quantised_width, config.hidden, 3, padding=1)
        self.residuals = residuals(config)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.strided = nn.Sequential(*layers)

    def forward(self, vectors: Tensor) -> Tensor:
        return self.strided(self.residuals(self.mixed(vectors)))


class TileInput(nn.Module):
    """Heights and classes to feature maps on the cells: normalised heights of a cell's corners, and its classes one-hot."""

    def __init__(self, middle: float, scale: float) -> None:
        super().__init__()
        self.middle: Tensor
        self.scale: Tensor
        self.register_buffer("middle", torch.tensor(middle))
        self.register_buffer("scale", torch.tensor(scale))

    @property
    def channels(self) -> int:
        """Feature maps: mean height, two differences, and one for each class."""
        return 3 + len(GROUND) + len(OBJECTS)

    def forward(self, height: Tensor, ground: Tensor, objects: Tensor) -> Tensor:
        h = (height - self.middle) / self.scale
        upper, lower = h[:, :-1, :-1] + h[:, :-1, 1:], h[:, 1:, :-1] + h[:, 1:, 1:]
        left, right = h[:, :-1, :-1] + h[:, 1:, :-1], h[:, :-1, 1:] + h[:, 1:, 1:]
        # Differences over a cell are small beside heights: brought to about the same size.
        relief = torch.stack([(upper + lower) * 0.25, (right - left) * 4.0, (lower - upper) * 4.0], dim=1)
        classes = [one_hot(ground, len(GROUND)), one_hot(objects, len(OBJECTS))]
        return torch.cat([relief, *(part.to(h.dtype) for part in classes)], dim=1)


def one_hot(classes: Tensor, count: int) -> Tensor:
    """Classes int64 [N, H, W] as bool [N, count, H, W]; a class out of range is none of them."""
    return classes[:, None] == torch.arange(count, device=classes.device)[:, None, None]


class TileHeads(nn.Module):
    """One head a channel over shared features: heights on the vertices, logits on the cells."""

    def __init__(self, fine: int, middle: float, scale: float) -> None:
        super().__init__()
        self.shared = nn.Conv2d(fine, fine, 3, padding=1)
        # Kernel 2 with padding 1 on both sides of a grid of cells gives the grid of vertices.
        self.height = nn.Conv2d(fine, 1, 2, padding=1)
        self.ground = nn.Conv2d(fine, len(GROUND), 1)
        self.objects = nn.Conv2d(fine, len(OBJECTS), 1)
        self.middle: Tensor
        self.scale: Tensor
        self.register_buffer("middle", torch.tensor(middle))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, features: Tensor) -> Decoded:
        x = F.relu(self.shared(features))
        # The edge's vertices look at cells that are not there: the nearest ones stand in, zeros would bend every edge.
        around = F.pad(x, (1, 1, 1, 1), mode="replicate")
        height = F.conv2d(around, self.height.weight, self.height.bias)[:, 0]
        return Decoded(height * self.scale + self.middle, self.ground(x), self.objects(x))


class VQVAE(nn.Module):
    """Encoder, quantiser and decoder; middle and scale (metres) normalise heights in tile mode."""

    def __init__(self, config: VQVAEConfig, *, middle: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.config = config
        tile = config.mode == "tile"
        self.input = TileInput(middle, scale) if tile else None
        self.encoder = Encoder(config, self.input.channels if self.input else 3)
        self.quantiser = (
            VectorQuantiser(config.codebook, config.code_width)
            if config.quantiser == "vq"
            else FiniteScalarQuantiser(config.fsq_levels)
        )
        self.decoder = Decoder(config)
        self.heads = TileHeads(config.fine, middle, scale) if tile else nn.Conv2d(config.fine, 3, 3, padding=1)

    @property
    def codes(self) -> int:
        """How many different codes there are."""
        return self.quantiser.codes

    def vectors(self, *inputs: Tensor) -> Tensor:
        """The encoder's outputs [N, D, S / d, S / d] of (height, ground, objects) or of pictures in -1 to 1 [N, 3, S, S]."""
        return self.encoder(self.input(*inputs) if self.input else inputs[0])

    def encode(self, *inputs: Tensor) -> Tensor:
        """Codes int64 [N, S / d, S / d] of (height, ground, objects) or pictures."""
        return self.quantiser.nearest(self.vectors(*inputs))

    def decode(self, codes: Tensor) -> Decoded | Tensor:
        """What codes stand for: heights and logits, or a picture."""
        return self.heads(self.decoder(self.quantiser.look_up(codes)))

    def forward(self, *inputs: Tensor) -> tuple[Decoded | Tensor, Quantised, Tensor]:
        """Returns the reconstruction, what the quantiser gave, and the encoder's outputs."""
        vectors = self.vectors(*inputs)
        quantised = self.quantiser(vectors)
        return self.heads(self.decoder(quantised.vectors)), quantised, vectors
