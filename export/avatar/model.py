"""The StyleGAN2 generator and discriminator (Karras et al. 2020, arXiv:1912.04958)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.avatar.flow import StyleFlow
from export.avatar.layers import EqualConv, EqualLinear, ModulatedConv, Resample, activate, downsample, upsample


@dataclass(frozen=True)
class ModelConfig:
    """The shape of both networks."""

    image_size: int = 32
    """Height and width of a picture in pixels: a power of two from 32 to 1024."""
    image_channels: Literal[3, 4] = 4
    """3 for RGB; 4 for RGBA, whose colours are multiplied by alpha."""
    pixel_size: int = 1
    """Pixels of the picture in a row of one cell: both networks work on image_size / pixel_size cells, for pixel art."""
    palette_size: int = 0
    """Colours the generator mixes, taken from the data before training; 0 lets it draw every colour directly."""
    palette_mix: Literal["one", "blend"] = "one"
    """With a palette: one colour in a cell (pixel art), or a blend of some (flat drawings with smooth edges)."""
    palette_sharpness: float = 1.0
    """With a palette: the scores are multiplied by it before they are mixed; above 1 cells come to one colour sooner."""
    palette_apart: int = 0
    """Levels of 255 by which colours of the palette differ at least; 0 takes 3 for one colour in a cell, 12 for a blend."""
    latent_size: int = 64
    """Length of z and of w."""
    mapping: Literal["layers", "flow"] = "layers"
    """What makes w of z: the paper's fully connected layers, or a flow, which tells kinds of pictures apart (pretrain)."""
    mapping_layers: int = 4
    """Fully connected layers between z and w."""
    flow_width: int = 256
    """Numbers inside the flow's velocity field."""
    flow_blocks: int = 3
    """Residual blocks of the velocity field."""
    flow_steps: int = 4
    """Steps from z to w; each asks the velocity field twice."""
    channel_base: int = 768
    """Feature maps times resolution: a layer at R x R pixels has channel_base / R maps."""
    channel_max: int = 96
    """Upper limit of the feature maps of a layer."""
    channels: tuple[int, ...] = ()
    """Feature maps at 4, 8, 16, ... pixels, written out; empty for the rule of channel_base and channel_max."""
    resample: Resample = "nearest"
    """How feature maps change size: nearest for pixel art, linear (the paper's filter) for everything else."""

    def __post_init__(self) -> None:
        size = self.image_size
        if not 32 <= size <= 1024 or size & (size - 1):
            raise ValueError(f"image_size is {size}; it must be a power of two from 32 to 1024")
        if self.pixel_size < 1 or self.pixel_size & (self.pixel_size - 1) or size // self.pixel_size < 16:
            raise ValueError(
                f"pixel_size is {self.pixel_size}; it must be a power of two from 1 to {size // 16} for {size} pixels"
            )
        if self.palette_size < 0 or self.palette_size == 1:
            raise ValueError(f"palette_size is {self.palette_size}; it must be 0 or at least 2")
        for name in ("latent_size", "mapping_layers", "flow_width", "flow_blocks", "flow_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.palette_apart <= 255:
            raise ValueError(f"palette_apart is {self.palette_apart}; it must be from 0 to 255")
        if not self.palette_sharpness > 0:
            raise ValueError(f"palette_sharpness is {self.palette_sharpness}; it must be above 0")
        if self.channels and len(self.channels) != len(self.resolutions):
            raise ValueError(f"channels has {len(self.channels)} numbers; it needs one for each of {self.resolutions}")

    @property
    def default_truncation(self) -> float:
        """How far w goes from the mean unless asked: nearer than a flow puts it, w is of no kind of picture."""
        return 0.7 if self.mapping == "layers" else 1.0

    @property
    def grid_size(self) -> int:
        """Cells in a row of the grid that the networks work on."""
        return self.image_size // self.pixel_size

    @property
    def resolutions(self) -> list[int]:
        """Resolutions from 4 up to the grid's."""
        return [2**k for k in range(2, int(math.log2(self.grid_size)) + 1)]

    @property
    def num_layers(self) -> int:
        """How many layers take a style w: one per convolution and one for the last RGB output."""
        return 2 * len(self.resolutions)

    @property
    def noise_size(self) -> int:
        """Numbers in the noise maps of one picture, all layers together."""
        return 16 + sum(2 * size * size for size in self.resolutions[1:])

    def channels_at(self, resolution: int) -> int:
        """Feature maps at a resolution."""
        if self.channels:
            return self.channels[int(math.log2(resolution)) - 2]
        return max(1, min(self.channel_max, self.channel_base // resolution))


class Mapping(nn.Module):
    """Maps z to w and applies style mixing and truncation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, count = config.latent_size, config.mapping_layers if config.mapping == "layers" else 0
        self.layers = nn.ModuleList(EqualLinear(size, size, lr_multiplier=0.01) for _ in range(count))
        self.flow = StyleFlow(size, config.flow_width, config.flow_blocks, config.flow_steps) if not count else None
        self.register_buffer("w_mean", torch.zeros(size))
        self.register_buffer("layer_index", torch.arange(config.num_layers), persistent=False)
        self.w_mean: Tensor
        self.layer_index: Tensor

    @staticmethod
    def on_sphere(z: Tensor) -> Tensor:
        """Latents [N, L] scaled to a mean square of 1."""
        # A lower bound, where the paper adds 1e-8: the exporter drops so small a summand, and z = 0 would give NaN.
        return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True).clamp_min(1e-8))

    def to_w(self, z: Tensor) -> Tensor:
        """Maps z [N, L] to w [N, L]; z counts by its direction only."""
        w = self.on_sphere(z)
        if self.flow is not None:
            return self.flow(w)
        for layer in self.layers:
            w = activate(layer(w))
        return w

    def forward(self, z: Tensor, z_mix: Tensor, truncation: Tensor, mix_start: Tensor, mix_end: Tensor) -> Tensor:
        """Returns w [N, num_layers, L]: layers from mix_start up to, but not including, mix_end take their style from z_mix.

        truncation [N] is 1 for w as it is and 0 for the mean face; int64 [N] mix_start = mix_end mixes nothing.
        """
        w = self.mix(self.to_w(z), self.to_w(z_mix), mix_start, mix_end)
        return self.w_mean + truncation[:, None, None] * (w - self.w_mean)

    def mix(self, w: Tensor, w_mix: Tensor, mix_start: Tensor, mix_end: Tensor) -> Tensor:
        """Spreads w [N, L] over the layers [N, num_layers, L], with w_mix from mix_start up to mix_end."""
        mixed = (self.layer_index[None, :] >= mix_start[:, None]) & (self.layer_index[None, :] < mix_end[:, None])
        return torch.where(mixed[:, :, None], w_mix[:, None, :], w[:, None, :])


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias and activation."""

    def __init__(self, in_channels: int, out_channels: int, latent_size: int, up: Resample | None = None) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, out_channels, 3, latent_size, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        y = self.conv(x, w) + self.noise_strength * noise
        return activate(y + self.bias[None, :, None, None])


class ToImage(nn.Module):
    """A modulated 1x1 convolution to colours or to the scores of a palette, without demodulation."""

    def __init__(self, in_channels: int, out_channels: int, latent_size: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, out_channels, 1, latent_size, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.conv(x, w) + self.bias[None, :, None, None]


class Palette(nn.Module):
    """Turns the scores of a fixed palette into colours.

    A generator trains on the softmax blend of the colours, whose gradient is exact. With `palette_mix` "one" it draws,
    wherever no gradient is asked for, the one colour with the highest score. `impurity` is the Gini impurity of the last
    blend that was made for a gradient, 0 where every cell has one colour: a loss may keep it low.
    """

    impurity: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.one = config.palette_mix == "one"
        self.sharpness = config.palette_sharpness
        self.register_buffer("colours", torch.zeros(config.palette_size, config.image_channels))
        self.colours: Tensor

    def forward(self, scores: Tensor) -> Tensor:
        """Takes scores [N, palette_size, H, W]; returns colours [N, image_channels, H, W] in [-1, 1]."""
        if self.one and not scores.requires_grad:
            return F.embedding(scores.argmax(dim=1), self.colours).permute(0, 3, 1, 2)
        weights = (scores * self.sharpness).softmax(dim=1)
        if scores.requires_grad:
            self.impurity = 1.0 - weights.square().sum(dim=1).mean()
        return F.conv2d(weights, self.colours.t()[:, :, None, None])


class Synthesis(nn.Module):
    """Draws pictures from styles and noise with the skip architecture: every resolution adds to one sum."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        latent, sizes = config.latent_size, config.resolutions
        self.palette = Palette(config) if config.palette_size else None
        planes = config.palette_size or config.image_channels
        self.constant = nn.Parameter(torch.randn(1, config.channels_at(4), 4, 4))
        self.convs = nn.ModuleList([StyledConv(config.channels_at(4), config.channels_at(4), latent)])
        self.to_image = nn.ModuleList([ToImage(config.channels_at(4), planes, latent)])
        for size in sizes[1:]:
            inner, outer = config.channels_at(size // 2), config.channels_at(size)
            self.convs.append(StyledConv(inner, outer, latent, up=config.resample))
            self.convs.append(StyledConv(outer, outer, latent))
            self.to_image.append(ToImage(outer, planes, latent))

    def forward(self, w: Tensor, noise: Tensor) -> Tensor:
        """Takes w [N, num_layers, L] and noise [N, noise_size]; returns [N, image_channels, H, W], about -1 to 1, unclamped."""
        image = self.scores(w, noise)
        if self.palette is not None:
            image = self.palette(image)
        if self.config.pixel_size > 1:
            image = F.interpolate(image, scale_factor=self.config.pixel_size, mode="nearest")
        return image

    def scores(self, w: Tensor, noise: Tensor) -> Tensor:
        """The sum over the resolutions on the grid: colours, or the scores of the palette."""
        maps = self.noise_maps(noise)
        x = self.convs[0](self.constant.expand(w.shape[0], -1, -1, -1), w[:, 0], maps[0])
        image = self.to_image[0](x, w[:, 1])
        for block in range(1, len(self.to_image)):
            layer = 2 * block - 1
            x = self.convs[layer](x, w[:, layer], maps[layer])
            x = self.convs[layer + 1](x, w[:, layer + 1], maps[layer + 1])
            image = upsample(image, self.config.resample) + self.to_image[block](x, w[:, layer + 2])
        return image

    def noise_maps(self, noise: Tensor) -> list[Tensor]:
        """Splits the flat noise into one [N, 1, R, R] map per convolution, in layer order."""
        sizes = [4] + [size for size in self.config.resolutions[1:] for _ in range(2)]
        parts = noise.split([size * size for size in sizes], dim=1)
        return [part.reshape(-1, 1, size, size) for part, size in zip(parts, sizes, strict=True)]


class Generator(nn.Module):
    """Mapping and synthesis together, as they are trained."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.synthesis = Synthesis(config)

    def forward(
        self, z: Tensor, z_mix: Tensor, truncation: Tensor, mix_start: Tensor, mix_end: Tensor, noise: Tensor
    ) -> Tensor:
        return self.synthesis(self.mapping(z, z_mix, truncation, mix_start, mix_end), noise)


class DiscriminatorBlock(nn.Module):
    """A residual block that halves the picture."""

    def __init__(self, in_channels: int, out_channels: int, resample: Resample) -> None:
        super().__init__()
        self.resample: Resample = resample
        self.conv0 = EqualConv(in_channels, in_channels, 3)
        self.conv1 = EqualConv(in_channels, out_channels, 3, down=resample)
        self.skip = EqualConv(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = activate(self.conv1(activate(self.conv0(x))))
        return (y + self.skip(downsample(x, self.resample))) * math.sqrt(0.5)


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """Appends one feature map that tells how much the pictures of a group differ (Karras et al. 2018)."""
    batch, channels, height, width = x.shape
    group = math.gcd(group, batch)
    y = x.reshape(group, batch // group, channels, height, width)
    variance = (y - y.mean(dim=0)).square().mean(dim=0)
    feature = torch.sqrt(variance + 1e-8).mean(dim=(1, 2, 3))
    return torch.cat([x, feature.repeat(group)[:, None, None, None].expand(-1, 1, height, width)], dim=1)


class Discriminator(nn.Module):
    """The residual discriminator: pictures [N, image_channels, H, W] to logits [N], high for real."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pixel_size = config.pixel_size
        self.from_image = EqualConv(config.image_channels, config.channels_at(config.grid_size), 1)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(config.channels_at(size), config.channels_at(size // 2), config.resample)
            for size in reversed(config.resolutions[1:])
        )
        channels = config.channels_at(4)
        self.conv = EqualConv(channels + 1, channels, 3)
        self.dense = EqualLinear(channels * 16, channels)
        self.logit = EqualLinear(channels, 1)

    def cells(self, image: Tensor) -> Tensor:
        """Averages the pixels of each cell of the grid."""
        return F.avg_pool2d(image, self.pixel_size) if self.pixel_size > 1 else image

    def forward(self, image: Tensor) -> Tensor:
        x = activate(self.from_image(self.cells(image)))
        for block in self.blocks:
            x = block(x)
        x = activate(self.conv(minibatch_stddev(x)))
        return self.logit(activate(self.dense(x.flatten(1))))[:, 0]
