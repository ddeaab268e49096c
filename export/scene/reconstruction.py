"""How well a VQ-VAE redraws tiles that it has not seen, in metres and shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bridge.scene_rules import cell_slope
from export.scene import quantiser
from export.scene.classes import GROUND, METRES_PER_CELL, OBJECTS
from export.scene.pictures import to_bytes, to_signed
from export.scene.tiles import Tiles
from export.scene.vqvae import VQVAE, Decoded

BATCH = 64


@torch.no_grad()
def encode(model: VQVAE, tiles: Tiles) -> np.ndarray:
    """Codes int64 [N, S / d, S / d] of tiles."""
    parts = []
    for start in range(0, len(tiles), BATCH):
        part = tiles[start : start + BATCH]
        classes = [torch.from_numpy(values).long() for values in (part.ground, part.objects)]
        parts.append(model.encode(torch.from_numpy(part.height), *classes).numpy())
    return np.concatenate(parts)


@torch.no_grad()
def decode(model: VQVAE, codes: np.ndarray) -> Tiles:
    """Tiles of codes [N, S / d, S / d]: on each cell the likeliest classes."""
    parts = [
        decoded_tiles(model.decode(torch.from_numpy(codes[start : start + BATCH]))) for start in range(0, len(codes), BATCH)
    ]
    return Tiles(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("height", "ground", "objects")))


def decoded_tiles(decoded: Decoded) -> Tiles:
    """The decoder's heights and the likeliest class of each cell."""
    ground, objects = (logits.argmax(dim=1).byte().numpy() for logits in (decoded.ground, decoded.objects))
    return Tiles(decoded.height.numpy(), ground, objects)


def reconstruct(model: VQVAE, tiles: Tiles) -> Tiles:
    """Tiles through codes and back."""
    return decode(model, encode(model, tiles))


def measure(model: VQVAE, tiles: Tiles) -> dict[str, Any]:
    """Height error in metres, slope error, accuracy and intersection over union of each class, use of the codes."""
    codes = encode(model, tiles)
    found = decode(model, codes)
    error = np.abs(found.height.astype(np.float64) - tiles.height)
    slopes = [cell_slope(part.height, METRES_PER_CELL) for part in (found, tiles)]
    used, perplexity = quantiser.usage(torch.from_numpy(np.bincount(codes.ravel(), minlength=model.codes)))
    return {
        "tiles": len(tiles),
        "height_mae_m": float(error.mean()),
        "height_rmse_m": float(np.sqrt(np.square(error).mean())),
        "height_p95_m": float(np.percentile(error, 95)),
        "relief_m": float(tiles.height.std(axis=(1, 2)).mean()),
        "slope_mae": float(np.abs(slopes[0] - slopes[1]).mean()),
        "ground": class_figures(found.ground, tiles.ground, GROUND),
        "objects": class_figures(found.objects, tiles.objects, OBJECTS),
        "codes_used": used,
        "perplexity": perplexity,
    }


def class_figures(found: np.ndarray, true: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """The share of cells that are right, in all and of each class, and each class's intersection over union.

    A class that does not occur has no figures.
    """
    figures: dict[str, Any] = {"accuracy": float((found == true).mean())}
    for number, name in enumerate(names):
        here, there = true == number, found == number
        if here.any():
            both = np.count_nonzero(here & there)
            figures[name] = {"recall": both / np.count_nonzero(here), "iou": both / np.count_nonzero(here | there)}
    return figures


def flat(measured: dict[str, Any]) -> dict[str, float]:
    """The figures of `measure` that make curves."""
    names = ("height_mae_m", "height_rmse_m", "slope_mae", "codes_used", "perplexity")
    return {name: measured[name] for name in names} | {
        f"{part}_accuracy": measured[part]["accuracy"] for part in ("ground", "objects")
    }


@torch.no_grad()
def measure_pictures(model: VQVAE, pictures: np.ndarray) -> dict[str, float]:
    """Peak signal-to-noise ratio (decibels) of reconstructed pictures uint8 [N, 3, S, S], and use of the codes."""
    codes = model.encode(to_signed(pictures))
    found = to_bytes(model.decode(codes))
    error = np.square(found.astype(np.float64) - pictures).mean()
    used, perplexity = quantiser.usage(torch.bincount(codes.flatten(), minlength=model.codes))
    return {"psnr_db": float(10.0 * np.log10(255.0**2 / max(error, 1e-9))), "codes_used": used, "perplexity": perplexity}
