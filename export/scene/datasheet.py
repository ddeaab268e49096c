"""What a set of worlds is made of and on which terms, in a form that travels with models trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.scene.classes import BIOMES, GROUND, OBJECTS
from export.scene.labels import label
from export.scene.tiles import side_by_side
from export.scene.world import World


@dataclass(frozen=True)
class Datasheet:
    """The record of a set of worlds, after Gebru et al. 2021 (arXiv:1803.09010) cut down to what can be counted."""

    source: str
    """For people: "pyworldgen and real elevation" or "folder alps"."""
    licence: str
    """SPDX identifier, or what the user gave."""
    attribution: str
    """The line that must go with copies; empty where none is asked for."""
    redistributable: bool
    """Whether the terms are known to let a model trained on the worlds be passed on."""
    split: str
    """"train" or "held-out"."""
    seed: int
    """Seed of the generated worlds; 0 for folders."""
    metres_per_cell: float
    """Side of a cell."""
    worlds: dict[str, int]
    """Worlds of each kind."""
    tiles: int
    """Tiles of 64 x 64 cells that lie beside each other in the worlds; windows at any other place come on top."""
    left_out: int
    """Files that were found but not taken."""
    height: dict[str, float]
    """Lowest, mean and highest metres, and the 1st and 99th percentile."""
    ground: dict[str, float]
    """Share of each ground class."""
    objects: dict[str, float]
    """Share of the cells that each object class covers."""
    biomes: dict[str, float]
    """Share of the tiles side by side that have each biome by rule."""
    conditions: dict[str, list[float]]
    """Of the same tiles' ruggedness and water share the 5th, 50th and 95th percentile."""
    scales: dict[str, list[float]]
    """By how much plan and height of real elevation are reduced."""
    versions: dict[str, str]
    """Packages that the worlds depend on."""

    def to_json(self) -> dict[str, Any]:
        """The datasheet as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Datasheet:
        """Reads what `to_json` gave; raises TypeError for missing or unknown fields."""
        return cls(**values)


def measured(worlds: Sequence[World]) -> dict[str, Any]:
    """The fields of a datasheet that are counted: tiles, height, classes and the labels of tiles."""
    tiles = side_by_side(worlds)
    labels = label(tiles)
    percentiles = {
        "ruggedness": np.percentile(labels.ruggedness, (5, 50, 95)),
        "water": np.percentile(labels.water, (5, 50, 95)),
    }
    biomes = np.bincount(labels.biome, minlength=len(BIOMES)) / len(tiles)
    height = np.concatenate([world.height.ravel() for world in worlds])
    low, high = np.percentile(height, (1, 99))
    facts = {"lowest": height.min(), "p1": low, "mean": height.mean(dtype=np.float64), "p99": high, "highest": height.max()}
    return {
        "tiles": len(tiles),
        "height": {name: round(float(value), 3) for name, value in facts.items()},
        "ground": shares([world.ground for world in worlds], GROUND),
        "objects": shares([world.objects for world in worlds], OBJECTS),
        "biomes": {name: round(float(share), 5) for name, share in zip(BIOMES, biomes, strict=True)},
        "conditions": {name: [round(float(value), 4) for value in values] for name, values in percentiles.items()},
    }


def shares(maps: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, float]:
    """The share of the cells of all maps that each class has."""
    counts = sum(np.bincount(part.ravel(), minlength=len(names)) for part in maps)
    return {name: round(float(count / counts.sum()), 5) for name, count in zip(names, counts, strict=True)}


def in_words(sheet: Datasheet) -> str:
    """The datasheet as text for a terminal: one line a fact."""
    facts = {
        "source": sheet.source,
        "licence": sheet.licence,
        "attribution": sheet.attribution or ("none required" if sheet.redistributable else "unknown"),
        "models may be passed on": "yes" if sheet.redistributable else "not known to be allowed",
        "worlds": ", ".join(f"{count} {kind}" for kind, count in sheet.worlds.items()) + f" ({sheet.split}, seed {sheet.seed})",
        "tiles": f"{sheet.tiles} side by side, {sheet.left_out} files left out",
        "metres per cell": f"{sheet.metres_per_cell:g}",
        "height in metres": ", ".join(f"{name} {value:g}" for name, value in sheet.height.items()),
        "ground": ", ".join(f"{name} {value:.1%}" for name, value in sheet.ground.items()),
        "objects": ", ".join(f"{name} {value:.1%}" for name, value in sheet.objects.items()),
        "biomes of tiles": ", ".join(f"{name} {value:.1%}" for name, value in sheet.biomes.items()),
        "packages": ", ".join(f"{name} {version}" for name, version in sheet.versions.items()),
    }
    return "\n".join(f"{name:<24}{text}" for name, text in facts.items())
