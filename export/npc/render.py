"""Draws the plaza from above: obstacles, the user with a trail, the NPC with its heading and the ring it serves from.

+Z points up in the picture. Seen from above with +Z up, glTF's +X points left, so a positive turn is counter-clockwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from export.npc.baselines import Policy
from export.npc.env import DT, EPISODE_TICKS, RAY_DEGREES, SERVED_TICKS, SERVICE_DISTANCE, Plaza
from export.npc.layout import HALF_SIZE, NPC_RADIUS, USER_RADIUS, Float64

Frame = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

GROUND: Colour = (236, 229, 214)
PAVING: Colour = (225, 216, 198)
WALL: Colour = (92, 84, 78)
SHADOW: Colour = (206, 196, 177)
PLANTER: Colour = (150, 138, 122)
TREE: Colour = (104, 142, 92)
TREE_TOP: Colour = (129, 167, 110)
USER: Colour = (214, 104, 58)
NPC: Colour = (38, 108, 150)
SERVING: Colour = (62, 150, 96)
RAY: Colour = (172, 190, 196)
INK: Colour = (250, 248, 243)

OVERSAMPLING = 3
TRAIL_TICKS = 40


class Canvas:
    """A picture in plaza coordinates, drawn large and scaled down to smooth its edges."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.scale = size * OVERSAMPLING / (2.0 * (HALF_SIZE + 0.5))
        self.image = Image.new("RGB", (size * OVERSAMPLING, size * OVERSAMPLING), WALL)
        self.pen = ImageDraw.Draw(self.image)

    def at(self, xz: Float64) -> tuple[float, float]:
        middle = self.size * OVERSAMPLING / 2.0
        return middle - float(xz[0]) * self.scale, middle - float(xz[1]) * self.scale

    def disc(self, xz: Float64, radius: float, fill: Colour | None, outline: Colour | None = None, width: float = 0.0) -> None:
        x, y = self.at(xz)
        r = radius * self.scale
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=outline, width=round(width * self.scale))

    def line(self, points: Sequence[Float64], fill: Colour, width: float) -> None:
        self.pen.line([self.at(point) for point in points], fill=fill, width=max(1, round(width * self.scale)), joint="curve")

    def polygon(self, points: Sequence[Float64], fill: Colour) -> None:
        self.pen.polygon([self.at(point) for point in points], fill=fill)

    def finish(self) -> Frame:
        return np.asarray(self.image.resize((self.size, self.size), Image.Resampling.LANCZOS))


def draw_world(
    plaza: Plaza, world: int, *, size: int = 320, rays: bool = False, trails: tuple[Sequence[Float64], ...] = ()
) -> Frame:
    """Return one world as a picture uint8[size, size, 3]; `trails` are the past positions of the user and of the NPC."""
    canvas = Canvas(size)
    _draw_ground(canvas)
    _draw_obstacles(canvas, plaza, world)
    for positions, colour in zip(trails, (USER, NPC), strict=False):
        _draw_trail(canvas, positions, colour)
    if rays:
        _draw_rays(canvas, plaza, world)
    _draw_user(canvas, plaza, world)
    _draw_npc(canvas, plaza, world)
    return canvas.finish()


def _draw_ground(canvas: Canvas) -> None:
    edge = HALF_SIZE
    corners = [np.array(corner) for corner in ((-edge, -edge), (edge, -edge), (edge, edge), (-edge, edge))]
    canvas.polygon(corners, GROUND)
    for step in np.arange(-edge + 2.0, edge, 2.0):
        canvas.line([np.array((step, -edge)), np.array((step, edge))], PAVING, 0.06)
        canvas.line([np.array((-edge, step)), np.array((edge, step))], PAVING, 0.06)


def _draw_obstacles(canvas: Canvas, plaza: Plaza, world: int) -> None:
    for xz, radius in zip(plaza.layout.obstacle_xz[world], plaza.layout.obstacle_radius[world], strict=True):
        if radius > 0.0:
            canvas.disc(xz + np.array((-0.15, -0.2)), radius, SHADOW)
            canvas.disc(xz, radius, PLANTER)
            canvas.disc(xz, radius - 0.15, TREE)
            canvas.disc(xz + 0.18 * radius, 0.5 * radius, TREE_TOP)


