"""Projection: the avatar nearest to a picture, by an encoder that corrects its own answer (ReStyle, Alaluf et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.avatar_generation import Floats, quick, run, synthesise
from bridge.errors import FailedPrecondition
from bridge.registry import ServedModel


@dataclass(frozen=True)
class Projection:
    """What was found: styles float32[1, layers, L], their picture float32[1, C, S, S] and its distance from the target."""

    styles: Floats
    image: Floats
    pixel_distance: float


async def project(model: ServedModel, target: Floats, noise: Floats, steps: int) -> Projection:
    """Find the avatar nearest to `target` float32[1, C, S, S] in [-1, 1]: the best of `steps` runs of the encoder.

    The first run starts from the mean style, each other from the answer before. The distance is the mean absolute
    difference of the pictures in 0 .. 1.
    """
    styles = await _mean_styles(model)
    image = await synthesise(model, styles, noise)
    best: Projection | None = None
    for _ in range(steps):
        feeds = {"image": target, "current": image, "w_in": styles}
        styles = (await model.batchers["encoder"].run(feeds))["w"]
        image = await synthesise(model, styles, noise)
        distance = await run(quick(image), _distance, target, image)
        if not np.isfinite(distance):
            break
        if best is None or distance < best.pixel_distance:
            best = Projection(styles, image, distance)
    if best is None:
        message = f'the encoder of "{model.card.name}" gives no avatar for this picture; export the model again'
        raise FailedPrecondition(message, field="model")
    return best


def _distance(one: Floats, two: Floats) -> float:
    return float(np.abs(one - two).mean()) / 2


async def _mean_styles(model: ServedModel) -> Floats:
    latent = np.ones((1, model.spec.latent_size), np.float32)  # any one: truncation 0 leaves the mean alone
    layer = np.zeros(1, np.int64)
    feeds = {"z": latent, "z_mix": latent, "truncation": np.zeros(1, np.float32), "mix_start": layer, "mix_end": layer}
    styles: Floats = (await model.batchers["mapping"].run(feeds))["w"]
    return styles
