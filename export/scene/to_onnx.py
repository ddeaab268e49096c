"""Publishes a trained VQ-VAE and prior as the graphs `prior`, `decoder` and `encoder` (docs/decisions/0050)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bridge.model_card import TensorSpec
from export.onnx_model import Feeds, Graph, publish
from export.scene.classes import (
    BIOMES,
    BOULDER,
    CELLS,
    GROUND,
    GROUND_COLOURS,
    HOUSE,
    METRES_PER_CELL,
    OBJECTS,
    TREE,
    WATER,
)
from export.scene.halo import DECODER_MARGIN, RING, HaloDecoder
from export.scene.prior import FREE, MaskedPrior
from export.scene.sample import CHOICE_TEMPERATURE, STEPS
from export.scene.ties import ties
from export.scene.trained import Trained
from export.scene.vqvae import VQVAE

LOGIT_SCALE, HEIGHT_SCALE = 10.0, 10.0
HEADROOM = 0.25
"""Generated heights may leave the range of the data by this share of it."""
SIDES_OF_MARGIN = (
    np.s_[:, :DECODER_MARGIN],
    np.s_[:, -DECODER_MARGIN:],
    np.s_[:, :, :DECODER_MARGIN],
    np.s_[:, :, -DECODER_MARGIN:],
)
"""Where the neighbours' codes are among those that the decoder sees; the parity gate leaves out some of them."""
PLACING: dict[int, dict[str, Any]] = {
    TREE: {"spacing_metres": 5.0, "scale": {"low": 0.8, "high": 1.3}},
    BOULDER: {"spacing_metres": 4.0, "scale": {"low": 0.6, "high": 1.4}},
    HOUSE: {"spacing_metres": 11.0, "scale": {"low": 0.9, "high": 1.1}, "yaw_steps": 4},
}
"""How instances of each object class are spaced and scaled."""


class EncoderGraph(nn.Module):
    """Heights and classes to codes."""

    def __init__(self, vqvae: VQVAE) -> None:
        super().__init__()
        self.vqvae = vqvae

    def forward(self, height: Tensor, ground: Tensor, objects: Tensor) -> Tensor:
        return self.vqvae.encode(height, ground, objects)


class EncoderTies(nn.Module):
    """Tells for every code whether another one was as near within rounding."""

    def __init__(self, vqvae: VQVAE) -> None:
        super().__init__()
        self.vqvae = vqvae

    def forward(self, height: Tensor, ground: Tensor, objects: Tensor) -> Tensor:
        return ties(self.vqvae, height, ground, objects)


def export_scene(trained: Trained, models: Path, name: str, version: int | None = None) -> Path:
    """Publishes a bundle and returns its folder; raises what `publish` raises, and ValueError for another kind of model."""
    if not isinstance(trained.prior, MaskedPrior):
        raise ValueError("the prior is autoregressive, a baseline to compare with; publish a masked one")
    return publish(
        models,
        name=name,
        family="scene",
        graphs=[prior_graph(trained.prior), decoder_graph(trained.vqvae), encoder_graph(trained.vqvae)],
        spec=card_spec(trained),
        provenance=trained.provenance,
        version=version,
    )


def card_spec(trained: Trained) -> dict[str, Any]:
    """The scene section of the card, as `bridge/scene_card.py` reads it."""
    lowest, highest = (trained.datasheet["height"][name] for name in ("lowest", "highest"))
    room = HEADROOM * (highest - lowest)
    grounds = [
        {"name": name, "colour": [int(value) for value in colour], "water": number == WATER}
        for number, (name, colour) in enumerate(zip(GROUND, GROUND_COLOURS, strict=True))
    ]
    nothing = {"spacing_metres": 0.0, "scale": {"low": 1.0, "high": 1.0}}
    return {
        "tile_cells": CELLS,
        "metres_per_cell": METRES_PER_CELL,
        "downsample": trained.vqvae.config.downsampling,
        "codebook_size": trained.vqvae.codes,
        "prior_margin": trained.prior.config.margin,
        "decoder_margin": DECODER_MARGIN,
        "ground_classes": grounds,
        "object_classes": [{"name": name} | PLACING.get(number, nothing) for number, name in enumerate(OBJECTS)],
        "biomes": list(BIOMES),
        "ruggedness": {"low": 0.0, "high": 1.0},
        "water_share": {"low": 0.0, "high": 1.0},
        "height": {"low": float(math.floor(lowest - room)), "high": float(math.ceil(highest + room))},
        "steps": STEPS,
        "choice_temperature": CHOICE_TEMPERATURE,
        "climate": trained.record["climate"],
    }


