"""The built-in face data set: DiceBear's vector styles drawn at their native pixel grid, with their attribute labels."""

from __future__ import annotations

import json
from pathlib import Path

import dicebear
import numpy as np
import skia
from dicebear import Avatar, Style

BACKGROUNDS = ("b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf", "cdeac0")
STYLES = {"pixel-art": "CC0-1.0"}
"""The styles that are free of conditions and line up in the picture, with their SPDX licence."""

_XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink" '
_GEOMETRY = ("Rotate", "TranslateX", "TranslateY", "Scale", "Fill")
_CONSTANT = ("scale", "flip", "rotate", "translateX", "translateY", "borderRadius", "idRandomization")


def licence_of(name: str) -> str:
    """The SPDX licence of a style in `STYLES`; raises ValueError for any other name."""
    if name not in STYLES:
        raise ValueError(f'DiceBear style "{name}" is not built in; use one of {sorted(STYLES)}')
    return STYLES[name]


def load_style(name: str) -> Style:
    """Reads the definition of a style in `STYLES`; takes a second, as DiceBear checks it against its schema."""
    site_packages = Path(dicebear.__file__).parent.parent
    return Style(json.loads((site_packages / "dicebear_styles" / f"{name}.json").read_text("utf-8")))


def draw(style: Style, seed: str, size: int) -> tuple[np.ndarray, dict[str, str]]:
    """Draws one face: uint8 [3, size, size] in RGB, and its attribute labels (absent parts are left out)."""
    avatar = Avatar(style, {"seed": seed, "backgroundColor": list(BACKGROUNDS)}).to_json()
    return rasterise(avatar["svg"], size), attributes(avatar["options"])


def rasterise(svg: str, size: int) -> np.ndarray:
    """Renders an SVG document to uint8 [3, size, size]; transparent parts come out white."""
    # Skia's SVG module knows only the SVG 1.1 spelling of references.
    text = svg.replace("<svg ", f"<svg {_XLINK}", 1).replace(' href="#', ' xlink:href="#')
    document = skia.SVGDOM.MakeFromStream(skia.MemoryStream(text.encode("utf-8"), True))
    document.setContainerSize(skia.Size(size, size))
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.clear(skia.ColorWHITE)
    document.render(canvas)
    rgba = surface.makeImageSnapshot().toarray(colorType=skia.kRGBA_8888_ColorType)
    return np.ascontiguousarray(rgba[:, :, :3].transpose(2, 0, 1))


def attributes(options: dict[str, object]) -> dict[str, str]:
    """Keeps what varies between faces: which variant of each part and which colours."""
    labels = {}
    for key, value in options.items():
        if key in _CONSTANT or key.endswith(_GEOMETRY):
            continue
        text = value[0] if isinstance(value, list) and value else value
        if isinstance(text, str):
            labels[key] = text
    return labels
