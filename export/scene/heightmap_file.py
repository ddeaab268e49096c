"""One height map: 16-bit PNG, RAW16 or (Geo)TIFF to heights in metres on vertices METRES apart, with optional class masks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from bridge.scene_rules import ground_classes
from export.scene import geotiff
from export.scene.classes import CELLS, GROUND, METRES_PER_CELL, NOTHING, OBJECTS
from export.scene.world import World

RAW, PNG, TIFF = (".raw", ".r16"), (".png",), (".tif", ".tiff")
LOWEST, HIGHEST = -12_000.0, 9_000.0
"""No ground on Earth is lower or higher; what is has the wrong unit or an undeclared no-data value."""
MAX_SAMPLES = 1 << 26
"""Most samples of a file, and most vertices that are made of them."""


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
        finite = all(map(math.isfinite, (self.metres_per_sample, self.low, self.high, self.reduce)))
        if not (finite and self.metres_per_sample > 0 and self.reduce > 0 and self.low < self.high):
            raise ValueError(
                f"metres_per_sample is {self.metres_per_sample}, reduce {self.reduce}, low {self.low} and high {self.high}; "
                "the first two must be above 0 and low below high, all of them finite"
            )


def read(path: Path, reading: Reading) -> World:
    """Reads a height map and, where they are beside it, `<name>.ground.png` and `<name>.objects.png` with class numbers.

    Without a ground mask classes are derived by `bridge.scene_rules`; without an object mask there are none. Raises ValueError
    with the reason when a file cannot be used.
    """
    samples, metres = _samples(path, reading)
    if not np.isfinite(samples).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(samples)):,} heights are missing or not finite; fill the holes first")
    if samples.min() < LOWEST or samples.max() > HIGHEST:
        raise ValueError(f"heights from {samples.min():g} to {samples.max():g} metres; expected {LOWEST:g} to {HIGHEST:g}")
    _check_vertices(samples.shape, metres, reading.reduce)
    steps = tuple(METRES_PER_CELL * reading.reduce / apart for apart in metres)
    height = (resample(samples, steps) / reading.reduce).astype(np.float32)
    ground = _mask(path, "ground", GROUND, samples.shape, height.shape)
    objects = _mask(path, "objects", OBJECTS, samples.shape, height.shape)
    cells = (height.shape[0] - 1, height.shape[1] - 1)
    return World(
        path.name,
        height,
        ground_classes(height, METRES_PER_CELL, GROUND) if ground is None else ground,
        np.full(cells, NOTHING, np.uint8) if objects is None else objects,
    )


def resample(samples: np.ndarray, steps: tuple[float, ...]) -> np.ndarray:
    """Samples [H, W] read every so many rows and columns by cubic interpolation; smoothed first where that skips some."""
    if all(math.isclose(step, 1.0, rel_tol=1e-6) for step in steps):
        return samples
    sigmas = [0.4 * step if step > 1.0 else 0.0 for step in steps]
    smooth = gaussian_filter(samples.astype(np.float64), sigmas, mode="nearest") if any(sigmas) else samples
    counts = [int((size - 1) / step + 1e-6) + 1 for size, step in zip(samples.shape, steps, strict=True)]
    at = np.meshgrid(*(np.arange(count) * step for count, step in zip(counts, steps, strict=True)), indexing="ij")
    return map_coordinates(smooth, at, order=3, mode="nearest")


def _check_samples(rows: int, columns: int) -> None:
    """Raises ValueError for a map that is too small, or too large to be read, before it is."""
    if min(rows, columns) < 2 or rows * columns > MAX_SAMPLES:
        raise ValueError(f"{rows:,} x {columns:,} samples; 2 x 2 to {MAX_SAMPLES:,} in all are read")


def _check_vertices(shape: tuple[int, ...], metres: tuple[float, ...], reduce: float) -> None:
    """Raises ValueError where resampling would give less than a tile or more than fits, before it does."""
    rows, columns = (
        (size - 1) * apart / (METRES_PER_CELL * reduce) + 1.0 + 1e-6 for size, apart in zip(shape, metres, strict=True)
    )
    covers = f"covers {np.floor(rows):.7g} x {np.floor(columns):.7g} vertices {METRES_PER_CELL:g} m apart"
    if min(rows, columns) < CELLS + 1:
        raise ValueError(f"{covers}; a tile needs {CELLS + 1} x {CELLS + 1}")
    if not rows * columns <= MAX_SAMPLES:
        least = reduce * math.sqrt(rows * columns / MAX_SAMPLES) * 1.02
        advice = f"give --reading.reduce {_rounded_up(least)}" if least < math.inf else "look at its scale"
        raise ValueError(f"{covers}; at most {MAX_SAMPLES:,} in all are made: {advice}, or cut it into parts")


def _rounded_up(value: float) -> str:
    """A number above 0 with two digits that is not smaller."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / unit) * unit:g}"


