"""`python -m export avatar data`: prepares a data set and shows what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from export.avatar import data, dicebear_faces, picture_folder
from export.avatar.data import FOLDER, Split
from export.avatar.datasheet import in_words
from export.avatar.pictures import over
from export.run_log import picture_grid, save_picture

SHOWN = 64
"""Pictures of the sample grid."""


@dataclass(frozen=True)
class DataConfig:
    """Draws a built-in data set or reads a folder of pictures into the cache; prints its datasheet and draws a sample."""

    style: str = "pixel-art"
    """Built-in style to draw: pixel-art, voxel-art, toon-head, avataaars, ...; an unknown name lists them all."""
    source: Annotated[tuple[Literal["folder"], Path] | None, tyro.conf.arg(metavar="folder PATH")] = None
    """Read the pictures below PATH instead of drawing a style."""
    licence: str = "unknown"
    """SPDX licence of the pictures in the folder."""
    count: int = 30_000
    """How many pictures to draw; a folder is read whole."""
    size_px: int = 32
    """Height and width of the prepared pictures."""
    pixel_size: int = 1
    """Pictures consist of squares of so many pixels; drawn ones that do not are left out (pixel-art at 32 px: 2)."""
    channels: Literal["auto", "3", "4"] = "auto"
    """auto keeps transparency where there is some; 3 lays the pictures on white; 4 always keeps alpha."""
    seed: int = 1
    """Seed of the drawn pictures."""
    split: Split = "train"
    """held-out draws pictures for measuring, which no training seed draws."""
    minimum: int = picture_folder.MINIMUM
    """Stop with an error when a folder gives fewer pictures."""
    cache: Path = Path("data/avatar")
    """Folder where prepared pictures are kept."""
    out: Path = Path("out/data.png")
    """The sample grid to write: the first 64 pictures, enlarged."""

    def run(self) -> None:
        """Prepares the pictures, prints the datasheet and the files, and writes the sample grid."""
        if self.source is None:
            dicebear_faces.style_of(self.style)
        dataset = data.load(
            self.style if self.source is None else FOLDER,
            "" if self.source is None else str(self.source[1]),
            self.licence,
            size=self.size_px,
            count=self.count,
            seed=self.seed,
            cache=self.cache,
            pixel_size=self.pixel_size,
            channels="auto" if self.channels == "auto" else 4 if self.channels == "4" else 3,
            split=self.split,
            minimum=self.minimum,
        )
        print(in_words(dataset.datasheet))
        sample = over(dataset.images[:SHOWN])
        self.out.parent.mkdir(parents=True, exist_ok=True)
        save_picture(picture_grid(sample, min(8, len(sample))), self.out, enlarge=max(1, 128 // self.size_px))
        print(f"pictures and labels: {dataset.folder}")
        print(f"first {len(sample)} of them: {self.out}")
