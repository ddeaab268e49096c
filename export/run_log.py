"""What a run leaves behind to look at: TensorBoard scalars, sample grids and its configuration as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """Writes into one run folder; a run resumed at a step hides the curve points that an earlier session put after it."""

    def __init__(self, folder: Path, *, resumed_at: int | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(folder), purge_step=None if resumed_at is None else resumed_at + 1)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Adds one point to each named curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def pictures(self, name: str, images: np.ndarray, step: int, *, columns: int, enlarge: int = 1) -> Path:
        """Saves pictures uint8 [N, 3 or 4, H, W] as one grid, in TensorBoard and as `<name>-<step>.png`."""
        grid = picture_grid(images, columns)
        self._writer.add_image(name, grid, step, dataformats="HWC")
        path = self.folder / f"{name}-{step:09d}.png"
        save_picture(grid, path, enlarge=enlarge)
        return path


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes `config.json` of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def picture_grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Lays pictures uint8 [N, C, H, W] out row by row: uint8 [rows * H, columns * W, C].

    Free cells are white, or transparent where pictures have alpha (C = 4).
    """
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, channels, height, width), 0 if channels == 4 else 255, np.uint8)
    cells[:count] = images
    grid = cells.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(grid.reshape(rows * height, columns * width, channels))


def save_picture(picture: np.ndarray, path: Path, *, enlarge: int = 1) -> None:
    """Saves RGB or straight RGBA uint8 [H, W, 3 or 4] as a file, each pixel as a square of `enlarge` pixels."""
    image = Image.fromarray(picture)
    image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST).save(path)


def write_film(folder: Path, name: str, path: Path, *, frames: int = 60, width: int = 512) -> Path | None:
    """Makes a GIF of a run's grids `<name>-<step>.png`, in their order; returns its path, or None where there are none.

    Of more than `frames` grids it takes the first, the last and evenly spread ones between; grids wider than `width`
    pixels are reduced. Transparent pictures are laid on a pale blue. The last frame stays for two seconds.
    """
    grids = sorted(folder.glob(f"{name}-*.png"))
    if not grids:
        return None
    chosen = [grids[index] for index in np.unique(np.linspace(0, len(grids) - 1, min(frames, len(grids))).round().astype(int))]
    pictures = [_frame(grid, width) for grid in chosen]
    # One palette for all frames keeps colours from flickering.
    small = [np.asarray(picture.resize((64, 64), Image.Resampling.NEAREST)) for picture in pictures]
    palette = Image.fromarray(np.concatenate(small)).quantize(256)
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    times = [125] * len(others) + [2000]
    temporary = path.with_suffix(".partial.gif")
    first.save(temporary, save_all=True, append_images=others, duration=times, loop=0, optimize=False)
    temporary.replace(path)
    return path


def _frame(path: Path, width: int) -> Image.Image:
    with Image.open(path) as grid:
        ground = Image.new("RGBA", grid.size, (190, 205, 220, 255))
        picture = Image.alpha_composite(ground, grid.convert("RGBA")).convert("RGB")
    factor = -(-picture.width // width)
    return picture.reduce(factor) if factor > 1 else picture
