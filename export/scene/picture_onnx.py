"""Publishes a VQ-VAE of pictures as a bundle of the family `picture`: the graphs `encoder` and `decoder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from bridge.model_card import Provenance, TensorSpec
from export.onnx_model import Feeds, Graph, publish
from export.scene.ties import ties
from export.scene.trained import recorded
from export.scene.vqvae import VQVAE

TRAINER = "export.scene VQ-VAE of pictures"


class PictureEncoder(nn.Module):
    """Pictures [N, 3, S, S] from -1 to 1 to codes."""

    def __init__(self, vqvae: VQVAE) -> None:
        super().__init__()
        self.vqvae = vqvae

    def forward(self, picture: Tensor) -> Tensor:
        return self.vqvae.encode(picture)


class PictureTies(PictureEncoder):
    """Tells for every code whether another one was as near within rounding."""

    def forward(self, picture: Tensor) -> Tensor:
        return ties(self.vqvae, picture)


class PictureDecoder(PictureEncoder):
    """Codes to pictures."""

    def forward(self, codes: Tensor) -> Tensor:
        decoded = self.vqvae.decode(codes)
        if not isinstance(decoded, Tensor):
            raise TypeError("a VQ-VAE of tiles has no pictures")
        return decoded


def export_pictures(vqvae: VQVAE, state: dict[str, Any], models: Path, name: str, version: int | None = None) -> Path:
    """Publishes a bundle of a VQ-VAE in image mode and its checkpoint's state; returns its folder.

    Raises what `publish` raises, and ValueError for a size that no texture has.
    """
    size = vqvae.config.image_size
    if size & (size - 1):
        raise ValueError(
            f"its pictures have {size} px; a bundle's have a power of two: train one with another --model.image-size"
        )
    return publish(
        models,
        name=name,
        family="picture",
        graphs=graphs(vqvae),
        spec={"image_size": size, "downsample": vqvae.config.downsampling, "codebook_size": vqvae.codes},
        provenance=provenance(state),
        version=version,
    )


def graphs(vqvae: VQVAE) -> list[Graph]:
    """The two graphs."""
    size, grid, codes = vqvae.config.size, vqvae.config.grid, vqvae.codes

    def draw_pictures(rng: np.random.Generator, batch: int) -> Feeds:
        coarse = rng.uniform(-1.0, 1.0, (batch, 3, size // 8, size // 8)).repeat(8, axis=2).repeat(8, axis=3)
        grain = rng.normal(0.0, 0.1, (batch, 3, size, size))
        return {"picture": np.clip(coarse + grain, -1.0, 1.0).astype(np.float32)}

    def draw_codes(rng: np.random.Generator, batch: int) -> Feeds:
        return {"codes": rng.integers(0, codes, (batch, grid, grid))}

    pixels = TensorSpec("picture", "float32", ["batch", 3, size, size], low=-1.0, high=1.0)
    numbers = TensorSpec("codes", "int64", ["batch", grid, grid], low=0.0, high=codes - 1.0)
    made = TensorSpec("picture", "float32", ["batch", 3, size, size], scale=1.0)
    return [
        Graph("encoder", PictureEncoder(vqvae), (pixels,), (numbers,), draw_pictures, ties=PictureTies(vqvae)),
        Graph("decoder", PictureDecoder(vqvae), (numbers,), (made,), draw_codes),
    ]


def provenance(state: dict[str, Any]) -> Provenance:
    """Where the model comes from, without what tells about the machine."""
    sheet, stage = state["datasheet"], recorded(state)
    return Provenance(
        dataset=sheet["source"],
        dataset_licence=sheet["licence"],
        datasheet=sheet,
        trainer=TRAINER,
        seed=stage["config"]["seed"],
        config=stage["config"],
        metrics=stage["metrics"] | {"pictures_seen": stage["tiles_seen"], "hours": stage["hours"]},
    )
