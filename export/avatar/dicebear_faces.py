"""The built-in faces: DiceBear's vector styles drawn without a background, with their attribute labels and licences."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dicebear
import numpy as np
import skia
from dicebear import Avatar, Style

RENDERER = "rgba-2"
"""Changes whenever `rasterise` or `draw` gives other pictures or labels for the same seed."""
PACKAGES = ("dicebear-core", "dicebear-styles", "skia-python")

_LICENCES = {
    "CC0 1.0": ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "CC BY 4.0": ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
}
_XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink" '
_ALPHA_MASK = re.compile(r"<mask\b[^>]*mask-type:\s*alpha[^>]*>.*?</mask>", re.DOTALL)
_FREE_MASK = re.compile(r"<mask(?![^>]*maskUnits)")
_EVERYWHERE = 'maskUnits="userSpaceOnUse" x="-9999" y="-9999" width="19998" height="19998"'
_PAINT = re.compile(r'\b(fill|stroke)="(?!none")[^"]*"')
_GEOMETRY = ("Rotate", "TranslateX", "TranslateY", "Scale", "Fill")
_CONSTANT = ("scale", "flip", "rotate", "translateX", "translateY", "borderRadius", "idRandomization", "animationVariant")


@dataclass(frozen=True)
class FaceStyle:
    """What a DiceBear style remixes and on which terms; `load_style` holds the installed package to it."""

    title: str
    """Name of the work."""
    creator: str
    """Who drew it."""
    url: str
    """Where it is published."""
    licence: str
    """Name of the licence as the style's definition gives it."""

    @property
    def spdx(self) -> str:
        """SPDX identifier of the licence; a LicenseRef for terms without one."""
        return _LICENCES[self.licence][0] if self.licence in _LICENCES else f"LicenseRef-{self.title}"

    @property
    def licence_url(self) -> str:
        """Where the terms stand; terms without a licence text of their own stand on the page of the work."""
        return _LICENCES[self.licence][1] if self.licence in _LICENCES else self.url

    @property
    def redistributable(self) -> bool:
        """Whether a model trained on the pictures may be passed on with the project: CC0 and CC BY (with attribution)."""
        return self.licence in _LICENCES

    @property
    def attribution(self) -> str:
        """The line that must go with the pictures and with models trained on them; empty for CC0."""
        if self.licence == "CC0 1.0":
            return ""
        terms = f"{self.licence} ({self.licence_url})" if self.licence in _LICENCES else f'"{self.licence}"'
        return f'Based on "{self.title}" by {self.creator} ({self.url}), licensed under {terms}, as remixed by DiceBear'


_FIGMA = "https://www.figma.com/community/file/"
_FREE = "Free for personal and commercial use"
STYLES = {
    "pixel-art": FaceStyle("Pixel Art", "DiceBear", _FIGMA + "1198754108850888330", "CC0 1.0"),
    "voxel-art": FaceStyle("Voxel Art", "DiceBear", "https://www.dicebear.com", "CC0 1.0"),
    "toon-head": FaceStyle("ToonHead", "Johan Melin", _FIGMA + "1589627891082866389", "CC BY 4.0"),
    "avataaars": FaceStyle("Avataaars", "Pablo Stanley", "https://avataaars.com/", _FREE),
    "adventurer": FaceStyle("Adventurer", "Lisa Wischofsky", _FIGMA + "1184595184137881796", "CC BY 4.0"),
    "big-ears": FaceStyle("Face Generator", "The Visual Team", _FIGMA + "986078800058673824", "CC BY 4.0"),
    "big-smile": FaceStyle("Custom Avatar", "Ashley Seo", _FIGMA + "881358461963645496", "CC BY 4.0"),
    "lorelei": FaceStyle("Lorelei", "Lisa Wischofsky", _FIGMA + "1198749693280469639", "CC0 1.0"),
    "micah": FaceStyle("Avatar Illustration System", "Micah Lanier", _FIGMA + "829741575478342595", "CC BY 4.0"),
    "miniavs": FaceStyle("Miniavs - Free Avatar Creator", "Webpixels", _FIGMA + "923211396597067458", "CC BY 4.0"),
    "notionists": FaceStyle("Notionists", "Zoish", "https://heyzoish.gumroad.com/l/notionists", "CC0 1.0"),
    "open-peeps": FaceStyle("Open Peeps", "Pablo Stanley", "https://www.openpeeps.com/", "CC0 1.0"),
    "voxel-bot": FaceStyle("Voxel Bot", "DiceBear", "https://www.dicebear.com", "CC0 1.0"),
    "bottts": FaceStyle("Bottts", "Pablo Stanley", "https://bottts.com/", _FREE),
}
"""The styles whose faces line up in the picture."""


