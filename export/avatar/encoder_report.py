"""How near projection comes to pictures that were not trained on, against avatars that cost nothing to find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from export.avatar import features
from export.avatar.directions import draw, sample_styles
from export.avatar.encoder import Encoder, project
from export.avatar.model import Generator
from export.avatar.pictures import over, to_uint8

RANDOM = 1000
"""Avatars among which the nearest is the baseline that projection has to beat."""
BATCH = 32


def measure_projection(
    generator: Generator, encoder: Encoder, images: np.ndarray, *, steps: int = 5, compared: int = 50, seed: int = 2
) -> dict[str, Any]:
    """Returns the mean distances of avatars to held-out pictures uint8 [N, C, S, S].

    For each number of steps from 0, the mean avatar, the best of all steps (by pixels, as the sidecar answers) and the
    nearest of 1,000 random avatars: `pixels`, the mean absolute difference in 0 ... 1 after laying both on the backdrop,
    and `features`, the distance in VGG16 features, on the first `compared` pictures.
    """
    rng = np.random.default_rng([seed, 0xFACE])
    answers = projected(generator, encoder, images, steps, rng)
    distances = np.stack([pixel_distance(images, answer) for answer in answers])
    best = np.take_along_axis(np.stack(answers), (1 + distances[1:].argmin(0))[None, :, None, None, None], 0)[0]
    looks = features.extract(images[:compared])
    rows = {f"steps_{count}": answer for count, answer in enumerate(answers)}
    rows |= {"best_of_the_steps": best, "nearest_of_1000_random": nearest_random(generator, images, rng)}
    report = {}
    for name, answer in rows.items():
        apart = np.linalg.norm(features.extract(answer[:compared]) - looks, axis=1)
        report[name] = {
            "pixels": round(float(pixel_distance(images, answer).mean()), 4),
            "features": round(float(apart.mean()), 3),
        }
    return {"pictures": len(images), "pictures_in_features": min(compared, len(images)), "distance": report}


def projected(
    generator: Generator, encoder: Encoder, images: np.ndarray, steps: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Returns the avatars uint8 [N, C, S, S] after 0, 1, ... steps."""
    parts = []
    for start in range(0, len(images), BATCH):
        target = torch.from_numpy(images[start : start + BATCH]) / 127.5 - 1.0
        noise = torch.from_numpy(rng.standard_normal((len(target), generator.config.noise_size), np.float32))
        parts.append([to_uint8(drawn.numpy()) for _, drawn in project(generator, encoder, target, noise, steps)])
    return [np.concatenate(step) for step in zip(*parts, strict=True)]


def pixel_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean absolute difference [N] in 0 ... 1 of pictures uint8 [N, C, S, S], laid on the backdrop."""
    difference = np.abs(over(first).astype(np.int16) - over(second).astype(np.int16))
    return difference.mean(axis=(1, 2, 3)) / 255.0


def nearest_random(generator: Generator, images: np.ndarray, rng: np.random.Generator, count: int = RANDOM) -> np.ndarray:
    """For each picture the nearest, in pixels, of `count` random avatars at truncations from 0.5 to 1."""
    w = sample_styles(generator, count, rng)
    truncation = torch.from_numpy(rng.uniform(0.5, 1.0, (count, 1)).astype(np.float32))
    w = generator.mapping.w_mean + truncation * (w - generator.mapping.w_mean)
    noise = torch.from_numpy(rng.standard_normal((count, generator.config.noise_size), np.float32))
    avatars = to_uint8(draw(generator, w, noise).numpy())
    laid = over(avatars).astype(np.int16)
    chosen = [int(np.abs(laid - picture).mean(axis=(1, 2, 3)).argmin()) for picture in over(images).astype(np.int16)]
    return avatars[chosen]


def save_pairs(originals: np.ndarray, avatars: np.ndarray, path: Path, *, columns: int = 16, enlarge: int = 2) -> None:
    """Saves originals over their avatars, uint8 [N, C, S, S]: a row of pictures, below it the row of what they became."""
    columns = min(columns, len(originals))
    rows = []
    for start in range(0, len(originals) // columns * columns, columns):
        for images in (originals, avatars):
            part = over(images[start : start + columns])
            rows.append(part.transpose(2, 0, 3, 1).reshape(part.shape[2], -1, 3))
        rows.append(np.full((4, rows[-1].shape[1], 3), 255, np.uint8))
    sheet = np.concatenate(rows[:-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.repeat(enlarge, 0).repeat(enlarge, 1)).save(path)


def table(report: dict[str, Any]) -> str:
    """The distances as a Markdown table."""
    lines = ["| avatar | pixels | features |", "| --- | --- | --- |"]
    for name, row in report["distance"].items():
        lines.append(f"| {name.replace('_', ' ')} | {row['pixels']:.4f} | {row['features']:.2f} |")
    return "\n".join(lines)