def _draw_trail(canvas: Canvas, positions: Sequence[Float64], colour: Colour) -> None:
    recent = list(positions)[-TRAIL_TICKS:]
    for age, point in enumerate(reversed(recent)):
        if age % 3 == 0:
            fade = age / TRAIL_TICKS
            blend = tuple(round(c + (g - c) * (0.35 + 0.65 * fade)) for c, g in zip(colour, GROUND, strict=True))
            canvas.disc(point, 0.11, (blend[0], blend[1], blend[2]))


def _draw_rays(canvas: Canvas, plaza: Plaza, world: int) -> None:
    angles = plaza.heading[world] + np.deg2rad(RAY_DEGREES)
    for angle, reach in zip(angles, plaza.rays()[world], strict=True):
        tip = plaza.xz[world] + reach * np.array((np.sin(angle), np.cos(angle)))
        canvas.line([plaza.xz[world], tip], RAY, 0.05)
        canvas.disc(tip, 0.08, RAY)


def _draw_user(canvas: Canvas, plaza: Plaza, world: int) -> None:
    """The user with the ring that fills while they are served."""
    xz = plaza.user_xz[world]
    ring = SERVING if plaza.streak[world] > 0 else PAVING
    canvas.disc(xz, SERVICE_DISTANCE[1], None, PAVING, 0.05)
    share = min(1.0, plaza.streak[world] / SERVED_TICKS)
    if share > 0.0:
        x, y = canvas.at(xz)
        reach = 0.62 * canvas.scale
        canvas.pen.arc((x - reach, y - reach, x + reach, y + reach), -90, -90 + 360 * share, ring, round(0.14 * canvas.scale))
    canvas.disc(xz + np.array((-0.06, -0.08)), USER_RADIUS, SHADOW)
    canvas.disc(xz, USER_RADIUS, USER)
    canvas.disc(xz, 0.55 * USER_RADIUS, INK)


def _draw_npc(canvas: Canvas, plaza: Plaza, world: int) -> None:
    xz, heading = plaza.xz[world], plaza.heading[world]
    forward, left = np.array((np.sin(heading), np.cos(heading))), np.array((np.cos(heading), -np.sin(heading)))
    canvas.disc(xz + np.array((-0.08, -0.1)), NPC_RADIUS, SHADOW)
    canvas.disc(xz, NPC_RADIUS, NPC)
    nose = [xz + 0.8 * forward, xz + 0.2 * forward + 0.33 * left, xz + 0.2 * forward - 0.33 * left]
    canvas.polygon(nose, NPC)
    canvas.disc(xz, 0.5 * NPC_RADIUS, INK)


def record_episode(
    policy: Policy, seed: int, *, world: int = 0, ticks: int = EPISODE_TICKS, every: int = 2, size: int = 320
) -> list[Frame]:
    """Play one episode and return every `every`-th tick as a picture."""
    plaza = Plaza(1, seed, first_world=world)
    user, npc, frames = [plaza.user_xz[0].copy()], [plaza.xz[0].copy()], []
    for tick in range(ticks):
        if tick % every == 0:
            frames.append(draw_world(plaza, 0, size=size, trails=(user, npc)))
        plaza.step(policy(plaza.observe()))
        user.append(plaza.user_xz[0].copy())
        npc.append(plaza.xz[0].copy())
    return frames


def save_gif(frames: Sequence[Frame], path: Path, *, seconds_each: float = 2 * DT, speed: float = 2.0) -> None:
    """Save pictures as a GIF that loops, `speed` times as fast as they were taken."""
    if not frames:
        raise ValueError("there are no frames, expected at least one")
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        Image.fromarray(frame).quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for frame in frames
    ]
    duration = max(20, round(1000 * seconds_each / speed))
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=True)
