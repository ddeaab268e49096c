"""One height map: 16-bit PNG, RAW16 or (Geo)TIFF to heights in metres on vertices METRES apart, with optional class masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import gaussian_filter, map_coordinates

from bridge.scene_rules import ground_classes
from export.scene.classes import CELLS, GROUND, METRES_PER_CELL, NOTHING, OBJECTS
from export.scene.world import World

RAW, PNG, TIFF = (".raw", ".r16"), (".png",), (".tif", ".tiff")
LOWEST, HIGHEST = -12_000.0, 9_000.0
"""No ground on Earth is lower or higher; what is has the wrong unit or an undeclared no-data value."""
MAX_SAMPLES = 1 << 26
METRES_PER_DEGREE = 111_320.0
PIXEL_SCALE, TIE_POINT, GEO_KEYS, NO_DATA = 33550, 33922, 34735, 42113
MODEL_TYPE, GEOGRAPHIC = 1024, 2


@dataclass(frozen=True)
class Reading:
    """How samples become metres where the file does not say: PNG and RAW16 never do, GeoTIFF mostly does."""

    metres_per_sample: float = METRES_PER_CELL
    """Metres between two samples of a height map that does not tell."""
    low: float = 0.0
    """Metres that a 16-bit sample of 0 stands for."""
    high: float = 64.0
    """Metres that a 16-bit sample of 65,535 stands for."""
    reduce: float = 1.0
    """Divide plan and height by this: 20 makes a model 1 : 20, which keeps the slopes."""

    def __post_init__(self) -> None:
        if not (self.metres_per_sample > 0 and self.reduce > 0 and self.low < self.high):
            raise ValueError(
                f"metres_per_sample is {self.metres_per_sample}, reduce {self.reduce}, low {self.low} and high {self.high}; "
                "the first two must be above 0 and low below high"
            )


def read(path: Path, reading: Reading) -> World:
    """Reads a height map and, where they are beside it, `<name>.ground.png` and `<name>.objects.png` with class numbers.

    Without a ground mask classes are derived by `bridge.scene_rules`; without an object mask there are none. Raises ValueError
    with the reason when a file cannot be used.
    """
    samples, metres = _samples(path, reading)
    if min(samples.shape) < 2 or samples.size > MAX_SAMPLES:
        raise ValueError(f"{samples.shape[0]} x {samples.shape[1]} samples; 2 x 2 to {MAX_SAMPLES:,} in all are read")
    if not np.isfinite(samples).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(samples)):,} heights are missing or not finite; fill the holes first")
    if samples.min() < LOWEST or samples.max() > HIGHEST:
        raise ValueError(f"heights from {samples.min():g} to {samples.max():g} metres; expected {LOWEST:g} to {HIGHEST:g}")
    step = METRES_PER_CELL * reading.reduce / metres
    height = (resample(samples, step) / reading.reduce).astype(np.float32)
    if min(height.shape) < CELLS + 1:
        raise ValueError(
            f"covers {height.shape[0]} x {height.shape[1]} vertices {METRES_PER_CELL:g} m apart; a tile needs "
            f"{CELLS + 1} x {CELLS + 1}"
        )
    ground = _mask(path, "ground", GROUND, samples.shape, height.shape)
    objects = _mask(path, "objects", OBJECTS, samples.shape, height.shape)
    cells = (height.shape[0] - 1, height.shape[1] - 1)
    return World(
        path.name,
        height,
        ground_classes(height, METRES_PER_CELL, GROUND) if ground is None else ground,
        np.full(cells, NOTHING, np.uint8) if objects is None else objects,
    )


def resample(samples: np.ndarray, step: float) -> np.ndarray:
    """Samples [H, W] read every `step` samples by cubic interpolation; smoothed first where that leaves some out."""
    counts = [int((size - 1) / step + 1e-6) + 1 for size in samples.shape]
    if math.isclose(step, 1.0, rel_tol=1e-6):
        return samples
    smooth = gaussian_filter(samples.astype(np.float64), 0.4 * step, mode="nearest") if step > 1.0 else samples
    at = np.meshgrid(*(np.arange(count) * step for count in counts), indexing="ij")
    return map_coordinates(smooth, at, order=3, mode="nearest")


def _samples(path: Path, reading: Reading) -> tuple[np.ndarray, float]:
    """Heights in metres [H, W] and the metres between samples."""
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    suffix = path.suffix.lower()
    if suffix in TIFF:
        return _tiff(path, reading)
    raw = _raw16(path) if suffix in RAW else _png16(path)
    return reading.low + raw.astype(np.float64) * ((reading.high - reading.low) / 65535.0), reading.metres_per_sample


def _raw16(path: Path) -> np.ndarray:
    size = path.stat().st_size
    side = math.isqrt(size // 2)
    if size % 2 or side * side * 2 != size:
        raise ValueError(f"{size} bytes are not a square of 16-bit samples")
    return np.fromfile(path, "<u2").reshape(side, side)


def _png16(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if not picture.mode.startswith("I;16"):
                raise ValueError(f"a PNG of mode {picture.mode}; height maps are 16-bit grey, 8 bits would give steps")
            return np.asarray(picture).astype(np.uint16)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"not a readable PNG: {error}") from None


def _tiff(path: Path, reading: Reading) -> tuple[np.ndarray, float]:
    try:
        with tifffile.TiffFile(path) as file:
            if not len(file.pages):
                raise ValueError("it holds no picture")
            page = file.pages[0]
            values, tags = np.asarray(page.asarray()), {tag.code: tag.value for tag in page.tags}
    except Exception as error:  # a damaged TIFF raises a dozen kinds of exceptions
        raise ValueError(f"not a readable TIFF: {error}") from None
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise ValueError(f"a TIFF of {values.dtype} {list(values.shape)}; expected one channel of numbers")
    heights = values.astype(np.float64)
    if NO_DATA in tags:
        heights[heights == float(str(tags[NO_DATA]).strip("\0 "))] = np.nan
    return heights, _pixel_metres(tags) or reading.metres_per_sample


def _pixel_metres(tags: dict[int, object]) -> float:
    """Metres between samples by the GeoTIFF tags (OGC 19-008r4), 0 where there are none; degrees are converted."""
    scale = tags.get(PIXEL_SCALE)
    if not isinstance(scale, tuple) or not scale[1] > 0:
        return 0.0
    keys = tags.get(GEO_KEYS)
    numbers = tuple(keys) if isinstance(keys, tuple) else ()
    kinds = {numbers[at]: numbers[at + 3] for at in range(4, len(numbers) - 3, 4)}
    return float(scale[1]) * (METRES_PER_DEGREE if kinds.get(MODEL_TYPE) == GEOGRAPHIC else 1.0)


def _mask(
    path: Path, kind: str, names: tuple[str, ...], samples: tuple[int, ...], vertices: tuple[int, ...]
) -> np.ndarray | None:
    """A class mask as uint8 cells, by the nearest pixel; None where the file has none."""
    mask_path = path.with_name(f"{path.stem}.{kind}.png")
    if not mask_path.is_file():
        return None
    try:
        with Image.open(mask_path, formats=("PNG",)) as picture:
            if picture.mode not in ("L", "P"):
                raise ValueError(f"{mask_path.name} has mode {picture.mode}; expected 8-bit grey or palette with class numbers")
            mask = np.asarray(picture).astype(np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{mask_path.name} is not a readable PNG: {error}") from None
    if mask.shape not in (samples, (samples[0] - 1, samples[1] - 1)):
        raise ValueError(f"{mask_path.name} has {mask.shape} pixels, the heights {samples}; expected the same, or one less")
    if mask.max() >= len(names):
        raise ValueError(f"{mask_path.name} has class {mask.max()}; known are 0 to {len(names) - 1}: {', '.join(names)}")
    rows, columns = (
        np.minimum(((np.arange(count - 1) + 0.5) / (count - 1) * size).astype(int), size - 1)
        for count, size in zip(vertices, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
