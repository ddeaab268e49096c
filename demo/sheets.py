"""The paper around pictures of terrain: frame, ruler, scale bar, legend, captions; and films of equal frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bridge.scene_card import Spec
from demo.avatars import FAINT, INK, PAPER
from demo.marks import Mark, draw_marks

MARGIN, TITLE, FOOT, TICK = 36, 58, 74, 9
SWATCH = 18
ROUND_METRES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own typeface."""
    return ImageFont.load_default(size)


def map_sheet(picture: Image.Image, spec: Spec, px: int, title: str, subtitle: str) -> Image.Image:
    """Frame a drawn block of tiles: ticks outside the frame at the tiles' borders, a scale bar, and a legend."""
    page = Image.new("RGB", (picture.width + 2 * MARGIN, picture.height + MARGIN + TITLE + FOOT), PAPER)
    page.paste(picture, (MARGIN, TITLE))
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, 8), title, INK, font(20))
    pen.text((MARGIN, 33), subtitle, FAINT, font(14))
    left, top, right, bottom = MARGIN, TITLE, MARGIN + picture.width, TITLE + picture.height
    pen.rectangle((left - 1, top - 1, right, bottom), outline=INK)
    step = spec.tile_cells * px
    for x in range(left, right + 1, step):
        pen.line((x, top - TICK, x, top - 2), INK)
        pen.line((x, bottom + 1, x, bottom + TICK), INK)
    for y in range(top, bottom + 1, step):
        pen.line((left - TICK, y, left - 2, y), INK)
        pen.line((right + 1, y, right + TICK, y), INK)
    _scale_bar(pen, (left, bottom + 30), px / spec.metres_per_cell, picture.width)
    _legend(page, pen, (left, bottom + 62), spec)
    return page


def captioned(picture: Image.Image, caption: str, detail: str = "") -> Image.Image:
    """Lay a picture under a line that says what it shows, and a fainter one."""
    page = Image.new("RGB", (picture.width + 2 * MARGIN // 3, picture.height + TITLE + MARGIN // 3), PAPER)
    page.paste(picture, (MARGIN // 3, TITLE))
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN // 3, 8), caption, INK, font(18))
    pen.text((MARGIN // 3, 33), detail, FAINT, font(14))
    return page


def save_film(frames: Sequence[Image.Image], path: Path, milliseconds: Sequence[int]) -> None:
    """Write frames of equal size as an endless GIF with one palette for all, which keeps still what does not change."""
    last = frames[-1]
    montage = Image.new("RGB", (last.width * 2, last.height))
    montage.paste(frames[len(frames) // 2], (0, 0))
    montage.paste(last, (last.width, 0))
    palette = montage.quantize(256, Image.Quantize.MEDIANCUT)
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=list(milliseconds), loop=0, optimize=False)


def _scale_bar(pen: ImageDraw.ImageDraw, at: tuple[int, int], px_per_metre: float, width: int) -> None:
    """Draw four parts of a round length, a quarter of the width at the most."""
    length = max(metres for metres in ROUND_METRES if metres * px_per_metre <= width / 4 or metres == ROUND_METRES[0])
    x, y = at
    part = length * px_per_metre / 4
    for number in range(4):
        box = (round(x + number * part), y, round(x + (number + 1) * part), y + 6)
        pen.rectangle(box, fill=INK if number % 2 == 0 else PAPER, outline=INK)
    for share in (0, 0.5, 1):
        pen.text((x + 4 * part * share, y - 16), f"{length * share:g}" + (" m" if share == 1 else ""), INK, font(12))


def _legend(page: Image.Image, pen: ImageDraw.ImageDraw, at: tuple[int, int], spec: Spec) -> None:
    """Name the tints of the ground and the marks of objects in one line."""
    x, y = at
    for ground in spec.ground_classes:
        pen.rectangle((x, y, x + SWATCH, y + SWATCH), fill=ground.colour, outline=INK)
        pen.text((x + SWATCH + 6, y + 1), ground.name, INK, font(13))
        x += SWATCH + 22 + round(pen.textlength(ground.name, font(13)))
    for thing in spec.object_classes[1:]:
        box = (x, y, x + SWATCH, y + SWATCH)
        grass = Image.new("RGB", (SWATCH, SWATCH), (190, 205, 160))
        page.paste(draw_marks(grass, [Mark(thing.name, 4.0, 4.0)], SWATCH / 9.0), box[:2])
        pen.text((x + SWATCH + 6, y + 1), thing.name, INK, font(13))
        x += SWATCH + 22 + round(pen.textlength(thing.name, font(13)))
