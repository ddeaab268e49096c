"""Publishes a trained generator as the graphs `mapping` (z to w) and `synthesis` (w and noise to picture).

With sliders there is `control` (w and values to w), with an encoder `encoder` (picture, avatar so far and its w to w).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bridge.model_card import TensorSpec
from export.avatar.controls import Controls
from export.avatar.encoder import Encoder
from export.avatar.layers import EqualLinear, ModulatedConv, blur
from export.avatar.model import Generator, Mapping, Synthesis
from export.avatar.sample import MAX_TRUNCATION
from export.avatar.trained import Trained
from export.onnx_model import Feeds, Graph, publish

TIE = 1e-5
"""Scores closer than this share of the largest one are a tie: either colour is right."""


def fold_box(weight: Tensor) -> Tensor:
    """Convolves a [out, in, 3, 3] kernel with the 2 x 2 box filter: [out, in, 4, 4], for one transposed convolution."""
    out_channels, in_channels = weight.shape[:2]
    box = weight.new_full((1, 1, 2, 2), 0.25)
    return F.conv2d(weight.reshape(-1, 1, 3, 3), box, padding=1).reshape(out_channels, in_channels, 4, 4)


class BakedConv(nn.Module):
    """A modulated convolution with its run-time scaling and its resampling filter worked into constant weights."""

    def __init__(self, conv: ModulatedConv) -> None:
        super().__init__()
        weight = conv.weight.detach() * conv.gain
        self.up = conv.up
        self.demodulate = conv.demodulate
        self.style = bake(conv.style)
        self.kernel: Tensor
        self.energy: Tensor
        folded = fold_box(weight * 4.0) if conv.up == "nearest" else weight
        self.register_buffer("kernel", folded.transpose(0, 1).contiguous() if conv.up else folded)
        self.register_buffer("energy", weight.square().sum(dim=(2, 3)))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.style(w)
        x = x * style[:, :, None, None]
        if self.up == "nearest":
            y = F.conv_transpose2d(x, self.kernel, stride=2, padding=1)
        elif self.up == "linear":
            y = blur(F.conv_transpose2d(x, self.kernel, stride=2), "linear", gain=4.0, padding=1)
        else:
            y = F.conv2d(x, self.kernel, padding=self.kernel.shape[-1] // 2)
        if self.demodulate:
            y = y * torch.rsqrt(F.linear(style.square(), self.energy) + 1e-8)[:, :, None, None]
        return y


class SynthesisGraph(nn.Module):
    """The synthesis network with its picture clamped to [-1, 1]."""

    def __init__(self, synthesis: nn.Module) -> None:
        super().__init__()
        self.synthesis = synthesis

    def forward(self, w: Tensor, noise: Tensor) -> Tensor:
        image: Tensor = self.synthesis(w, noise)
        return image.clamp(-1.0, 1.0)


class PaletteTies(nn.Module):
    """Tells for every value of a picture whether two colours of the palette scored the same within rounding."""

    def __init__(self, synthesis: Synthesis) -> None:
        super().__init__()
        self.synthesis = synthesis

    def forward(self, w: Tensor, noise: Tensor) -> Tensor:
        config = self.synthesis.config
        scores = self.synthesis.scores(w, noise)
        best = scores.topk(2, dim=1).values
        tied = (best[:, 0] - best[:, 1]) <= TIE * scores.abs().amax(dim=1)
        cells = tied[:, None].expand(-1, config.image_channels, -1, -1)
        return cells.repeat_interleave(config.pixel_size, dim=2).repeat_interleave(config.pixel_size, dim=3)


FLOW_RANGE = 4.0
"""How far from their mean the numbers of a flow's styles go, whose deviation is 1; where kinds of pictures part, it magnifies
the rounding of z some hundred times."""


def bake(module: nn.Module) -> nn.Module:
    """Returns a copy for export that computes the same with fewer operations."""
    if isinstance(module, ModulatedConv):
        return BakedConv(module)
    if isinstance(module, EqualLinear):
        # Without gradients: a palette that is asked for one blends its colours.
        linear = nn.Linear(module.weight.shape[1], module.weight.shape[0]).requires_grad_(False)
        linear.weight.data = module.weight.detach() * module.gain
        linear.bias.data = module.bias.detach() * module.lr_multiplier
        return linear
    baked = copy.copy(module)
    baked._modules = {name: child and bake(child) for name, child in module._modules.items()}
    return baked


def export_avatar(trained: Trained, models: Path, name: str, version: int | None = None) -> Path:
    """Publishes a bundle and returns its folder; raises what `publish` raises."""
    return publish(
        models,
        name=name,
        family="avatar",
        graphs=graphs_of(trained),
        spec=card_spec(trained),
        provenance=trained.provenance,
        version=version,
    )


def graphs_of(trained: Trained) -> list[Graph]:
    """All graphs of a bundle in the card's order: `control` and `encoder` where there are sliders and an encoder."""
    graphs = [mapping_graph(trained.generator), synthesis_graph(trained.generator)]
    if trained.controls:
        graphs.append(control_graph(trained.generator, trained.controls))
    if trained.projector:
        graphs.append(encoder_graph(trained.generator, trained.projector.encoder))
    return graphs


def card_spec(trained: Trained) -> dict[str, Any]:
    """The avatar section of the card."""
    config = trained.generator.config
    attribution = trained.datasheet.attribution
    return {
        "image_size": config.image_size,
        "image_channels": config.image_channels,
        "latent_size": config.latent_size,
        "num_layers": config.num_layers,
        "noise_size": config.noise_size,
        "default_truncation": config.default_truncation,
        "controls": [slider.card() for slider in trained.controls.sliders] if trained.controls else [],
        "attribution": [attribution] if attribution else [],
        "projection_steps": trained.projector.steps if trained.projector else 0,
    }


