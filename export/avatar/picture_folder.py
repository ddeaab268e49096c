"""Reads a user's folder of pictures: whatever cannot be used is left out with the reason, and nothing stops the rest."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from export.avatar.picture_cache import Prepared

READER = "folder-1"
"""Changes whenever a file gives another picture than before."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
UNREAD = (
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".xcf", ".kra", ".ase", ".aseprite", ".tga", ".dds"),
    *(".exr", ".hdr", ".ico", ".ppm", ".pgm", ".dng", ".cr2", ".nef", ".arw"),
)
"""Suffixes of pictures that are not read; other files, such as notes, are no pictures and are passed over."""
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
"""How files of FORMATS begin, where a few bytes tell; of a WebP file the ninth to twelfth byte do."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Decoders that are tried, whatever the suffix says."""
MAX_PIXELS = 64_000_000
"""Larger pictures (8,000 x 8,000) are refused before they are decoded."""
MINIMUM = 50
"""Pictures that a folder must hold, unless the caller asks for fewer."""

Reasons = list[tuple[str, str]]


def find(folder: Path) -> tuple[list[Path], Reasons]:
    """Lists the pictures below a folder by their suffix, and what looks like one but cannot be read, with the reason.

    Links to files are followed, links to folders are not, so that a loop of links ends. Raises ValueError when
    there is no such folder or nothing in it has the suffix of a picture.
    """
    if not folder.is_dir():
        raise ValueError(f'"{folder}" is not a folder; expected a folder with files ending in {", ".join(SUFFIXES)}')
    files: list[Path] = []
    refused: Reasons = []

    def unreadable(error: OSError) -> None:
        refused.append((_relative(Path(error.filename), folder), f"the folder cannot be read: {error.strerror}"))

    for place, folders, names in os.walk(folder, onerror=unreadable):
        for path in (Path(place) / name for name in folders):
            if path.is_symlink():
                refused.append((_relative(path, folder), "a link to a folder, which is not followed"))
            elif path.suffix.lower() in SUFFIXES:
                refused.append((_relative(path, folder), "a folder, not a picture; the pictures in it are read"))
        for path in (Path(place) / name for name in names):
            if path.suffix.lower() in SUFFIXES:
                files.append(path)
            elif reason := unread(path):
                refused.append((_relative(path, folder), reason))
    if not files:
        because = f"; {_listed(refused)}" if refused else ""
        raise ValueError(f'"{folder}" holds no picture; expected files ending in {", ".join(SUFFIXES)}{because}')
    return sorted(files), sorted(refused)


def unread(path: Path) -> str:
    """Why a picture without one of SUFFIXES is not read; empty for what is no picture, as far as name and first bytes tell."""
    suffix = path.suffix.lower()
    if suffix in UNREAD:
        return f"{suffix} files are not read; save it as PNG or JPEG"
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return ""
    if head.startswith(BEGINNINGS) or (head[:4] == b"RIFF" and head[8:] == b"WEBP"):
        return f"a picture {f'with the suffix {suffix}' if suffix else 'without a suffix'}; name it {path.stem}.png or .jpg"
    return ""


def fingerprint(files: Sequence[Path]) -> str:
    """Differs as soon as a file is added, removed, changed or given other permissions."""
    digest = hashlib.sha256()
    for path in files:
        try:
            status = path.stat()
            digest.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_mode}\n".encode())
        except (OSError, RuntimeError):  # a broken link, or one that leads to itself
            digest.update(f"{path}|unreachable\n".encode())
    return digest.hexdigest()


def read_all(folder: Path, files: Sequence[Path], refused: Reasons, size: int, pixel_size: int) -> Prepared:
    """Reads every file as a premultiplied RGBA picture of one size; those that cannot be used are named and left out."""
    images, left_out = [], list(refused)
    for path in tqdm(files, desc="reading pictures", unit="file"):
        try:
            images.append(read(path, size, pixel_size))
        except Exception as error:  # decoders raise a dozen kinds of exceptions for broken files
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
            left_out.append((_relative(path, folder), reason))
    for name, reason in left_out:
        tqdm.write(f"skipped {name}: {reason}")
    return Prepared(np.stack(images) if images else np.empty((0, 4, size, size), np.uint8), [{} for _ in images], left_out)


