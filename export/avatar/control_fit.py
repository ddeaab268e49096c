"""Finds the sliders of a generator: regression in W, descent through the generator, then ranges measured on faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from export.avatar.classifier import AttributePredictor
from export.avatar.controls import Controls, Slider
from export.avatar.directions import (
    WhiteSpace,
    draw,
    draw_straight_through,
    factorised,
    held_apart,
    logits,
    regress,
    sample_styles,
)
from export.avatar.model import Generator

START = 2.5
"""Standard deviations of w that a slider moves before its range is measured; axes without a name keep it."""
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)
"""Lengths, in shares of the descended move, among which slider 1.0 is chosen."""
ENOUGH = 0.9
"""Slider 1.0 is the shortest move that brings this share of the faces without an attribute over 0.5."""
NEAR_MEAN = 0.01
"""Weight of a move's squared length in the descent: shorter moves leave more of a face as it is."""
OWN = 2.0
"""How much more a slider's own attribute counts in the descent than each other one."""

DESCRIPTIONS = {
    "glasses": "takes glasses off or puts them on",
    "sunglasses": "takes dark glasses off or puts them on",
    "hat": "takes a hat off or puts one on",
    "beard": "shaves or grows a beard",
    "moustache": "shaves or grows a moustache",
    "earrings": "takes earrings off or puts them on",
    "hair_length": "from short to long hair",
    "hair_lightness": "from dark to light hair",
    "hair_vividness": "from natural to vivid hair",
    "skin_lightness": "from dark to light skin",
    "eye_size": "from small to large eyes",
    "eyes_open": "closes or opens the eyes",
    "smile": "from a sad mouth to a smile",
    "mouth_open": "closes or opens the mouth",
    "lip_vividness": "from pale to vivid lips",
    "clothing_lightness": "from dark to light clothes",
    "clothing_warmth": "from blue and green to red and yellow clothes",
}


