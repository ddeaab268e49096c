"""Control over avatars, all of it through the sidecar: one slider a row, one morph, one projection."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bridge.client import Client
from bridge.v1 import avatar_service_pb2
from demo.avatars import INK, MARGIN, PAPER, RGBA8, on_paper, sheet
from export.avatar import data
from export.avatar.pictures import over, straight

STEPS = 7
SLIDER_SEED = 11
MORPH_SEEDS = (3, 8, 21, 34)
FRAME_RATE = 30.0
PICTURES = 8
LABEL_PX = 170


def draw_sliders(client: Client, model: str, path: Path) -> None:
    """Ask for one avatar with each control of the model at equal steps over its range, one control a row."""
    controls = json.loads(client.model(model).card_json)["spec"]["controls"]
    faces = []
    for control in controls:
        for value in np.linspace(control["low"], control["high"], STEPS):
            spec = avatar_service_pb2.AvatarSpec(seeds=[SLIDER_SEED], controls={control["name"]: float(value)}, image=RGBA8)
            faces += [on_paper(avatar.image) for avatar in client.generate_avatars(model, spec).avatars]
    grid = sheet(faces, STEPS)
    page = Image.new("RGB", (grid.width + LABEL_PX + 2 * MARGIN, grid.height + 2 * MARGIN), PAPER)
    page.paste(grid, (LABEL_PX + MARGIN, MARGIN))
    step = grid.height // len(controls)
    for row, control in enumerate(controls):
        y = MARGIN + row * step + step // 2 - 12
        label = f"{control['name']}\n{control['low']:g} to {control['high']:g}"
        ImageDraw.Draw(page).text((MARGIN, y), label, INK, ImageFont.load_default(15))
    page.save(path)


def draw_morph(client: Client, model: str, path: Path) -> float:
    """Save a round of morph frames as a GIF; return the frames a second that the sidecar made when nobody held it back."""
    spec = avatar_service_pb2.AvatarSpec(seeds=MORPH_SEEDS, image=RGBA8)
    start = time.perf_counter()
    frames = list(client.morph_avatar(model, spec, frame_rate=FRAME_RATE, loop=True, real_time=False))
    rate = len(frames) / (time.perf_counter() - start)
    faces = [Image.fromarray(on_paper(frame.avatar.image)) for frame in frames]
    scale = max(1, 256 // faces[0].width)
    large = [face.resize((face.width * scale, face.height * scale), Image.Resampling.NEAREST) for face in faces]
    large[0].save(path, save_all=True, append_images=large[1:], duration=round(1000 / FRAME_RATE), loop=0)
    return rate


def draw_projection(client: Client, model: str, path: Path, cache: Path) -> float:
    """Send pictures that no training has seen and lay the avatars found below them; return the mean pixel distance."""
    pictures = data.load(
        "pixel-art", size=32, count=PICTURES, pixel_size=2, split="held-out", channels=4, cache=cache, seed=1
    ).images
    found, distances = [], []
    for picture in straight(pictures / np.float32(127.5) - np.float32(1.0)):
        answer = client.project_avatar(model, np.ascontiguousarray(picture.transpose(1, 2, 0)), image=RGBA8)
        found.append(on_paper(answer.avatar.image))
        distances.append(answer.pixel_distance)
    originals = list(over(pictures).transpose(0, 2, 3, 1))
    grid = sheet(originals + found, PICTURES)
    page = Image.new("RGB", (grid.width + LABEL_PX + 2 * MARGIN, grid.height + 2 * MARGIN), PAPER)
    page.paste(grid, (LABEL_PX + MARGIN, MARGIN))
    for row, label in enumerate(("a picture\nnever trained on", "the avatar found")):
        y = MARGIN + row * grid.height // 2 + grid.height // 4 - 16
        ImageDraw.Draw(page).text((MARGIN, y), label, INK, ImageFont.load_default(15))
    page.save(path)
    return float(np.mean(distances))
