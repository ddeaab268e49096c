"""A film of the assistant's world from above: one plaza for each kind of request, and what the marks mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from export.npc.render import INK, NPC, USER, WALL, Frame, save_gif
from export.npc.world.draw import CAPTION, DONE, PERSON, draw_world
from export.npc.world.simulation import World
from export.npc.world.spec import DT, TASKS

EVERY, SIZE_PX, LINGER, COLUMNS = 4, 232, 10, 3
MARKS = (
    (USER, "a user, and below what they say"),
    (NPC, "the assistant: sees, hears, feels"),
    (PERSON, "people, who give way to nobody"),
    (DONE, "the ring fills while it serves"),
)


class Film:
    """Pictures of one world of each request, every second by night, until all are done; a plaza that is done stands still."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._plazas: list[_Plaza] = []
        self._legend = _legend()

    def take(self, world: World, bins: npt.NDArray[np.int64]) -> None:
        """See a tick of all worlds and the bins int64[W, 3] that led to it; every few ticks become a picture."""
        if not self._plazas:
            self._plazas = [_Plaza(_first(world, task, night=task % 2 == 1)) for task in range(len(TASKS))]
        if all(plaza.over for plaza in self._plazas):
            return
        for plaza in self._plazas:
            plaza.see(world, int(bins[plaza.index, 2]))
        over = all(plaza.over for plaza in self._plazas)
        if over or world.tick[0] % EVERY == 0:
            self.frames.append(self._page())
        if over:
            self.frames += [self.frames[-1]] * LINGER

    def save(self, path: Path) -> None:
        """Write the film as a GIF, at twice its speed."""
        save_gif(self.frames, path, seconds_each=EVERY * DT)

    def _page(self) -> Frame:
        tiles = [*(plaza.picture for plaza in self._plazas), self._legend]
        rows = [np.concatenate(tiles[start : start + COLUMNS], axis=1) for start in range(0, len(tiles), COLUMNS)]
        return np.concatenate(rows)


def _first(world: World, task: int, *, night: bool) -> int:
    """Return the first world in which a task is asked for by day or by night."""
    return int(np.flatnonzero((world.layout.task[:, 0] == task) & (world.layout.night == night))[0])


class _Plaza:
    """One world of the film: its last picture, the way that its agent came, and what it did since."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.over = False
        self.picture: Frame = np.zeros((SIZE_PX + CAPTION, SIZE_PX, 3), np.uint8)
        self._trail: list[npt.NDArray[np.float64]] = []
        self._act = 0

    def see(self, world: World, act: int) -> None:
        """See a tick, and draw it when it is its turn or the last one."""
        if self.over:
            return
        self._trail.append(world.xz[self.index, 0].copy())
        self._act = act or self._act
        self.over = bool(world.done[self.index, 0]) or world.tick[self.index] >= world.config.ticks
        if self.over or world.tick[self.index] % EVERY == 0:
            self.picture = draw_world(world, self.index, size=SIZE_PX, acts=[self._act], trails=[self._trail])
            self._act = 0


def _legend() -> Frame:
    """Return a tile with what the marks mean."""
    page = Image.new("RGB", (SIZE_PX, SIZE_PX + CAPTION), WALL)
    pen = ImageDraw.Draw(page)
    pen.text((16, 18), "One policy,", INK, ImageFont.load_default(20))
    pen.text((16, 42), "five kinds of requests", INK, ImageFont.load_default(20))
    for line, (colour, meaning) in enumerate(MARKS):
        y = 92 + 30 * line
        pen.ellipse((16, y - 7, 30, y + 7), None if colour == DONE else colour, colour, 3)
        pen.text((40, y), meaning, INK, ImageFont.load_default(12), anchor="lm")
    pen.text((16, SIZE_PX - 14), "one ChooseActions call a tick", INK, ImageFont.load_default(12), anchor="lm")
    return np.asarray(page)