@dataclass(frozen=True)
class FitConfig:
    """How the sliders are found."""

    faces: int = 3000
    """Generated faces for the regression."""
    steps: int = 160
    """Steps of descent through the generator; 0 keeps the directions of the regression."""
    batch: int = 32
    """Faces in a step."""
    calibration: int = 40
    """Faces on which the ranges are chosen."""
    least: float = 0.5
    """Leave out sliders that bring a smaller share of the faces from without to with, by either predictor, and say so."""
    axes: int = 3
    """Closed-form directions without a label, axis_1, axis_2, ..."""
    seed: int = 0
    """Seed of all draws."""

    def __post_init__(self) -> None:
        for name, least in {"faces": 16, "steps": 0, "batch": 1, "calibration": 1, "axes": 0, "seed": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")


@dataclass(frozen=True)
class Faces:
    """Generated faces to learn from: styles [N, L], noise [N, noise_size] and the space that whitens the styles."""

    w: Tensor
    noise: Tensor
    white: WhiteSpace

    @classmethod
    def of(cls, generator: Generator, count: int, rng: np.random.Generator) -> Faces:
        """Draws styles without truncation."""
        w = sample_styles(generator, count, rng)
        noise = torch.from_numpy(rng.standard_normal((count, generator.config.noise_size), np.float32))
        return cls(w, noise, WhiteSpace.of(w))


def fit_controls(generator: Generator, predictor: AttributePredictor | None, config: FitConfig) -> Controls:
    """Returns one slider for each attribute of the predictor, in its order, and config.axes without a name.

    predictor None, for data without labels, gives the axes alone. Raises ValueError when there is no slider.
    """
    rng = np.random.default_rng(config.seed)
    faces = Faces.of(generator, config.faces, rng)
    sliders: list[Slider] = []
    moves: list[Tensor] = []
    slopes = torch.empty(0, generator.config.latent_size)
    if predictor is not None:
        slopes = regress(faces.white.whiten(faces.w), logits(predictor, draw(generator, faces.w, faces.noise)))
        named = descend(generator, predictor, faces, START * held_apart(slopes), config, rng) @ faces.white.root.T
        for index, name in enumerate(predictor.names):
            scale, low, share = measure_range(generator, predictor, named[index], index, config, rng)
            if share < config.least:
                tqdm.write(f'left out slider "{name}": it brings only {share:.0%} of the faces over 0.5')
                continue
            moves.append(scale * named[index])
            sliders.append(Slider(name, low, 1.0, DESCRIPTIONS.get(name, f"from less to more {name.replace('_', ' ')}")))
    for index, axis in enumerate(START * factorised(generator, faces.white, slopes, config.axes) @ faces.white.root.T, 1):
        moves.append(axis.expand(generator.config.num_layers, -1))
        sliders.append(Slider(f"axis_{index}", -1.0, 1.0, f"number {index} of the changes that styles show most, unnamed"))
    if not sliders:
        raise ValueError("no sliders found: no attribute could be moved and axes is 0; ask for at least one axis")
    return Controls(tuple(sliders), torch.stack(moves))


def descend(
    generator: Generator,
    predictor: AttributePredictor,
    faces: Faces,
    start: Tensor,
    config: FitConfig,
    rng: np.random.Generator,
) -> Tensor:
    """Turns moves [A, L] in white space into moves of every layer [A, num_layers, L] that work better on pictures.

    Each step moves random faces along random sliders, to -1 or to 1, and asks the predictor for the slider's attribute
    to be there or not, and for every other attribute to stay what it was. A palette passes gradients straight through.
    """
    layers, attributes = generator.config.num_layers, len(start)
    moves = start[:, None].repeat(1, layers, 1).requires_grad_(True)
    optimiser = torch.optim.Adam([moves], lr=0.04)
    weight = torch.ones(config.batch, attributes)
    for step in tqdm(range(config.steps), desc="sliders", unit="step", leave=False):
        chosen = (torch.arange(config.batch) + step * config.batch) % attributes
        own = F.one_hot(chosen, attributes).bool()
        rows = rng.integers(0, len(faces.w), config.batch)
        truncation = torch.from_numpy(rng.uniform(0.5, 1.0, (config.batch, 1)).astype(np.float32))
        w = (generator.mapping.w_mean + truncation * (faces.w[rows] - generator.mapping.w_mean))[:, None]
        sign = torch.from_numpy(rng.choice(np.array([-1.0, 1.0], np.float32), config.batch))
        with torch.no_grad():
            before = predictor(generator.synthesis(w.expand(-1, layers, -1), faces.noise[rows])).sigmoid()
        moved = w + sign[:, None, None] * (moves @ faces.white.root.T)[chosen]
        wanted = torch.where(own, (sign[:, None] + 1) / 2, before)
        found = predictor(draw_straight_through(generator, moved, faces.noise[rows]))
        errors = F.binary_cross_entropy_with_logits(found, wanted, reduction="none") * torch.where(own, OWN, weight)
        loss = errors.mean() + NEAR_MEAN * moves.square().sum(dim=(1, 2)).mean() / layers
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return moves.detach()


def measure_range(
    generator: Generator,
    predictor: AttributePredictor,
    move: Tensor,
    attribute: int,
    config: FitConfig,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Returns the length of slider 1.0, as a multiple of move [num_layers, L], the lower end and the share that flips.

    The length is the shortest that brings ENOUGH of the faces below 0.5 over it, or that brings most. The lower end is
    as far the other way as brings as many back, from -2 to -0.5.
    """
    w = sample_styles(generator, config.calibration, rng, generator.config.default_truncation)[:, None]
    noise = torch.from_numpy(rng.standard_normal((len(w), generator.config.noise_size), np.float32))
    has = logits(predictor, draw(generator, w.expand(-1, len(move), -1), noise))[:, attribute] > 0

    def share(scale: float, rows: Tensor) -> float:
        found = logits(predictor, draw(generator, w[rows] + scale * move, noise[rows]))[:, attribute] > 0
        return float((found != has[rows]).float().mean())

    up, flipped = _shortest({scale: share(scale, ~has) for scale in SCALES}) if bool((~has).any()) else (1.0, 1.0)
    down, _ = _shortest({scale: share(-scale, has) for scale in SCALES}) if bool(has.any()) else (up, 1.0)
    return up, -round(min(2.0, max(0.5, down / up)), 1), flipped


def _shortest(shares: dict[float, float]) -> tuple[float, float]:
    """The first scale with enough flips, else the first of those with most, and its share."""
    scale = next((scale for scale, share in shares.items() if share >= ENOUGH), max(shares, key=lambda key: shares[key]))
    return scale, shares[scale]
