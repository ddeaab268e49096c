"""What sliders do, measured on faces that were not used to find them and by a predictor that did not help either."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from export.avatar import features
from export.avatar.classifier import AttributePredictor, predict
from export.avatar.controls import Controls, Slider
from export.avatar.directions import draw, sample_styles
from export.avatar.model import Generator
from export.avatar.pictures import over, to_uint8

STEPS = 7
LABEL_WIDTH = 130
EXPLANATION = """Flips: how many new faces without the attribute have it at the upper end, and the way back at the lower end,
judged by a predictor that did not help to find the sliders. Changes others: mean change of the other attributes, each between 0
and 1. Moves identity: distance in VGG16 features between a face and itself at the ends, where two random faces are 1 apart."""
COLUMNS = ("flips_on", "flips_off", "changes_others", "moves_identity")


def measure_controls(
    generator: Generator,
    controls: Controls,
    judge: AttributePredictor | None,
    *,
    faces: int = 128,
    compared: int = 24,
    seed: int = 1,
) -> Controls:
    """Returns the controls with what was measured on `faces` new faces at the default truncation.

    flips_on: share of the faces judged below 0.5 that are above it with the slider at its upper end; flips_off: the way
    back from above 0.5, at the lower end; without_it and with_it: how many faces these shares are of. changes_others:
    mean absolute change of the other attributes, in 0 ... 1, at both ends. moves_identity: mean distance in VGG16
    features between a face and itself at both ends, on `compared` of them, where 1 is the mean distance of two random
    faces. Values that cannot be measured are left out.
    """
    rng = np.random.default_rng([seed, 0xFACE])
    layers = generator.config.num_layers
    w = sample_styles(generator, faces, rng, generator.config.default_truncation)[:, None].expand(-1, layers, -1)
    noise = torch.from_numpy(rng.standard_normal((faces, generator.config.noise_size), np.float32))
    images = draw(generator, w, noise)
    scale, looks = _random_distance(images[:compared])
    sliders = []
    for index, slider in enumerate(controls.sliders):
        ends = [draw(generator, w + end * controls.directions[index], noise) for end in (slider.high, slider.low)]
        measured = _attributes(judge, slider.name, images, ends) if judge else {}
        moved = [np.linalg.norm(_features(end[:compared]) - looks, axis=1).mean() for end in ends]
        measured["moves_identity"] = float(np.mean(moved)) / scale if scale > 0 else math.nan
        kept = {name: round(float(value), 3) for name, value in measured.items() if math.isfinite(value)}
        sliders.append(Slider(slider.name, slider.low, slider.high, slider.description, kept))
    return Controls(tuple(sliders), controls.directions)


def without_weak(controls: Controls, least: float) -> tuple[Controls, list[Slider]]:
    """Returns the controls without the sliders whose measured `flips_on` is below `least`, and those sliders.

    A slider that was not measured stays. Raises ValueError when none is left.
    """
    strong = [slider.measured.get("flips_on", 1.0) >= least for slider in controls.sliders]
    weak = [slider for slider, stays in zip(controls.sliders, strong, strict=True) if not stays]
    if len(weak) == len(controls.sliders):
        raise ValueError(f"no slider brings {least:.0%} of the faces from without to with; lower --fit.least or train longer")
    kept = [index for index, stays in enumerate(strong) if stays]
    return Controls(tuple(controls.sliders[index] for index in kept), controls.directions[kept]), weak


def _attributes(judge: AttributePredictor, name: str, images: Tensor, ends: list[Tensor]) -> dict[str, float]:
    before = predict(judge, images)
    on, off = (predict(judge, end) for end in ends)
    others = [column for column, other in enumerate(judge.names) if other != name]
    change = np.mean([np.abs(after - before)[:, others].mean() for after in (on, off)]) if others else math.nan
    if name not in judge.names:
        return {"changes_others": float(change)}
    own = judge.names.index(name)
    has = before[:, own] > 0.5
    return {
        "flips_on": float((on[~has, own] > 0.5).mean()) if (~has).any() else math.nan,
        "flips_off": float((off[has, own] <= 0.5).mean()) if has.any() else math.nan,
        "without_it": int((~has).sum()),
        "with_it": int(has.sum()),
        "changes_others": float(change),
    }


def _features(images: Tensor) -> np.ndarray:
    return features.extract(to_uint8(images.numpy()))


def _random_distance(images: Tensor) -> tuple[float, np.ndarray]:
    """Mean distance of two random faces in VGG16 features, and the features [N, 512]."""
    looks = _features(images)
    distances = np.linalg.norm(looks[:, None] - looks[None], axis=2)
    return float(distances[np.triu_indices(len(looks), 1)].mean()), looks


def table(controls: Controls) -> str:
    """The sliders and what was measured as a Markdown table."""
    lines = [
        "| slider | range | flips on | flips off | changes others | moves identity |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for slider in controls.sliders:
        found = slider.measured
        shares = [
            f"{found[key]:.0%} of {found[count]:.0f}" if key in found else "-"
            for key, count in (("flips_on", "without_it"), ("flips_off", "with_it"))
        ]
        numbers = [f"{found[key]:.2f}" if key in found else "-" for key in COLUMNS[2:]]
        lines.append(f"| {slider.name} | {slider.low:g} to {slider.high:g} | {' | '.join(shares + numbers)} |")
    return "\n".join(lines)


def slider_positions(slider: Slider) -> list[float]:
    """Seven positions from the lower end over 0 to the upper end."""
    half = STEPS // 2
    return [slider.low * (half - i) / half for i in range(half)] + [slider.high * i / half for i in range(half + 1)]


def save_sheet(generator: Generator, controls: Controls, w: Tensor, noise: Tensor, path: Path, *, enlarge: int = 2) -> None:
    """Saves one row a slider, with its name: each face w [N, num_layers, L] at seven positions of the slider."""
    rows = []
    for index, slider in enumerate(controls.sliders):
        values = torch.tensor(slider_positions(slider))[:, None, None]
        images = [
            draw(generator, face + values * controls.directions[index], one.expand(STEPS, -1))
            for face, one in zip(w, noise, strict=True)
        ]
        pixels = over(to_uint8(torch.cat(images).numpy())).transpose(2, 0, 3, 1)
        rows.append(pixels.reshape(pixels.shape[0], -1, 3).repeat(enlarge, 0).repeat(enlarge, 1))
    height = rows[0].shape[0]
    sheet = Image.new("RGB", (LABEL_WIDTH + rows[0].shape[1], height * len(rows)), "white")
    write, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (slider, row) in enumerate(zip(controls.sliders, rows, strict=True)):
        sheet.paste(Image.fromarray(row), (LABEL_WIDTH, index * height))
        write.text((6, index * height + height // 2 - 8), slider.name, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
