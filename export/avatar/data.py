"""Data sets of the avatar family: rendered once or read from a folder, then cached under `data/avatar/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from export.avatar import dicebear_faces

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


@dataclass(frozen=True)
class Dataset:
    """Pictures uint8 [N, 3, S, S], one dict of labels a picture (empty for folders), and where they come from."""

    images: np.ndarray
    labels: list[dict[str, str]]
    name: str
    licence: str


def load(source: str, path: str, licence: str, *, size: int, count: int, seed: int, cache: Path) -> Dataset:
    """Returns the data set of a source at a picture size, from the cache where it has been made before.

    source is a DiceBear style ("pixel-art") or "folder", which reads the pictures below `path`.
    """
    if source == "folder":
        return load_folder(Path(path), licence, size=size, cache=cache)
    return load_dicebear(source, size=size, count=count, seed=seed, cache=cache)


def describe(source: str, path: str, licence: str) -> tuple[str, str]:
    """Name and SPDX licence of a data set, as model cards give them."""
    if source == "folder":
        return f"folder {Path(path).name}", licence
    return f"DiceBear {source}", dicebear_faces.licence_of(source)


def load_dicebear(style_name: str, *, size: int, count: int, seed: int, cache: Path) -> Dataset:
    """Draws `count` faces; equal arguments give equal pictures and labels."""
    name, licence = describe(style_name, "", "")

    def draw_all() -> tuple[np.ndarray, list[dict[str, str]]]:
        style = dicebear_faces.load_style(style_name)
        images = np.empty((count, 3, size, size), np.uint8)
        labels = []
        for index in tqdm(range(count), desc=f"drawing {style_name}", unit="face"):
            images[index], label = dicebear_faces.draw(style, f"{seed}-{index}", size)
            labels.append(label)
        return images, labels

    images, labels = cached(cache / f"{style_name}-{size}px-{count}-seed{seed}", draw_all)
    return Dataset(images, labels, name, licence)


def load_folder(folder: Path, licence: str, *, size: int, cache: Path) -> Dataset:
    """Reads every picture below a folder, centre-cropped and resized; files that do not open are named and skipped.

    Raises ValueError when the folder holds no readable picture.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise ValueError(f'"{folder}" holds no picture; expected a folder with files ending in {", ".join(SUFFIXES)}')

    def read_all() -> tuple[np.ndarray, list[dict[str, str]]]:
        images = list(_read_pictures(paths, size))
        if not images:
            raise ValueError(f'none of the {len(paths)} files below "{folder}" could be read as a picture')
        return np.stack(images), [{} for _ in images]

    images, labels = cached(cache / f"folder-{size}px-{_fingerprint(paths)}", read_all)
    return Dataset(images, labels, *describe("folder", str(folder), licence))


def cached(stem: Path, make: Callable[[], tuple[np.ndarray, list[dict[str, str]]]]) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Returns what `stem`.npy and `stem`.json hold; makes and writes both first where they are missing."""
    array_path, label_path = stem.with_name(stem.name + ".npy"), stem.with_name(stem.name + ".json")
    if not (array_path.exists() and label_path.exists()):
        images, labels = make()
        stem.parent.mkdir(parents=True, exist_ok=True)
        temporary = stem.with_name(stem.name + ".partial.npy")
        label_path.write_text(json.dumps(labels), "utf-8")
        np.save(temporary, images)
        temporary.replace(array_path)
    return np.load(array_path), json.loads(label_path.read_text("utf-8"))


def centre_crop(picture: Image.Image, size: int) -> np.ndarray:
    """Cuts the middle square out of a picture and resizes it: uint8 [3, size, size]; transparent parts become white."""
    rgba = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    side = min(flat.size)
    left, top = (flat.width - side) // 2, (flat.height - side) // 2
    square = flat.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(square).transpose(2, 0, 1)


def _read_pictures(paths: list[Path], size: int) -> Iterator[np.ndarray]:
    for path in tqdm(paths, desc="reading pictures", unit="file"):
        try:
            with Image.open(path) as picture:
                yield centre_crop(picture, size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            tqdm.write(f"skipped {path}: {error}")


def _fingerprint(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
