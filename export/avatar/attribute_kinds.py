"""The ways to make a number in [0, 1] of the labels of a drawn face: a table over variants, or a scale of colours."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from export.avatar.dicebear_faces import definition_of

Labels = dict[str, str]
Scale = Literal["lightness", "vividness", "warmth"]
UNSEEN = 0.5
"""The number of a colour that the picture does not show, such as the hair's below a hat."""


@dataclass(frozen=True)
class Part:
    """A table over the variants of a part."""

    label: str
    """The label that names the variant, such as hairVariant."""
    table: Mapping[str, float]
    """The number of each variant."""
    absent: float = 0.0
    """The number of a face without this part."""

    def __call__(self, labels: Labels) -> float:
        """Looks the variant up; raises ValueError for one that the table does not have."""
        variant = labels.get(self.label)
        if variant is None:
            return self.absent
        if variant not in self.table:
            raise ValueError(f'{self.label} is "{variant}"; attributes.py knows {sorted(self.table)}')
        return self.table[variant]


@dataclass(frozen=True)
class Largest:
    """The largest number that one of several parts gives."""

    parts: tuple[Part, ...]

    def __call__(self, labels: Labels) -> float:
        """Takes the maximum over the parts."""
        return max(part(labels) for part in self.parts)


@dataclass(frozen=True)
class Shade:
    """Where a colour lies between the lowest and the highest of the style's colours for that part.

    lightness is CIE L*, vividness the chroma of CIE Lab, warmth a* + b* (reds and yellows high, blues and greens low).
    """

    style: str
    colour: str
    """Name of the colour in the style's definition, such as hair; its label is hairColor."""
    scale: Scale
    hidden_by: Part | None = None
    """Gives 1 for faces that do not show the colour although they have its label."""

    def __call__(self, labels: Labels) -> float:
        """Places the colour on the scale; UNSEEN where the face does not show it."""
        colour = labels.get(f"{self.colour}Color")
        if colour is None or (self.hidden_by is not None and self.hidden_by(labels) == 1.0):
            return UNSEEN
        low, high = _ends(self.style, self.colour, self.scale)
        return min(max((_measure(colour, self.scale) - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True)
class FirstShade:
    """The shade of the first of several colours that the face shows."""

    shades: tuple[Shade, ...]

    def __call__(self, labels: Labels) -> float:
        """Takes the first number that stands for a colour in the picture."""
        numbers = (shade(labels) for shade in self.shades if not (shade.hidden_by and shade.hidden_by(labels) == 1.0))
        return next(numbers, UNSEEN)


def lab(colour: str) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of an sRGB colour such as "#ffdbac"."""
    srgb = [int(colour.removeprefix("#")[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in srgb)
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    x, y, z = (math.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _measure(colour: str, scale: Scale) -> float:
    lightness, a, b = lab(colour)
    return {"lightness": lightness, "vividness": math.hypot(a, b), "warmth": a + b}[scale]


@functools.cache
def _ends(style: str, colour: str, scale: Scale) -> tuple[float, float]:
    """The lowest and the highest measure among a style's colours for a part."""
    numbers = [_measure(value, scale) for value in definition_of(style)["colors"][colour]["values"]]
    return min(numbers), max(numbers)
