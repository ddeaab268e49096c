"""What a prior learns from: the codes of tiles with those of their neighbours around them, each tile encoded by itself."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from export.scene.labels import label, painted
from export.scene.reconstruction import encode
from export.scene.tiles import WINDOW, TileSource, neighbourhood
from export.scene.vqvae import VQVAE
from export.scene.world import World

BATCH = 16
DRAWING = ("decoder.", "heads.")
"""How names of a VQ-VAE's weights begin on which its codes do not depend."""


@dataclass(frozen=True)
class CodeWindows:
    """N tiles with their margins: codes uint16 [N, G + 2p, G + 2p], ground uint8 [N, G, G], and the labels of the tiles.

    biome int64 [N], ruggedness and water float32 [N].
    """

    codes: np.ndarray
    painted: np.ndarray
    biome: np.ndarray
    ruggedness: np.ndarray
    water: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)


def cached(folder: Path, model: VQVAE, worlds: list[World], count: int, margin: int, seed: int) -> CodeWindows:
    """`encode_windows` from `<folder>/<hash of model, worlds and what is asked>.npz`, which it writes when missing."""
    digest = hashlib.sha256(f"{count} {margin} {seed}".encode())
    for world in worlds:
        for part in (world.height, world.ground, world.objects):
            digest.update(np.ascontiguousarray(part))
    digest.update(fingerprint(model).encode())
    path = folder / f"{digest.hexdigest()[:32]}.npz"
    if not path.is_file():
        windows = encode_windows(model, worlds, count, margin, seed)
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez_compressed(file, **vars(windows))
        partial.replace(path)
    with np.load(path, allow_pickle=False) as file:
        return CodeWindows(**{name: file[name] for name in file.files})


def encode_windows(model: VQVAE, worlds: list[World], count: int, margin: int, seed: int) -> CodeWindows:
    """Draws `count` windows of 3 x 3 tiles and encodes each tile alone, as the sidecar does with tiles that it is given."""
    source, parts = TileSource(worlds, WINDOW), []
    for number in tqdm(range(-(-count // BATCH)), desc="encoding windows", unit="batch", disable=None):
        parts.append(_encode(model, source, number, margin, seed))
    joined = [np.concatenate([getattr(part, name) for part in parts])[:count] for name in CodeWindows.__dataclass_fields__]
    return CodeWindows(*joined)


def _encode(model: VQVAE, source: TileSource, number: int, margin: int, seed: int) -> CodeWindows:
    tiles = neighbourhood(source.draw(BATCH, seed, number))
    grid = model.config.grid
    codes = encode(model, tiles).reshape(BATCH, 3, 3, grid, grid).transpose(0, 1, 3, 2, 4).reshape(BATCH, 3 * grid, 3 * grid)
    seen = slice(grid - margin, 2 * grid + margin)
    middle = tiles[4::9]
    labels = label(middle)
    ground = painted(middle.ground, model.config.downsampling).astype(np.uint8)
    return CodeWindows(codes[:, seen, seen].astype(np.uint16), ground, labels.biome, labels.ruggedness, labels.water)


def fingerprint(model: VQVAE) -> str:
    """A hash of all weights that codes depend on; a VQ-VAE whose decoder has learnt more gives the same."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if name.startswith(DRAWING):
            continue
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