def prior_graph(prior: MaskedPrior) -> Graph:
    """One refinement step."""
    grid, codes = prior.grid, prior.codes
    seen = grid + 2 * prior.config.margin

    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        free = rng.random((2, batch)) < 0.3
        numbers = np.where(free, FREE, rng.random((2, batch))).astype(np.float32)
        return {
            "tokens": rng.integers(0, codes + 2, (batch, seen, seen)),
            "painted": rng.integers(FREE, len(GROUND), (batch, grid, grid)),
            "biome": rng.integers(FREE, len(BIOMES), batch),
            "ruggedness": numbers[0],
            "water_share": numbers[1],
        }

    inputs = (
        TensorSpec("tokens", "int64", ["batch", seen, seen], low=0.0, high=codes + 1.0),
        TensorSpec("painted", "int64", ["batch", grid, grid], low=float(FREE), high=len(GROUND) - 1.0),
        TensorSpec("biome", "int64", ["batch"], low=float(FREE), high=len(BIOMES) - 1.0),
        TensorSpec("ruggedness", "float32", ["batch"], low=float(FREE), high=1.0),
        TensorSpec("water_share", "float32", ["batch"], low=float(FREE), high=1.0),
    )
    outputs = (TensorSpec("logits", "float32", ["batch", grid, grid, codes], scale=LOGIT_SCALE),)
    return Graph("prior", prior, inputs, outputs, sample)


def decoder_graph(vqvae: VQVAE) -> Graph:
    """Codes, with those around them, to a tile."""
    decoder = HaloDecoder(vqvae)
    seen, told = vqvae.config.grid + 2 * DECODER_MARGIN, CELLS + 2 * RING

    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        codes = rng.integers(0, vqvae.codes, (batch, seen, seen))
        for number, part in enumerate(SIDES_OF_MARGIN):
            codes[number % 3 :: 3][part] = decoder.outside
        return {"codes": codes}

    inputs = (TensorSpec("codes", "int64", ["batch", seen, seen], low=0.0, high=float(decoder.outside)),)
    outputs = (
        TensorSpec("height", "float32", ["batch", CELLS + 1, CELLS + 1], scale=HEIGHT_SCALE),
        TensorSpec("ground", "float32", ["batch", len(GROUND), told, told], scale=LOGIT_SCALE),
        TensorSpec("objects", "float32", ["batch", len(OBJECTS), told, told], scale=LOGIT_SCALE),
    )
    return Graph("decoder", decoder, inputs, outputs, sample)


def encoder_graph(vqvae: VQVAE) -> Graph:
    """A tile to codes; tiles that decoding gives are what it is tried on, with noise."""
    grid, codes = vqvae.config.grid, vqvae.codes

    @torch.no_grad()
    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        decoded = vqvae.decode(torch.from_numpy(rng.integers(0, codes, (batch, grid, grid))))
        noise = rng.standard_normal(decoded.height.shape, np.float32) * 0.1
        return {
            "height": decoded.height.numpy() + noise,
            "ground": decoded.ground.argmax(dim=1).numpy(),
            "objects": decoded.objects.argmax(dim=1).numpy(),
        }

    inputs = (
        TensorSpec("height", "float32", ["batch", CELLS + 1, CELLS + 1]),
        TensorSpec("ground", "int64", ["batch", CELLS, CELLS], low=0.0, high=len(GROUND) - 1.0),
        TensorSpec("objects", "int64", ["batch", CELLS, CELLS], low=0.0, high=len(OBJECTS) - 1.0),
    )
    outputs = (TensorSpec("codes", "int64", ["batch", grid, grid], low=0.0, high=codes - 1.0),)
    return Graph("encoder", EncoderGraph(vqvae), inputs, outputs, sample, ties=EncoderTies(vqvae))
