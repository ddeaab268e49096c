"""Data sets of the avatar family: rendered once or read from a folder, then cached under `data/avatar/`."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from export.avatar import dicebear_faces, picture_folder
from export.avatar.datasheet import Datasheet, shares
from export.avatar.picture_cache import Prepared, cached, key_of
from export.avatar.pictures import over

Split = Literal["train", "held-out"]
Channels = Literal["auto", 3, 4]
FOLDER = "folder"
WORST_YIELD = 0.02
"""Drawing stops with an error when fewer of the drawn pictures than this share lie on the asked pixel grid."""


@dataclass(frozen=True)
class Dataset:
    """Pictures uint8 [N, C, S, S] (C = 4: RGBA, colours multiplied by alpha), one dict of labels each, and their record.

    labels are empty for folders.
    """

    images: np.ndarray
    labels: list[dict[str, str]]
    datasheet: Datasheet
    left_out: list[tuple[str, str]]
    """Files or seeds that were not taken, with the reason."""
    folder: Path
    """Where the prepared pictures are kept: `images.npy` (always RGBA) and `record.json`."""

    @property
    def name(self) -> str:
        """The source as model cards name it."""
        return self.datasheet.source

    @property
    def licence(self) -> str:
        """SPDX identifier of the licence."""
        return self.datasheet.licence


def load(
    source: str,
    path: str = "",
    licence: str = "unknown",
    *,
    size: int,
    count: int = 0,
    seed: int = 1,
    cache: Path,
    pixel_size: int = 1,
    channels: Channels = "auto",
    split: Split = "train",
    minimum: int = picture_folder.MINIMUM,
) -> Dataset:
    """Returns the data set of a source at a picture size, from the cache where it has been made before.

    source is a built-in DiceBear style ("pixel-art") or "folder", which reads the pictures below `path`.
    Equal arguments give equal pictures; a larger count begins with the same ones. "held-out" draws other seeds than
    "train" does for any seed (two seeds may still give the same face: 5 of 2,000 held-out toon heads are among 8,000
    of "train", of pixel-art none); folders have no such part. channels "auto" gives RGBA where a picture has
    transparency; 3 lays the pictures on white. pixel_size P gives pictures that consist of P x P squares: drawn
    pictures that do not are left out, those of a folder are reduced to size / P cells.
    Raises ValueError when the source cannot give the pictures that were asked for, and says why.
    """
    if size < 1 or pixel_size < 1 or size % pixel_size:
        raise ValueError(f"size is {size} and pixel_size {pixel_size}; both must be above 0 and size a multiple of pixel_size")
    if source == FOLDER:
        if split != "train":
            raise ValueError("a folder has no held-out pictures; keep some in a second folder and load that")
        if not path:
            raise ValueError('the source is "folder", but no folder is named; give it as --path')
        return _load_folder(
            Path(path), licence, size=size, cache=cache, pixel_size=pixel_size, channels=channels, minimum=minimum
        )
    return _load_style(
        source, size=size, count=count, seed=seed, cache=cache, pixel_size=pixel_size, channels=channels, split=split
    )


def some_of(dataset: Dataset, count: int, seed: int) -> Dataset:
    """`count` pictures of a data set chosen by a seed, in their order; all of them for 0.

    Raises ValueError when there are fewer.
    """
    if not count:
        return dataset
    if count > len(dataset.images):
        raise ValueError(f"{dataset.name} has {len(dataset.images)} pictures, not {count}; take fewer, or 0 for all")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(dataset.images))[:count])
    labels = [dataset.labels[index] for index in chosen] if dataset.labels else []
    sheet = dataclasses.replace(dataset.datasheet, count=count)
    return dataclasses.replace(dataset, images=dataset.images[chosen], labels=labels, datasheet=sheet)


def describe(source: str, path: str, licence: str) -> tuple[str, str]:
    """Name and SPDX licence of a data set, as model cards give them."""
    if source == FOLDER:
        return f"folder {Path(path).name}", licence
    return f"DiceBear {source}", dicebear_faces.style_of(source).spdx


def uniform(image: np.ndarray, pixel_size: int) -> bool:
    """Whether a picture [C, H, W] consists of squares of pixel_size x pixel_size equal pixels."""
    return np.array_equal(
        image, np.kron(image[:, ::pixel_size, ::pixel_size], np.ones((1, pixel_size, pixel_size), image.dtype))
    )


def _load_style(
    name: str, size: int, count: int, seed: int, cache: Path, pixel_size: int, channels: Channels, split: Split
) -> Dataset:
    style = dicebear_faces.style_of(name)
    if count < 1:
        raise ValueError(f"count is {count}; give how many pictures to draw")
    facts = {"size": size, "count": count, "seed": seed, "split": split, "pixel_size": pixel_size, "style": name}
    facts |= {"renderer": dicebear_faces.RENDERER} | dicebear_faces.versions()
    folder = cache / key_of(f"{name}-{size}px-{count}-seed{seed}", facts)
    prepared = cached(
        folder, lambda: _draw(name, size, count, f"{split}-{seed}" if split != "train" else f"{seed}", pixel_size)
    )
    images = _with_channels(prepared.images, channels)
    datasheet = Datasheet(
        source=f"DiceBear {name}",
        style=name,
        licence=style.spdx,
        licence_url=style.licence_url,
        attribution=style.attribution,
        redistributable=style.redistributable,
        count=len(images),
        left_out=len(prepared.left_out),
        image_size=size,
        channels=images.shape[1],
        pixel_size=pixel_size,
        seed=seed,
        split=split,
        versions=dicebear_faces.versions(),
        attributes=shares(prepared.labels),
    )
    return Dataset(images, prepared.labels, datasheet, prepared.left_out, folder)


def _draw(name: str, size: int, count: int, prefix: str, pixel_size: int) -> Prepared:
    """Draws faces seed by seed until `count` of them lie on the pixel grid."""
    images = np.empty((count, 4, size, size), np.uint8)
    labels: list[dict[str, str]] = []
    left_out: list[tuple[str, str]] = []
    seeds = (f"{prefix}-{index}" for index in itertools.count())
    with tqdm(total=count, desc=f"drawing {name}", unit="face") as bar:
        for index, (image, label) in enumerate(dicebear_faces.faces(name, seeds, size)):
            if uniform(image, pixel_size):
                images[len(labels)] = image
                labels.append(label)
                bar.update()
            else:
                left_out.append((f"{prefix}-{index}", f"not made of squares of {pixel_size} x {pixel_size} pixels"))
            if len(labels) == count:
                return Prepared(images, labels, left_out)
            if index >= 200 and len(labels) < WORST_YIELD * index:
                raise ValueError(
                    f"{len(labels)} of {index + 1} {name} pictures at {size} px are made of squares of {pixel_size} x "
                    f"{pixel_size} pixels; use a smaller pixel_size or another size, or save pictures of the style in a "
                    f"folder and give that: its pictures are reduced to such squares"
                )
    raise AssertionError("the seeds are endless")


def _load_folder(
    path: Path, licence: str, size: int, cache: Path, pixel_size: int, channels: Channels, minimum: int
) -> Dataset:
    files, refused = picture_folder.find(path)
    facts = {"size": size, "pixel_size": pixel_size, "reader": picture_folder.READER, "pillow": version("pillow")}
    facts |= {"files": picture_folder.fingerprint(files), "refused": refused}
    folder = cache / key_of(f"folder-{path.name}-{size}px", facts)
    prepared = cached(folder, lambda: picture_folder.read_all(path, files, refused, size, pixel_size))
    tqdm.write(picture_folder.summary(len(prepared.images), prepared.left_out))
    count = len(prepared.images)
    advice = "add pictures" + (f"; `data`, `pretrain`, `train` and `adapt` take so few with --minimum {count}" if count else "")
    picture_folder.check_minimum(path, count, prepared.left_out, minimum, advice=advice)
    images = _with_channels(prepared.images, channels)
    datasheet = Datasheet(
        source=f"folder {path.resolve().name}",
        style="",
        licence=licence,
        licence_url="",
        attribution="",
        redistributable=False,
        count=len(images),
        left_out=len(prepared.left_out),
        image_size=size,
        channels=images.shape[1],
        pixel_size=pixel_size,
        seed=0,
        split="train",
        versions={"pillow": version("pillow")},
        attributes={},
    )
    return Dataset(images, prepared.labels, datasheet, prepared.left_out, folder)


def _with_channels(images: np.ndarray, channels: Channels) -> np.ndarray:
    """Takes RGBA pictures to the number of channels asked for."""
    if channels not in ("auto", 3, 4):
        raise ValueError(f'channels is {channels!r}; it must be "auto", 3 or 4')
    opaque = channels != 4 and bool((images[:, 3] == 255).all())
    if opaque:
        return np.ascontiguousarray(images[:, :3])
    if channels != 3:
        return images
    return np.concatenate([over(images[start : start + 1024], (255, 255, 255)) for start in range(0, len(images), 1024)])
