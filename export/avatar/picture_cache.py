"""Prepared pictures on disk: made once, written whole or not at all, and made again when damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

FORMAT = 1


@dataclass(frozen=True)
class Prepared:
    """Premultiplied pictures uint8 [N, 4, S, S], their labels, and which pictures were left out and why."""

    images: np.ndarray
    labels: list[dict[str, str]]
    left_out: list[tuple[str, str]] = field(default_factory=list)


class DamagedCache(Exception):
    """A cache folder does not hold what its record says."""


def key_of(name: str, facts: dict[str, Any]) -> str:
    """Name of a cache folder: readable, and different as soon as one fact differs."""
    text = json.dumps(facts | {"format": FORMAT}, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def cached(folder: Path, make: Callable[[], Prepared]) -> Prepared:
    """Returns what a cache folder holds; makes and writes it where it is missing or damaged."""
    if folder.exists():
        try:
            return read(folder)
        except DamagedCache as error:
            tqdm.write(f"making the pictures again: {error}")
            shutil.rmtree(folder, ignore_errors=True)
    prepared = make()
    write(folder, prepared)
    return prepared


def write(folder: Path, prepared: Prepared) -> None:
    """Writes a cache folder beside its place and renames it into it."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        np.save(partial / "images.npy", prepared.images)
        record = asdict(prepared) | {"images": _checksum(prepared.images)}
        (partial / "record.json").write_text(json.dumps(record), "utf-8")
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(folder: Path) -> Prepared:
    """Reads a cache folder; raises DamagedCache when a file is missing, cut short or changed."""
    try:
        record = json.loads((folder / "record.json").read_text("utf-8"))
        images = np.load(folder / "images.npy", allow_pickle=False)
        prepared = Prepared(images, record["labels"], [(name, reason) for name, reason in record["left_out"]])
        checksum = record["images"]
    except (OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError) as error:
        raise DamagedCache(f'"{folder}" cannot be read: {error}') from error
    if len(images) != len(prepared.labels) or checksum != _checksum(images):
        raise DamagedCache(f'"{folder}" does not hold the pictures that its record.json describes')
    return prepared


def _checksum(images: np.ndarray) -> str:
    return f"{images.dtype}{list(images.shape)}:{zlib.crc32(np.ascontiguousarray(images).data):08x}"
