"""Worlds on disk, one file each: made once, written whole or not at all, made again when damaged; so work can stop any time."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from export.scene.world import World

FORMAT = 1


def key_of(name: str, facts: dict[str, Any]) -> str:
    """Name of a cache folder: readable, and different as soon as one fact differs."""
    text = json.dumps(facts | {"format": FORMAT}, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def cached(path: Path, make: Callable[[], World]) -> World:
    """Returns the world of a file; makes and writes it where it is missing or damaged."""
    if path.exists():
        try:
            return read(path)
        except ValueError as error:
            tqdm.write(f"making a world again: {error}")
    world = make()
    write(path, world)
    return world


def write(path: Path, world: World) -> None:
    """Writes a world beside its place and renames it into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, name=world.name, height=world.height, ground=world.ground, objects=world.objects)
    partial.replace(path)


def read(path: Path) -> World:
    """Reads a world; raises ValueError when the file is cut short, changed (zip's own checksums) or not a world."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return World(str(file["name"]), file["height"], file["ground"], file["objects"])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f'"{path}" is not a readable world: {error}') from error
