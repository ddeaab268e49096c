"""Named numbers in [0, 1] of drawn faces, for sliders: glasses, hair_length, skin_lightness, mouth_open ...

How each number comes about:

* glasses, sunglasses, hat, earrings, moustache, bun, spiky_hair, bare_shoulders: 1 for the variants that show it, else 0;
* beard: the square root of the area that the variant covers, against the style's largest beard;
* hair_length: how far down the hair hangs: the lowest row of a 128 px picture with 8 pixels of hair, scaled from the
  style's shortest (0) to its longest hair (1); hats that hide all hair, and bald heads, count 0;
* eye_size: the pixels of the eyes against the style's largest;
* eyes_open: 1 when the pupils of both eyes show, 0.5 for one of them or for lids half down, 0 for lids drawn as lines;
* smile: 1 for corners of the mouth turned up, 0 for corners turned down, between them for straight and round mouths;
* mouth_open: 1 when teeth or the inside of the mouth show, 0.5 for a tongue between closed lips;
* ..._lightness, ..._vividness, ..._warmth: where the colour lies among the style's colours in CIE L*, chroma and
  a* + b*; 0.5 where a face does not show it (`attribute_kinds.Shade`).

A variant that a table does not know is an error, and a test compares the tables with the installed definitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from export.avatar.attribute_kinds import FirstShade, Labels, Largest, Part, Shade


def _numbered(stem: str, *numbers: float) -> dict[str, float]:
    """A table over variants that are numbered from 01."""
    return {f"{stem}{index:02}": number for index, number in enumerate(numbers, 1)}


def _among(variants: str, *groups: tuple[float, str]) -> dict[str, float]:
    """A table over variants given as words: 0, but for the words in the groups."""
    table = dict.fromkeys(variants.split(), 0.0)
    for number, words in groups:
        for word in words.split():
            if word not in table:
                raise ValueError(f'"{word}" is none of the variants {sorted(table)}')
            table[word] = number
    return table


def _reach(shortest: int, longest: int, rows: dict[str, int]) -> dict[str, float]:
    """Lowest rows of hair in a picture of 128, as hair lengths from 0 to 1; row 0 means no hair to be seen."""
    return {name: min(max((row - shortest) / (longest - shortest), 0.0), 1.0) for name, row in rows.items()}


def _share(areas: dict[str, float]) -> dict[str, float]:
    return {name: area / max(areas.values()) for name, area in areas.items()}


def _widths(areas: dict[str, float]) -> dict[str, float]:
    return {name: math.sqrt(share) for name, share in _share(areas).items()}


def _rows(text: str) -> dict[str, int]:
    return {name: int(row) for name, row in (item.split(":") for item in text.split())}


_PIXEL_HAIR = _rows(
    "long01:111 long02:103 long03:103 long04:95 long05:71 long06:95 long07:103 long08:103 long09:103 long10:79 long11:79 "
    "long12:127 long13:111 long14:39 long15:79 long16:79 long17:95 long18:95 long19:95 long20:103 long21:95 short01:55 "
    "short02:47 short03:39 short04:39 short05:31 short06:39 short07:31 short08:31 short09:31 short10:31 short11:71 "
    "short12:39 short13:39 short14:55 short15:47 short16:31 short17:47 short18:47 short19:31 short20:31 short21:23 "
    "short22:39 short23:23 short24:39"
)
_PIXEL_GLASSES = "dark01 dark02 dark03 dark04 dark05 dark06 dark07 light01 light02 light03 light04 light05 light06 light07"
_PIXEL_MOUTHS = _numbered("happy", *[1.0] * 13) | _numbered("sad", *[0.0] * 10)

_VOXEL_HAIR = _rows(
    "short:47 spiky:32 bowl:62 sideSwept:50 curly:47 mohawk:32 buns:45 ponytail:45 bob:72 shoulderLength:87 "
    "longStraight:102 longWavy:100 partedLong:102 braids:92 twinTails:102 cap:0 beanie:0 animalEars:0 bunnyEars:0 afro:45 "
    "halfShaved:47"
)
_VOXEL_HATS = Part("topVariant", _among(" ".join(_VOXEL_HAIR), (1.0, "cap beanie animalEars bunnyEars")))
_VOXEL_OUTFITS = "plain stripes jacket checker overalls hoodie tie coat dress suit"
_VOXEL_JACKETS = Part("outfitVariant", _among(_VOXEL_OUTFITS, (1.0, "jacket coat dress suit")))
_VOXEL_MOUTHS = "smile bigSmile flat ooh tongue smirk laugh wideSmile frown grin"
_VOXEL_BEARDS = "full mustache goatee stubble"
_VOXEL_GLASSES = "round square shades cat visor"

_TOON_HAIR = Part("hairVariant", _reach(57, 118, _rows("bun:68 sideComed:62 spiky:57 undercut:57")))
_TOON_REAR = Part("rearHairVariant", _reach(57, 118, _rows("longStraight:113 longWavy:118 neckHigh:98 shoulderHigh:109")))
_TOON_BEARDS = {"chin": 32.0, "chinMoustache": 128.0, "fullBeard": 526.0, "longBeard": 1201.0, "moustacheTwirl": 0.0}
_TOON_MOUTHS = "agape angry laugh sad smile"

_AVATAAARS_HAIR = _rows(
    "bigHair:125 bob:90 bun:31 curly:90 curvy:122 dreads:123 dreads01:31 dreads02:77 frida:83 frizzle:25 fro:87 froBand:88 "
    "hat:0 hijab:0 longButNotTooLong:86 miaWallace:88 shaggy:48 shaggyMullet:87 shavedSides:96 shortCurly:37 shortFlat:36 "
    "shortRound:31 shortWaved:41 sides:45 straight01:121 straight02:121 straightAndStrand:95 theCaesar:29 "
    "theCaesarAndSidePart:29 turban:0 winterHat02:0 winterHat03:0 winterHat04:0 winterHat1:0"
)
_AVATAAARS_HATS = "hat hijab turban winterHat02 winterHat03 winterHat04 winterHat1"
_AVATAAARS_GLASSES = "eyepatch kurt prescription01 prescription02 round sunglasses wayfarers"
_AVATAAARS_BEARDS = "beardLight beardMajestic beardMedium moustacheFancy moustacheMagnum"
_AVATAAARS_EYES = "closed cry default eyeRoll happy hearts side squint surprised wink winkWacky xDizzy"
_AVATAAARS_MOUTHS = "concerned default disbelief eating grimace sad screamOpen serious smile tongue twinkle vomit"

ATTRIBUTES: dict[str, dict[str, Callable[[Labels], float]]] = {
    "pixel-art": {
        "glasses": Part("glassesVariant", _among(_PIXEL_GLASSES, (1.0, _PIXEL_GLASSES.replace("light04 ", "")))),
        "sunglasses": Part("glassesVariant", _among(_PIXEL_GLASSES, (1.0, _PIXEL_GLASSES[: _PIXEL_GLASSES.index(" light")]))),
        "hat": Part("hatVariant", _numbered("variant", *[1.0] * 10)),
        "beard": Part("beardVariant", _widths(_numbered("variant", 26, 12, 34, 4, 33, 22, 25, 31))),
        "earrings": Part("accessoriesVariant", _numbered("variant", *[1.0] * 4)),
        "hair_length": Part("hairVariant", _reach(23, 127, _PIXEL_HAIR)),
        "hair_lightness": Shade("pixel-art", "hair", "lightness"),
        "hair_vividness": Shade("pixel-art", "hair", "vividness"),
        "skin_lightness": Shade("pixel-art", "skin", "lightness"),
        "eye_size": Part("eyesVariant", _share(_numbered("variant", 18, 10, 6, 6, 12, 12, 12, 12, 18, 18, 18, 10))),
        "smile": Part("mouthVariant", _PIXEL_MOUTHS),
        "lip_vividness": Shade("pixel-art", "mouth", "vividness"),
        "clothing_lightness": Shade("pixel-art", "clothing", "lightness"),
        "clothing_warmth": Shade("pixel-art", "clothing", "warmth"),
    },
    "voxel-art": {
        "glasses": Part("glassesVariant", _among(_VOXEL_GLASSES, (1.0, _VOXEL_GLASSES))),
        "sunglasses": Part("glassesVariant", _among(_VOXEL_GLASSES, (1.0, "shades visor"))),
        "hat": _VOXEL_HATS,
        "beard": Part("beardVariant", _among(_VOXEL_BEARDS, (1.0, "full"), (0.6, "stubble"), (0.3, "goatee"))),
        "moustache": Part("beardVariant", _among(_VOXEL_BEARDS, (1.0, "mustache"))),
        "hair_length": Part("topVariant", _reach(32, 102, _VOXEL_HAIR)),
        "hair_lightness": Shade("voxel-art", "hair", "lightness", hidden_by=_VOXEL_HATS),
        "hair_vividness": Shade("voxel-art", "hair", "vividness", hidden_by=_VOXEL_HATS),
        "skin_lightness": Shade("voxel-art", "skin", "lightness"),
        "eyes_open": Part(
            "eyesVariant",
            _among("open soft happy sleepy side closed wide star", (1.0, "open soft side wide star"), (0.5, "sleepy")),
        ),
        "smile": Part(
            "mouthVariant",
            _among(_VOXEL_MOUTHS, (1.0, "smile bigSmile laugh wideSmile grin"), (0.7, "smirk"), (0.4, "flat ooh tongue")),
        ),
        "mouth_open": Part("mouthVariant", _among(_VOXEL_MOUTHS, (1.0, "bigSmile ooh laugh grin"), (0.5, "tongue"))),
        "clothing_lightness": FirstShade(
            (Shade("voxel-art", "shirt", "lightness", _VOXEL_JACKETS), Shade("voxel-art", "jacket", "lightness"))
        ),
        "clothing_warmth": FirstShade(
            (Shade("voxel-art", "shirt", "warmth", _VOXEL_JACKETS), Shade("voxel-art", "jacket", "warmth"))
        ),
    },
    "toon-head": {
        "beard": Part("beardVariant", _widths(_TOON_BEARDS)),
        "moustache": Part(
            "beardVariant", _among(" ".join(_TOON_BEARDS), (1.0, "chinMoustache fullBeard longBeard moustacheTwirl"))
        ),
        "hair_length": Largest((_TOON_HAIR, _TOON_REAR)),
        "bun": Part("hairVariant", _among("bun sideComed spiky undercut", (1.0, "bun"))),
        "spiky_hair": Part("hairVariant", _among("bun sideComed spiky undercut", (1.0, "spiky"))),
        "hair_lightness": Shade("toon-head", "hair", "lightness"),
        "hair_vividness": Shade("toon-head", "hair", "vividness"),
        "skin_lightness": Shade("toon-head", "skin", "lightness"),
        "eyes_open": Part("eyesVariant", _among("bow happy humble wide wink", (1.0, "happy wide"), (0.5, "wink"))),
        "smile": Part("mouthVariant", _among(_TOON_MOUTHS, (1.0, "laugh smile"), (0.5, "agape"))),
        "mouth_open": Part("mouthVariant", _among(_TOON_MOUTHS, (1.0, "agape angry laugh"))),
        "bare_shoulders": Part("clothesVariant", _among("dress openJacket shirt tShirt turtleNeck", (1.0, "dress"))),
        "clothing_lightness": Shade("toon-head", "clothes", "lightness"),
        "clothing_warmth": Shade("toon-head", "clothes", "warmth"),
    },
    "avataaars": {
        "glasses": Part("accessoriesVariant", _among(_AVATAAARS_GLASSES, (1.0, _AVATAAARS_GLASSES.replace("eyepatch ", "")))),
        "sunglasses": Part("accessoriesVariant", _among(_AVATAAARS_GLASSES, (1.0, "kurt sunglasses wayfarers"))),
        "hat": Part("topVariant", _among(" ".join(_AVATAAARS_HAIR), (1.0, _AVATAAARS_HATS))),
        "beard": Part(
            "facialHairVariant", _among(_AVATAAARS_BEARDS, (1.0, "beardMajestic"), (0.8, "beardMedium"), (0.6, "beardLight"))
        ),
        "moustache": Part("facialHairVariant", _among(_AVATAAARS_BEARDS, (1.0, _AVATAAARS_BEARDS))),
        "hair_length": Part("topVariant", _reach(25, 125, _AVATAAARS_HAIR)),
        "hair_lightness": Shade("avataaars", "hair", "lightness"),
        "hair_vividness": Shade("avataaars", "hair", "vividness"),
        "skin_lightness": Shade("avataaars", "skin", "lightness"),
        "eyes_open": Part(
            "eyesVariant",
            _among(
                _AVATAAARS_EYES, (1.0, "cry default eyeRoll hearts surprised"), (0.7, "side squint"), (0.5, "wink winkWacky")
            ),
        ),
        "smile": Part(
            "mouthVariant",
            _among(_AVATAAARS_MOUTHS, (1.0, "default smile tongue twinkle"), (0.5, "grimace serious eating")),
        ),
        "mouth_open": Part(
            "mouthVariant",
            _among(_AVATAAARS_MOUTHS, (1.0, "concerned default disbelief grimace sad screamOpen smile tongue vomit")),
        ),
        "clothing_lightness": Shade("avataaars", "clothes", "lightness"),
        "clothing_warmth": Shade("avataaars", "clothes", "warmth"),
    },
}
"""For each style the attributes by their name."""


def attribute_table(style: str, labels: Sequence[Labels]) -> tuple[list[str], np.ndarray]:
    """The attributes of faces: their names and float32 [N, A] in [0, 1].

    Raises ValueError for a style without attributes and for variants that no table knows.
    """
    if style not in ATTRIBUTES:
        raise ValueError(f'style "{style}" has no attributes; these have: {sorted(ATTRIBUTES)}')
    attributes = ATTRIBUTES[style]
    rows = [[attribute(label) for attribute in attributes.values()] for label in labels]
    return list(attributes), np.array(rows, np.float32).reshape(len(labels), len(attributes))
