"""Data sets of the scene family: worlds that are generated once or read from a folder, cached under `data/scene/`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from export.scene import forests, generated, heightmap_folder, real_elevation, world_cache
from export.scene.classes import METRES_PER_CELL
from export.scene.datasheet import Datasheet, measured
from export.scene.heightmap_file import Reading
from export.scene.world import World

Split = Literal["train", "held-out"]
BUILT_IN, FOLDER = "built-in", "folder"
LICENCE = "MIT AND LicenseRef-matplotlib"
ATTRIBUTION = "Worlds by pyworldgen (MIT, Mikhail Kuznetsov); elevation from matplotlib's sample data (matplotlib licence)"
PACKAGES = ("pyworldgen", "matplotlib", "scipy", "numpy")
HELD_OUT_PART = 6
"""There is one held-out world for so many training worlds."""
GENERATOR = 1
"""Raised when the rules change, so that cached worlds are made again."""


@dataclass(frozen=True)
class Dataset:
    """Worlds of one split and their record."""

    worlds: list[World]
    datasheet: Datasheet
    left_out: list[tuple[str, str]]
    """Files that were not taken, with the reason."""


@dataclass(frozen=True)
class Sources:
    """What to generate: worlds of each kind for training; held-out ones are a sixth of them, from other seeds."""

    composites: int = 300
    """pyworldgen composites (biomes blended, roads, forests); each takes three to ten seconds to make."""
    landscapes: int = 120
    """pyworldgen river landscapes."""
    real: bool = True
    """Add the reduced real elevation."""


def load(
    source: str = BUILT_IN,
    path: str = "",
    licence: str = "unknown",
    *,
    sources: Sources | None = None,
    seed: int = 1,
    split: Split = "train",
    cache: Path = Path("data/scene"),
    minimum: int = heightmap_folder.MINIMUM,
    reading: Reading | None = None,
) -> Dataset:
    """Returns the worlds of a split, from the cache where they have been made before.

    source is "built-in" or "folder", which reads the height maps below `path`. Equal arguments give equal worlds; with
    larger counts the same ones come first. Training and held-out ground is never the same: generated worlds come from
    other seeds, real elevation is split by longitude, and files of a folder are split by name. Raises ValueError when the
    source cannot give what was asked for, and says why.
    """
    if source == FOLDER:
        return _load_folder(Path(path), licence, split, minimum, reading or Reading())
    if source != BUILT_IN:
        raise ValueError(f'source is "{source}"; it must be "{BUILT_IN}" or "{FOLDER}"')
    return _load_built_in(sources or Sources(), seed, split, cache)


def _load_built_in(sources: Sources, seed: int, split: Split, cache: Path) -> Dataset:
    versions = {name: version(name) for name in PACKAGES}
    facts = {"seed": seed, "cells": generated.CELLS, "rules": GENERATOR, "trees": forests.TREES} | versions
    folder = cache / world_cache.key_of(f"worlds-seed{seed}", facts) / split
    worlds = _generate(sources, seed, split, folder)
    everything = [world for kind in worlds.values() for world in kind]
    if not everything:
        raise ValueError("no worlds were asked for: give composites, landscapes or real elevation")
    sheet = Datasheet(
        source="pyworldgen worlds" + (" and real elevation" if sources.real else ""),
        licence=LICENCE if sources.real else "MIT",
        attribution=ATTRIBUTION,
        redistributable=True,
        split=split,
        seed=seed,
        metres_per_cell=METRES_PER_CELL,
        worlds={kind: len(part) for kind, part in worlds.items() if part},
        left_out=0,
        scales={name: [part.plan_scale, part.height_scale] for name, part in real_elevation.SURVEYS.items() if sources.real},
        versions=versions,
        **measured(everything),
    )
    return Dataset(everything, sheet, [])


def _generate(sources: Sources, seed: int, split: Split, folder: Path) -> dict[str, list[World]]:
    """The worlds of each kind, made where the folder does not have them yet."""
    worlds: dict[str, list[World]] = {}
    for kind, count in (("composite", sources.composites), ("landscape", sources.landscapes)):
        wanted = count if split == "train" else -(-count // HELD_OUT_PART)
        worlds[kind] = [
            world_cache.cached(
                folder / f"{kind}-{number:05d}.npz",
                partial(generated.generate, kind, split, seed, number, generated.CELLS),
            )
            for number in tqdm(range(wanted), desc=f"{split} {kind}s", unit="world", disable=not wanted)
        ]
    if sources.real:
        worlds["real"] = [
            world_cache.cached(folder / survey.file_name(name), partial(real_elevation.generate, name, split, seed))
            for name, survey in real_elevation.SURVEYS.items()
            if split == "train" or survey.held_out
        ]
    return worlds


def _load_folder(path: Path, licence: str, split: Split, minimum: int, reading: Reading) -> Dataset:
    folder = heightmap_folder.read_all(path, reading)
    tqdm.write(heightmap_folder.summary(len(folder.worlds), folder.left_out))
    heightmap_folder.check_minimum(path, len(folder.worlds), folder.left_out, minimum)
    worlds = heightmap_folder.split_of(folder.worlds, split)
    sheet = Datasheet(
        source=f"folder {path.resolve().name}",
        licence=licence,
        attribution="",
        redistributable=False,
        split=split,
        seed=0,
        metres_per_cell=METRES_PER_CELL,
        worlds={"file": len(worlds)},
        left_out=len(folder.left_out),
        scales={"files": [reading.reduce, reading.reduce]},
        versions={"tifffile": version("tifffile"), "pillow": version("pillow")},
        **measured(worlds),
    )
    return Dataset(worlds, sheet, folder.left_out)
