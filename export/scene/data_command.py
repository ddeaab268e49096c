"""`python -m export scene data`: prepares worlds and shows what is in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from export.run_log import picture_grid, save_picture
from export.scene import data, heightmap_folder
from export.scene.data import FOLDER, Sources, Split
from export.scene.datasheet import in_words
from export.scene.heightmap_file import Reading
from export.scene.tasks import rendered
from export.scene.tiles import TileSource

SHOWN = 48
"""Tiles of the contact sheet."""


@dataclass(frozen=True)
class DataConfig:
    """Generates the built-in worlds or reads a folder of height maps; prints the datasheet and draws a contact sheet."""

    source: Annotated[tuple[Literal["folder"], Path] | None, tyro.conf.arg(metavar="folder PATH")] = None
    """Read the height maps below PATH (16-bit PNG, RAW16, GeoTIFF) instead of generating worlds."""
    licence: str = "unknown"
    """SPDX licence of the height maps in the folder."""
    reading: Reading = field(default_factory=Reading)
    """How samples of height maps become metres."""
    sources: Sources = field(default_factory=Sources)
    """How many built-in worlds of each kind."""
    seed: int = 1
    """Seed of the built-in worlds."""
    split: Split = "train"
    """held-out gives worlds for measuring, none of whose ground is in train."""
    minimum: int = heightmap_folder.MINIMUM
    """Stop with an error when a folder gives fewer height maps."""
    cache: Path = Path("data/scene")
    """Folder where worlds are kept, each as soon as it is made: a run that is stopped goes on where it was."""
    out: Path = Path("out/scene-data.png")
    """The contact sheet to write: 48 tiles in hillshade, class colours and objects."""

    def run(self) -> None:
        """Prepares the worlds, prints the datasheet and writes the contact sheet."""
        dataset = data.load(
            data.BUILT_IN if self.source is None else FOLDER,
            "" if self.source is None else str(self.source[1]),
            self.licence,
            sources=self.sources,
            seed=self.seed,
            split=self.split,
            cache=self.cache,
            minimum=self.minimum,
            reading=self.reading,
        )
        print(in_words(dataset.datasheet))
        tiles = TileSource(dataset.worlds).draw(SHOWN, self.seed)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        save_picture(picture_grid(rendered(tiles), 8), self.out, enlarge=2)
        print(f"{SHOWN} tiles: {self.out}")
