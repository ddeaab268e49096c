"""Curves of runs: read from their folders, and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curve = Sequence[tuple[int, float]]
"""Points (pictures or tiles shown, value)."""
COLOURS = ((196, 78, 82), (76, 114, 176))
INK, PAPER = (32, 36, 44), (255, 255, 255)
CHART, MARGIN = (640, 360), 56


def read_events(folder: Path) -> EventAccumulator:
    """What a run logged."""
    return EventAccumulator(str(folder)).Reload()


def run_folder(source: str) -> Path | None:
    """The folder of a run, given itself or by its checkpoint; None where there is no such folder, as for a default."""
    folder = Path(source).parent if Path(source).is_file() else Path(source)
    return folder if (folder / "config.json").is_file() else None


def read_curve(folder: Path, name: str) -> list[tuple[int, float]]:
    """The points of one curve of a run; raises ValueError, which names those that there are, when it has none."""
    events = read_events(folder)
    logged = sorted(events.Tags()["scalars"])
    if name not in logged:
        raise ValueError(f'the run "{folder}" has no curve {name}; it logged {logged}')
    return [(point.step, round(float(point.value), 4)) for point in events.Scalars(name)]


def draw_curves(curves: Mapping[str, Curve], caption: str, low: float = 0.0) -> Image.Image:
    """Draws up to two curves over an axis from zero, upwards from `low`, which no value is below: RGB, CHART pixels."""
    chart = Image.new("RGB", CHART, PAPER)
    draw, font = ImageDraw.Draw(chart), ImageFont.load_default(14)
    points = np.array([point for curve in curves.values() for point in curve], float)
    most = np.maximum(points.max(axis=0), (1.0, low + 1e-6))
    left, top, right, bottom = MARGIN, MARGIN // 2, CHART[0] - MARGIN // 2, CHART[1] - MARGIN

    def place(point: tuple[int, float]) -> tuple[float, float]:
        return left + (right - left) * point[0] / most[0], bottom - (bottom - top) * (point[1] - low) / (most[1] - low)

    draw.line([(left, top), (left, bottom), (right, bottom)], INK, 1)
    draw.text((4, top), f"{most[1]:.3g}", INK, font)
    draw.text((4, bottom - 14), f"{low:.3g}", INK, font)
    draw.text((right - 60, bottom + 8), f"{most[0]:.0f}", INK, font)
    draw.text((left, bottom + 8), caption, INK, font)
    for number, (title, curve) in enumerate(curves.items()):
        draw.line([place(point) for point in curve], COLOURS[number], 3, joint="curve")
        draw.text((right - 220, top + 20 * number), title, COLOURS[number], font)
    return chart
