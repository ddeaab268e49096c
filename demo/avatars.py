"""`avatars.png`: the committed generator's faces beside those of the one-minute run, all drawn by the sidecar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bridge.client import Client, rgba
from bridge.v1 import asset_pb2, avatar_service_pb2

ROWS, COLUMNS, SCALE, GAP, MARGIN, TITLE = 6, 6, 3, 6, 24, 46
INK, PAPER = (32, 36, 44), (250, 250, 248)


def draw_avatars(client: Client, path: Path, train_seconds: float) -> None:
    """Ask for the same seeds of both models and write them as two labelled grids."""
    left = _grid(client, "pixel")
    right = _grid(client, "minute")
    width, height = left.width + right.width + 3 * MARGIN, left.height + 2 * MARGIN + TITLE
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    titles = ("the default generator, committed", f"trained just now, {train_seconds:.0f} s on this machine")
    for grid, title, x in ((left, titles[0], MARGIN), (right, titles[1], left.width + 2 * MARGIN)):
        draw.text((x, MARGIN - 6), title, INK, ImageFont.load_default(20))
        seeds = f"seeds 0 to {ROWS * COLUMNS - 1}, truncation 0.7, {grid.width // COLUMNS // SCALE - GAP // SCALE} px"
        draw.text((x, MARGIN + 18), seeds, (110, 114, 122), ImageFont.load_default(14))
        sheet.paste(grid, (x, MARGIN + TITLE))
    sheet.save(path)


def _grid(client: Client, model: str) -> Image.Image:
    spec = avatar_service_pb2.AvatarSpec(
        seeds=range(ROWS * COLUMNS), image=asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)
    )
    answer = client.generate_avatars(model, spec)
    faces = [rgba(avatar.image)[..., :3] for avatar in answer.avatars]
    size = faces[0].shape[0] * SCALE
    step = size + GAP
    sheet = np.full((ROWS * step, COLUMNS * step, 3), PAPER, np.uint8)
    for i, face in enumerate(faces):
        y, x = i // COLUMNS * step, i % COLUMNS * step
        sheet[y : y + size, x : x + size] = face.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    return Image.fromarray(sheet)
