"""Small marks for what stands on the ground, as seen from above with the sun in the north-west: trees, rocks, houses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw

FINE = 2
"""Marks are drawn so many times larger and made smaller again, so that their edges are smooth."""
SHADOW_METRES, SHADOW = 1.3, 0.5
Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """An object: its class by name, its place in metres east and south of the picture's corner, yaw as in glTF, scale."""

    name: str
    x: float
    z: float
    yaw: float = 0.0
    scale: float = 1.0


def draw_marks(picture: Image.Image, marks: Sequence[Mark], px_per_metre: float) -> Image.Image:
    """Return the picture with the marks on it, each over its shadow; those in the south lie above."""
    size = (picture.width * FINE, picture.height * FINE)
    shadow, shown = Image.new("L", size), Image.new("RGBA", size)
    shadow_pen, pen = ImageDraw.Draw(shadow), ImageDraw.Draw(shown)
    scale = px_per_metre * FINE
    for mark in sorted(marks, key=lambda one: (one.z, one.x)):
        middle = (mark.x * scale, mark.z * scale)
        _OF.get(mark.name, _dot)(pen, shadow_pen, middle, mark, scale)
    covered = shown.getchannel("A")
    shadow = ImageChops.subtract(shadow, covered)
    dark = shadow.resize(picture.size, Image.Resampling.BOX).point(lambda value: int(value * SHADOW))
    result = picture.copy()
    result.paste((18, 26, 40), (0, 0), dark)
    marks_only = shown.convert("RGBa").resize(picture.size, Image.Resampling.BOX).convert("RGBA")
    result.paste(marks_only, (0, 0), marks_only)
    return result


Draw = Callable[[ImageDraw.ImageDraw, ImageDraw.ImageDraw, Point, Mark, float], None]


def _tree(pen: ImageDraw.ImageDraw, shadow: ImageDraw.ImageDraw, at: Point, mark: Mark, scale: float) -> None:
    radius = 2.1 * mark.scale * scale
    shadow.ellipse(_disc(at, radius, SHADOW_METRES * scale), 255)
    pen.ellipse(_disc(at, radius), (27, 68, 38, 255))
    pen.ellipse(_disc(at, 0.62 * radius, -0.25 * radius), (58, 112, 58, 255))
    pen.ellipse(_disc(at, 0.28 * radius, -0.38 * radius), (96, 148, 84, 255))


def _rock(pen: ImageDraw.ImageDraw, shadow: ImageDraw.ImageDraw, at: Point, mark: Mark, scale: float) -> None:
    radius = 1.5 * mark.scale * scale
    corners = [(mark.yaw + corner * math.tau / 6, radius * (0.8 + 0.2 * (corner % 2))) for corner in range(6)]
    outline = [(at[0] + length * math.cos(angle), at[1] + length * math.sin(angle)) for angle, length in corners]
    shadow.polygon([(x + SHADOW_METRES * scale * 0.7, y + SHADOW_METRES * scale * 0.7) for x, y in outline], 255)
    pen.polygon(outline, (92, 88, 86, 255))
    pen.ellipse(_disc(at, 0.5 * radius, -0.25 * radius), (158, 153, 148, 255))


def _house(pen: ImageDraw.ImageDraw, shadow: ImageDraw.ImageDraw, at: Point, mark: Mark, scale: float) -> None:
    """Draws a roof whose ridge runs along the house's forward axis; the half that faces the sun is lighter."""
    along = (math.sin(mark.yaw), math.cos(mark.yaw))
    across = (along[1], -along[0])
    long, wide = 4.6 * mark.scale * scale, 3.4 * mark.scale * scale

    def corner(forward: float, side: float) -> Point:
        x, y = (at[axis] + forward * long * along[axis] + side * wide * across[axis] for axis in (0, 1))
        return x, y

    outline = [corner(1, 1), corner(1, -1), corner(-1, -1), corner(-1, 1)]
    away = SHADOW_METRES * 1.6 * scale
    shadow.polygon([(x + away, y + away) for x, y in outline], 255)
    lit = across[0] + across[1] < 0
    light, dark = (206, 92, 66, 255), (150, 54, 42, 255)
    pen.polygon([corner(1, 1), corner(-1, 1), corner(-1, 0), corner(1, 0)], light if lit else dark)
    pen.polygon([corner(1, -1), corner(-1, -1), corner(-1, 0), corner(1, 0)], dark if lit else light)
    pen.line([*outline, outline[0]], (70, 30, 26, 255), max(1, round(0.35 * scale)))
    pen.line([corner(1, 0), corner(-1, 0)], (236, 148, 112, 255), max(1, round(0.3 * scale)))


def _dot(pen: ImageDraw.ImageDraw, shadow: ImageDraw.ImageDraw, at: Point, mark: Mark, scale: float) -> None:
    """Draws what has no mark of its own."""
    radius = 1.4 * mark.scale * scale
    shadow.ellipse(_disc(at, radius, SHADOW_METRES * 0.5 * scale), 255)
    pen.ellipse(_disc(at, radius), (40, 40, 48, 255))
    pen.ellipse(_disc(at, 0.6 * radius), (250, 240, 210, 255))


def _disc(at: Point, radius: float, moved: float = 0.0) -> tuple[float, float, float, float]:
    x, y = at[0] + moved, at[1] + moved
    return x - radius, y - radius, x + radius, y + radius


_OF: dict[str, Draw] = {"tree": _tree, "rock": _rock, "boulder": _rock, "house": _house}