def style_of(name: str) -> FaceStyle:
    """The entry of a built-in style; raises ValueError for any other name."""
    if name not in STYLES:
        raise ValueError(f'DiceBear style "{name}" is not built in; use one of {styles_like(name)}')
    return STYLES[name]


def styles_like(name: str) -> list[str]:
    """All built-in styles: those with a name like the given one first, the closest in front, and then the others by name."""
    near = difflib.get_close_matches(name.lower(), STYLES, len(STYLES))
    return near + sorted(set(STYLES) - set(near))


@functools.cache
def definition_of(name: str) -> dict[str, Any]:
    """The definition of a built-in style as the installed package has it; not to be changed."""
    style_of(name)
    site_packages = Path(dicebear.__file__).parent.parent
    definition: dict[str, Any] = json.loads((site_packages / "dicebear_styles" / f"{name}.json").read_text("utf-8"))
    return definition


def check_licence(name: str, meta: dict[str, Any]) -> None:
    """Raises ValueError when a definition's `meta` section gives other terms or another author than `STYLES`."""
    style = style_of(name)
    expected = (style.licence, style.licence_url, style.title, style.creator, style.url)
    licence, creator, source = (meta.get(key, {}) for key in ("license", "creator", "source"))
    found = (licence.get("name"), licence.get("url"), source.get("name"), creator.get("name"), source.get("url"))
    if found != expected:
        raise ValueError(
            f'the installed dicebear-styles gives style "{name}" as {found}, but its terms were checked as {expected}; '
            f"install dicebear-styles 10.6.0, or read the new terms and write them into dicebear_faces.STYLES"
        )


@functools.cache
def load_style(name: str) -> Style:
    """Reads a built-in style and checks its licence; takes a second, as DiceBear checks the definition's schema."""
    definition = definition_of(name)
    check_licence(name, definition["meta"])
    return Style(definition)


def versions() -> dict[str, str]:
    """The installed versions of the packages that the pictures depend on."""
    return {name: version(name) for name in PACKAGES}


def draw(style: Style, seed: str, size: int) -> tuple[np.ndarray, dict[str, str]]:
    """Draws one face: premultiplied uint8 [4, size, size] in RGBA, and its labels (absent parts are left out)."""
    # An empty list also switches off the background that some styles have by default.
    avatar = Avatar(style, {"seed": seed, "backgroundColor": []}).to_json()
    return rasterise(avatar["svg"], size), labels_of(avatar["options"])


def rasterise(svg: str, size: int) -> np.ndarray:
    """Renders an SVG document on a transparent ground: uint8 [4, size, size], colours multiplied by alpha."""
    document = skia.SVGDOM.MakeFromStream(skia.MemoryStream(_for_skia(svg).encode("utf-8"), True))
    document.setContainerSize(skia.Size(size, size))
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.clear(skia.ColorTRANSPARENT)
    document.render(canvas)
    rgba = surface.toarray(alphaType=skia.kPremul_AlphaType, colorType=skia.kRGBA_8888_ColorType)
    return np.ascontiguousarray(rgba.transpose(2, 0, 1))


def _for_skia(svg: str) -> str:
    """Rewrites what Skia's SVG module does not know: unprefixed references, and two things about masks.

    It takes every mask by luminance, so that the paint of masks by alpha is made white, whose luminance is its alpha.
    It finds no bounding box for ellipses, so that masks without a region of their own get one around everything.
    """
    text = svg.replace("<svg ", f"<svg {_XLINK}", 1).replace(' href="#', ' xlink:href="#')
    text = _ALPHA_MASK.sub(lambda mask: _PAINT.sub(r'\1="#fff"', mask.group()), text)
    return _FREE_MASK.sub(f"<mask {_EVERYWHERE}", text)


def labels_of(options: dict[str, object]) -> dict[str, str]:
    """Keeps what varies between faces: which variant of each part and which colours."""
    labels = {}
    for key, value in options.items():
        if key in _CONSTANT or key.endswith(_GEOMETRY):
            continue
        text = value[0] if isinstance(value, list) and value else value
        if isinstance(text, str):
            labels[key] = text
    return labels


def faces(name: str, seeds: Iterable[str], size: int) -> Iterator[tuple[np.ndarray, dict[str, str]]]:
    """Draws one face after another, one for each seed."""
    style = load_style(name)
    for seed in seeds:
        yield draw(style, seed, size)