def _samples(path: Path, reading: Reading) -> tuple[np.ndarray, tuple[float, float]]:
    """Heights in metres [H, W], and the metres between rows and between columns."""
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    apart = (reading.metres_per_sample, reading.metres_per_sample)
    suffix = path.suffix.lower()
    if suffix in TIFF:
        heights, tags = _tiff(path)
        return heights * geotiff.metres_of_height(tags), geotiff.metres_apart(tags) or apart
    raw = _raw16(path) if suffix in RAW else _png16(path)
    return reading.low + raw.astype(np.float64) * ((reading.high - reading.low) / 65535.0), apart


def _raw16(path: Path) -> np.ndarray:
    size = path.stat().st_size
    side = math.isqrt(size // 2)
    if size % 2 or side * side * 2 != size:
        raise ValueError(f"{size} bytes are not a square of 16-bit samples")
    _check_samples(side, side)
    return np.fromfile(path, "<u2").reshape(side, side)


def _png16(path: Path) -> np.ndarray:
    def check(picture: Image.Image) -> None:
        if not picture.mode.startswith("I;16"):
            raise ValueError(f"a PNG of mode {picture.mode}; height maps are 16-bit grey, 8 bits would give steps")
        _check_samples(picture.height, picture.width)

    return _png(path, "", check).astype(np.uint16)


def _png(path: Path, name: str, check: Callable[[Image.Image], None]) -> np.ndarray:
    """The pixels of a PNG that `check` has let pass before they are decoded; `name` goes before what is wrong with the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `check` has a limit of its own
        try:
            picture = Image.open(path, formats=("PNG",))
        except Image.DecompressionBombError:
            raise ValueError(f"{name}more than the {MAX_SAMPLES:,} samples that are read; cut it into parts") from None
        except Exception as error:  # a damaged PNG raises several kinds of exceptions
            raise ValueError(f"{name}not a readable PNG: {error or type(error).__name__}") from None
    with picture:
        check(picture)
        try:
            return np.asarray(picture)
        except Exception as error:
            raise ValueError(f"{name}not a readable PNG: {error or type(error).__name__}") from None


def _tiff(path: Path) -> tuple[np.ndarray, geotiff.Tags]:
    """Numbers [H, W], NaN where the file says that there are none, and the tags of its first picture."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0] if len(file.pages) else None
            if page is not None and page.size <= MAX_SAMPLES:
                values, tags = np.asarray(page.asarray()), {tag.code: tag.value for tag in page.tags}
    except Exception as error:  # a damaged TIFF raises a dozen kinds of exceptions
        raise ValueError(f"not a readable TIFF: {error or type(error).__name__}") from None
    if page is None:
        raise ValueError("not a readable TIFF: it holds no picture")
    if page.size > MAX_SAMPLES:
        raise ValueError(f"a TIFF of {list(page.shape)} samples; 2 x 2 to {MAX_SAMPLES:,} in all are read")
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise ValueError(f"a TIFF of {values.dtype} {list(values.shape)}; expected one channel of numbers")
    _check_samples(*values.shape)
    heights, missing = values.astype(np.float64), geotiff.no_data(tags)
    if missing is not None:
        heights[heights == missing] = np.nan
    return heights, tags


def _mask(
    path: Path, kind: str, names: tuple[str, ...], samples: tuple[int, ...], vertices: tuple[int, ...]
) -> np.ndarray | None:
    """A class mask as uint8 cells, by the nearest pixel; None where the file has none."""
    mask_path = path.with_name(f"{path.stem}.{kind}.png")
    if not mask_path.is_file():
        return None

    def check(picture: Image.Image) -> None:
        if picture.mode not in ("L", "P"):
            raise ValueError(f"{mask_path.name} has mode {picture.mode}; expected 8-bit grey or palette with class numbers")
        size = (picture.height, picture.width)
        if size not in (samples, (samples[0] - 1, samples[1] - 1)):
            raise ValueError(f"{mask_path.name} has {size} pixels, the heights {samples}; expected the same, or one less")

    mask = _png(mask_path, f"{mask_path.name}: ", check).astype(np.uint8)
    if mask.max() >= len(names):
        raise ValueError(f"{mask_path.name} has class {mask.max()}; known are 0 to {len(names) - 1}: {', '.join(names)}")
    rows, columns = (
        np.minimum(((np.arange(count - 1) + 0.5) / (count - 1) * size).astype(int), size - 1)
        for count, size in zip(vertices, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