def mapping_graph(generator: Generator) -> Graph:
    """z, z_mix, truncation, mix_start and mix_end to w."""
    config, mapping = generator.config, generator.mapping
    latent: list[int | str] = ["batch", config.latent_size]

    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        return {
            "z": rng.standard_normal((batch, config.latent_size), np.float32),
            "z_mix": rng.standard_normal((batch, config.latent_size), np.float32),
            "truncation": rng.uniform(0.0, MAX_TRUNCATION, batch).astype(np.float32),
            "mix_start": rng.integers(0, config.num_layers + 1, batch),
            "mix_end": rng.integers(0, config.num_layers + 1, batch),
        }

    inputs = (
        TensorSpec("z", "float32", latent),
        TensorSpec("z_mix", "float32", latent),
        TensorSpec("truncation", "float32", ["batch"], low=0.0, high=MAX_TRUNCATION),
        TensorSpec("mix_start", "int64", ["batch"], low=0.0, high=float(config.num_layers)),
        TensorSpec("mix_end", "int64", ["batch"], low=0.0, high=float(config.num_layers)),
    )
    scale = FLOW_RANGE * MAX_TRUNCATION if mapping.flow is not None else 1.0
    outputs = (TensorSpec("w", "float32", ["batch", config.num_layers, config.latent_size], scale=scale),)
    return Graph("mapping", bake(mapping), inputs, outputs, sample, reference=mapping)


def synthesis_graph(generator: Generator) -> Graph:
    """w and noise to picture."""
    config, size = generator.config, generator.config.image_size

    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        w = random_styles(generator.mapping, rng, batch)
        return {"w": w, "noise": rng.standard_normal((batch, config.noise_size), np.float32)}

    inputs = (
        TensorSpec("w", "float32", ["batch", config.num_layers, config.latent_size]),
        TensorSpec("noise", "float32", ["batch", config.noise_size]),
    )
    outputs = (TensorSpec("image", "float32", ["batch", config.image_channels, size, size], low=-1.0, high=1.0, scale=1.0),)
    return Graph(
        "synthesis",
        SynthesisGraph(bake(generator.synthesis)),
        inputs,
        outputs,
        sample,
        reference=SynthesisGraph(generator.synthesis),
        ties=PaletteTies(generator.synthesis) if config.palette_size and config.palette_mix == "one" else None,
    )


class ControlGraph(nn.Module):
    """Moves styles along constant directions."""

    def __init__(self, directions: Tensor) -> None:
        super().__init__()
        self.register_buffer("directions", directions.flatten(1).clone())
        self.directions: Tensor

    def forward(self, w_in: Tensor, controls: Tensor) -> Tensor:
        return w_in + (controls @ self.directions).reshape(w_in.shape)


def control_graph(generator: Generator, controls: Controls) -> Graph:
    """Styles and the values of the sliders to moved styles."""
    config, count = generator.config, len(controls.sliders)
    low, high = (np.array([getattr(slider, end) for slider in controls.sliders], np.float32) for end in ("low", "high"))

    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        values = rng.uniform(low, high, (batch, count)).astype(np.float32)
        return {"w_in": random_styles(generator.mapping, rng, batch), "controls": values}

    styles: list[int | str] = ["batch", config.num_layers, config.latent_size]
    inputs = (
        TensorSpec("w_in", "float32", styles),
        TensorSpec("controls", "float32", ["batch", count], low=float(low.min()), high=float(high.max())),
    )
    return Graph("control", ControlGraph(controls.directions), inputs, (TensorSpec("w", "float32", styles),), sample)


def encoder_graph(generator: Generator, encoder: Encoder) -> Graph:
    """A picture, the avatar so far and its styles to better styles."""
    config = generator.config

    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        w = random_styles(generator.mapping, rng, batch)
        noise = rng.standard_normal((batch, config.noise_size), np.float32)
        with torch.no_grad():
            drawn = generator.synthesis(torch.from_numpy(w), torch.from_numpy(noise)).clamp(-1.0, 1.0).numpy()
        return {"image": drawn[::-1].copy(), "current": drawn, "w_in": w}

    size = config.image_size
    styles: list[int | str] = ["batch", config.num_layers, config.latent_size]
    picture: list[int | str] = ["batch", config.image_channels, size, size]
    inputs = (
        TensorSpec("image", "float32", picture, low=-1.0, high=1.0),
        TensorSpec("current", "float32", picture, low=-1.0, high=1.0),
        TensorSpec("w_in", "float32", styles),
    )
    return Graph("encoder", encoder, inputs, (TensorSpec("w", "float32", styles),), sample)


@torch.no_grad()
def random_styles(mapping: Mapping, rng: np.random.Generator, batch: int) -> np.ndarray:
    """Draws w [batch, num_layers, L] as the mapping network gives it, half of them truncated."""
    feeds = [torch.from_numpy(value) for value in mapping_graph_feeds(mapping, rng, batch)]
    return mapping(*feeds).numpy()


def mapping_graph_feeds(mapping: Mapping, rng: np.random.Generator, batch: int) -> list[np.ndarray]:
    """Feeds of the mapping network in order: two latents, truncation up to 1 and any range of mixed layers."""
    latent, layers = len(mapping.w_mean), len(mapping.layer_index)
    return [
        rng.standard_normal((batch, latent), np.float32),
        rng.standard_normal((batch, latent), np.float32),
        rng.uniform(0.0, 1.0, batch).astype(np.float32),
        rng.integers(0, layers + 1, batch),
        rng.integers(0, layers + 1, batch),
    ]
