"""`avatars.png`: the committed generator's faces beside those of the one-minute run, all drawn by the sidecar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bridge.client import Client, rgba
from bridge.v1 import asset_pb2, avatar_service_pb2

ROWS, COLUMNS, FACE_PX, GAP, MARGIN, TITLE = 6, 6, 96, 6, 24, 46
INK, FAINT, PAPER, BACKDROP = (32, 36, 44), (110, 114, 122), (250, 250, 248), (190, 205, 220)
RGBA8 = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)


def draw_avatars(client: Client, path: Path, train_seconds: float) -> None:
    """Ask for the same seeds of both models and write them as two labelled grids."""
    left = _grid(client, "pixel")
    right = _grid(client, "minute")
    width, height = left.width + right.width + 3 * MARGIN, left.height + 2 * MARGIN + TITLE
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    titles = ("the default generator, committed", f"trained just now, {train_seconds:.0f} s on this machine")
    for grid, title, x in ((left, titles[0], MARGIN), (right, titles[1], left.width + 2 * MARGIN)):
        draw.text((x, MARGIN - 6), title, INK, ImageFont.load_default(20))
        draw.text((x, MARGIN + 18), f"seeds 0 to {ROWS * COLUMNS - 1}", FAINT, ImageFont.load_default(14))
        page.paste(grid, (x, MARGIN + TITLE))
    page.save(path)


def _grid(client: Client, model: str) -> Image.Image:
    spec = avatar_service_pb2.AvatarSpec(seeds=range(ROWS * COLUMNS), image=RGBA8)
    answer = client.generate_avatars(model, spec)
    return sheet([on_paper(avatar.image) for avatar in answer.avatars], COLUMNS)


def on_paper(image: asset_pb2.Image) -> np.ndarray:
    """Lays an RGBA8 image on the sheet's backdrop: uint8 [H, W, 3]."""
    pixels = rgba(image).astype(np.uint16)
    alpha = pixels[..., 3:]
    return ((pixels[..., :3] * alpha + np.array(BACKDROP, np.uint16) * (255 - alpha) + 127) // 255).astype(np.uint8)


def sheet(faces: Sequence[np.ndarray], columns: int) -> Image.Image:
    """Lays pictures uint8 [S, S, 3] out row by row, each pixel as a square, with gaps between them."""
    scale = max(1, FACE_PX // faces[0].shape[0])
    step = faces[0].shape[0] * scale + GAP
    rows = -(-len(faces) // columns)
    page = np.full((rows * step, columns * step, 3), PAPER, np.uint8)
    for i, face in enumerate(faces):
        y, x = i // columns * step, i % columns * step
        page[y : y + step - GAP, x : x + step - GAP] = face.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(page)
