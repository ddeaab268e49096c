"""Draws the assistant's world from above: places with their names, people, the user with what they say, the agent.

+Z points up in the picture, +X left, as seen from above, so a positive turn is counter-clockwise. Nights are blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from export.npc.layout import Float64
from export.npc.render import GROUND, INK, NPC, PAVING, PLANTER, SHADOW, TREE, TREE_TOP, USER, WALL, Canvas, Colour, Frame
from export.npc.world.language import sentences
from export.npc.world.scripted import Policy
from export.npc.world.simulation import World
from export.npc.world.spec import (
    ACTS,
    DT,
    HALF_SIZE,
    ITEMS,
    KINDS,
    NPC_RADIUS,
    PLACE_RADIUS,
    SPEED_BINS,
    STREAK_TICKS,
    TURN_BINS,
    USER_RADIUS,
    WorldConfig,
)

PERSON: Colour = (150, 138, 128)
WATER: Colour = (104, 164, 198)
COUNTER: Colour = (190, 150, 108)
DONE: Colour = (62, 150, 96)
ICONS: dict[str, Colour] = {
    "flower": (222, 106, 150),
    "book": (98, 88, 168),
    "drink": (64, 160, 176),
    "lamp": (236, 190, 66),
    "apple": (198, 62, 54),
    "map": (128, 118, 66),
}
NIGHT = np.array((0.50, 0.55, 0.76))
CAPTION = 30


def draw_world(
    world: World,
    index: int,
    *,
    size: int = 384,
    acts: Sequence[int] | None = None,
    trails: Sequence[Sequence[Float64]] = (),
) -> Frame:
    """Return one world as a picture uint8[size + CAPTION, size, 3]; `acts` are what its agents do, `trails` where they were."""
    canvas = Canvas(size)
    _ground(canvas)
    for place, kind in enumerate(world.config.places):
        _place(canvas, KINDS[kind], world.layout.solid_xz[index, place])
    for trail in trails:
        for age, point in enumerate(reversed(list(trail)[-60:])):
            if age % 4 == 3:
                canvas.disc(point, 0.09, _blend(NPC, GROUND, 0.4 + 0.6 * age / 60))
    _obstacles(canvas, world, index)
    for xz in world.people_xz[index]:
        _person(canvas, xz, PERSON)
    for agent in range(world.config.agents):
        _user(canvas, world, index, agent)
        _agent(canvas, world, index, agent, 0 if acts is None else int(acts[agent]))
    picture = canvas.finish().astype(np.float64)
    if world.layout.night[index]:
        picture *= NIGHT
    return _write(picture.astype(np.uint8), canvas, world, index)


def _blend(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(c + (o - c) * min(share, 1.0)) for c, o in zip(colour, other, strict=True))
    return red, green, blue


def _ground(canvas: Canvas) -> None:
    edge = HALF_SIZE
    canvas.polygon([np.array(corner) for corner in ((-edge, -edge), (edge, -edge), (edge, edge), (-edge, edge))], GROUND)
    for step in np.arange(-edge + 2.0, edge, 2.0):
        canvas.line([np.array((step, -edge)), np.array((step, edge))], PAVING, 0.06)
        canvas.line([np.array((-edge, step)), np.array((edge, step))], PAVING, 0.06)


def _square(canvas: Canvas, xz: Float64, half: float, fill: Colour) -> None:
    canvas.polygon([xz + half * np.array(corner) for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1))], fill)


def _place(canvas: Canvas, kind: str, xz: Float64) -> None:
    canvas.disc(xz + np.array((-0.12, -0.15)), PLACE_RADIUS + 0.15, SHADOW)
    if kind == "fountain":
        canvas.disc(xz, 0.62, PLANTER)
        canvas.disc(xz, 0.5, WATER)
        canvas.disc(xz, 0.17, INK)
    elif kind == "stage":
        _square(canvas, xz, 0.52, (160, 96, 120))
        _square(canvas, xz, 0.36, (206, 140, 158))
    elif kind == "gate":
        for side in (-0.42, 0.42):
            _square(canvas, xz + np.array((side, 0.0)), 0.18, WALL)
        canvas.line([xz - np.array((0.42, 0.0)), xz + np.array((0.42, 0.0))], WALL, 0.14)
    elif kind == "tree":
        canvas.disc(xz, 0.66, (74, 112, 70))
        canvas.disc(xz + 0.1, 0.42, TREE)
        canvas.disc(xz + 0.18, 0.18, TREE_TOP)
    else:
        _square(canvas, xz, 0.5, COUNTER)
        canvas.disc(xz, 0.3, INK)
        canvas.disc(xz, 0.22, ICONS[kind])


def _obstacles(canvas: Canvas, world: World, index: int) -> None:
    first = len(world.config.places)
    for xz, radius in zip(world.layout.solid_xz[index, first:], world.layout.solid_radius[index, first:], strict=True):
        if radius > 0.0:
            canvas.disc(xz + np.array((-0.15, -0.2)), radius, SHADOW)
            canvas.disc(xz, radius, PLANTER)
            canvas.disc(xz, radius - 0.15, TREE)
            canvas.disc(xz + 0.18 * radius, 0.5 * radius, TREE_TOP)


def _person(canvas: Canvas, xz: Float64, colour: Colour) -> None:
    canvas.disc(xz + np.array((-0.06, -0.08)), USER_RADIUS, SHADOW)
    canvas.disc(xz, USER_RADIUS, colour)
    canvas.disc(xz, 0.5 * USER_RADIUS, INK)


def _user(canvas: Canvas, world: World, index: int, agent: int) -> None:
    xz = world.user_xz[index, agent]
    _person(canvas, xz, USER)
    share = 1.0 if world.done[index, agent] else world.streak[index, agent] / STREAK_TICKS
    if share > 0.0:
        x, y = canvas.at(xz)
        reach = 0.6 * canvas.scale
        canvas.pen.arc((x - reach, y - reach, x + reach, y + reach), -90, -90 + 360 * share, DONE, round(0.14 * canvas.scale))


def _agent(canvas: Canvas, world: World, index: int, agent: int, act: int) -> None:
    xz, heading = world.xz[index, agent], world.heading[index, agent]
    ahead, left = np.array((np.sin(heading), np.cos(heading))), np.array((np.cos(heading), -np.sin(heading)))
    canvas.disc(xz + np.array((-0.08, -0.1)), NPC_RADIUS, SHADOW)
    if ACTS[act] == "point":
        canvas.line([xz, xz + 1.5 * ahead], NPC, 0.12)
        canvas.disc(xz + 1.5 * ahead, 0.14, NPC)
    if ACTS[act] == "speak":
        for ring in (0.7, 0.95, 1.2):
            canvas.disc(xz, ring, None, NPC, 0.07)
    canvas.disc(xz, NPC_RADIUS, NPC)
    canvas.polygon([xz + 0.85 * ahead, xz + 0.2 * ahead + 0.33 * left, xz + 0.2 * ahead - 0.33 * left], NPC)
    canvas.disc(xz, 0.5 * NPC_RADIUS, INK)
    item = int(world.carrying[index, agent])
    if item >= 0:
        canvas.disc(xz, 0.26, ICONS[ITEMS[item]])


def _write(picture: Frame, canvas: Canvas, world: World, index: int) -> Frame:
    """Add the names of the places, and below the plaza what the first user says and how it stands."""
    size, scale = canvas.size, canvas.scale * canvas.size / canvas.image.width
    image = Image.new("RGB", (size, size + CAPTION), WALL)
    image.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(max(9, size // 34)), ImageFont.load_default(max(10, size // 26))
    ink = (226, 224, 236) if world.layout.night[index] else (96, 84, 72)
    for place, kind in enumerate(world.config.places):
        xz = world.layout.solid_xz[index, place]
        at = (size / 2 - xz[0] * scale, size / 2 - xz[1] * scale + 0.75 * scale)
        pen.text(at, KINDS[kind], ink, small, anchor="mt")
    said = f"“{sentences()[int(world.layout.sentence[index, 0])].text}”"
    pen.text((10, size + CAPTION / 2 - 2), said, INK, large, anchor="lm")
    state = "done" if world.done[index, 0] else f"{DT * world.tick[index]:.0f} s"
    colour = (140, 214, 160) if world.done[index, 0] else (200, 192, 184)
    pen.text((size - 10, size + CAPTION / 2 - 2), state, colour, large, anchor="rm")
    return np.asarray(image)


def record_episode(
    policy: Policy,
    seed: int,
    *,
    config: WorldConfig | None = None,
    index: int = 0,
    every: int = 2,
    size: int = 384,
    linger: int = 8,
) -> list[Frame]:
    """Play one episode and return every `every`-th tick as a picture, its end `linger` times."""
    world = World(1, seed, config, first_world=index)
    agents = world.config.agents
    trails: list[list[Any]] = [[world.xz[0, agent].copy()] for agent in range(agents)]
    frames, shown = [draw_world(world, 0, size=size)], np.zeros(agents, np.int64)
    while not any(over[0] for over in world.over()):
        bins = policy(world.observe(), world.action_masks())
        speed, turn = SPEED_BINS[bins[:, 0]] * world.config.top_speed, TURN_BINS[bins[:, 1]]
        world.step(speed[None], turn[None], bins[None, :, 2])
        shown = np.where(bins[:, 2] > 0, bins[:, 2], shown)
        for agent in range(agents):
            trails[agent].append(world.xz[0, agent].copy())
        if world.tick[0] % every == 0:
            frames.append(draw_world(world, 0, size=size, acts=shown, trails=trails))
            shown = np.zeros(agents, np.int64)
    return frames + [draw_world(world, 0, size=size, acts=shown, trails=trails)] * linger