def read(path: Path, size: int, pixel_size: int = 1) -> np.ndarray:
    """Reads one file: the middle square of its first frame, upright, resized: premultiplied uint8 [4, size, size].

    Raises ValueError or what the decoder raises when the file is no picture, or too small or too large.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_size == 0:
        raise ValueError("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities that it can read, and of sizes that are checked here
        try:
            picture = Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            raise ValueError(f"not a picture in one of the formats {', '.join(FORMATS)}") from None
        except Image.DecompressionBombError:
            raise ValueError(f"more than {MAX_PIXELS:,} pixels") from None
        with picture:
            return prepare(picture, size, pixel_size)


def prepare(picture: Image.Image, size: int, pixel_size: int = 1) -> np.ndarray:
    """Cuts the middle square out of a picture and resizes it: premultiplied uint8 [4, size, size].

    Transparent pixels lend no colour to their neighbours, as the Lanczos filter runs on premultiplied colours. With a
    pixel_size the square is reduced to size / pixel_size cells, exactly where the picture is enlarged pixel art
    already, and every cell is drawn as a square. Raises ValueError for a picture with a side below a quarter of the
    cells, or one of more than MAX_PIXELS.
    """
    cells = size // pixel_size
    least = max(2, cells // 4)
    if min(picture.size) < least:
        raise ValueError(f"{picture.width} x {picture.height} pixels are too few for {size}; at least {least} are needed")
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width} x {picture.height} pixels are too many; at most {MAX_PIXELS:,} are decoded")
    if min(picture.size) > 4 * cells:
        picture.draft(None, (2 * cells, 2 * cells))  # JPEG alone: decodes at a half, a quarter or an eighth
    upright = ImageOps.exif_transpose(picture)
    side = min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    square = premultiplied(upright.crop((left, top, left + side, top + side)))
    exact = pixel_size > 1 and side % cells == 0
    square = square.resize((cells, cells), Image.Resampling.BOX if exact else Image.Resampling.LANCZOS)
    pixels = np.asarray(square).transpose(2, 0, 1)
    pixels = np.concatenate([np.minimum(pixels[:3], pixels[3:]), pixels[3:]])  # the filter may overshoot alpha
    return pixels.repeat(pixel_size, axis=1).repeat(pixel_size, axis=2)


def premultiplied(picture: Image.Image) -> Image.Image:
    """Converts a picture of any mode to 8-bit premultiplied RGBA (Pillow's mode RGBa); 16 bits are scaled, not cut off.

    Raises ValueError for 32-bit integers and floats, whose white is not defined.
    """
    if picture.mode.startswith("I;16"):
        wide = np.asarray(picture).astype(np.uint32)
        picture = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {picture.mode}) have no defined white; save it with 8 or 16 bits")
    elif picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        picture = picture.convert("RGB")
    return picture.convert("RGBA").convert("RGBa")


def check_minimum(folder: Path, count: int, left_out: Reasons, minimum: int, *, advice: str = "add pictures") -> None:
    """Raises ValueError when fewer pictures were read than are needed, with the reasons and what to do."""
    if count < max(minimum, 1):
        because = f" ({_listed(left_out)})" if left_out else ""
        raise ValueError(
            f'"{folder}" gave {count} of at least {max(minimum, 1)} pictures; {len(left_out)} were skipped{because}; {advice}'
        )


def summary(count: int, left_out: Reasons) -> str:
    """One line such as "read 180, skipped 3: a.png (the file is empty), ..."."""
    return f"read {count}, skipped {len(left_out)}" + (f": {_listed(left_out)}" if left_out else "")


def _listed(left_out: Reasons, most: int = 10) -> str:
    text = ", ".join(f"{name} ({reason})" for name, reason in left_out[:most])
    if len(left_out) <= most:
        return text
    reasons = Counter(reason for _, reason in left_out[most:])
    return f"{text}, and {len(left_out) - most} more: " + ", ".join(f"{n} x {reason}" for reason, n in reasons.most_common(3))


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
