"""Pictures that callers send: any file of theirs → the square float picture that an encoder takes, or a clear refusal.

The size in a file's header is checked before anything is decoded, so that a small file with a huge picture costs nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.v1 import asset_pb2

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MIN_SIDE_PX = 8
DRAFT_SCALE = 4
Floats = npt.NDArray[np.float32]
_FILES = {asset_pb2.IMAGE_FORMAT_PNG: ("PNG",), asset_pb2.IMAGE_FORMAT_JPEG: ("JPEG",)}


def from_file(
    data: bytes, size_px: int, channels: int, *, max_pixels: int, field: str, formats: tuple[str, ...] = FORMATS
) -> Floats:
    """Read a picture file into float32[1, channels, size_px, size_px] in [-1, 1]: the square in its middle, upright.

    With 4 channels the colours are multiplied by alpha, with 3 the picture lies on white. Raises `InvalidArgument` for bytes
    that are no picture and `ResourceExhausted` for more than `max_pixels`, under `field`.
    """
    if not data:
        raise InvalidArgument(f"is empty, expected a file of {_listed(formats)}", field=field)
    with _refusals(field, len(data), formats, max_pixels), PillowImage.open(io.BytesIO(data), formats=formats) as opened:
        _check_size(*opened.size, max_pixels, field)
        if opened.format == "JPEG":
            opened.draft(opened.mode, (DRAFT_SCALE * size_px, DRAFT_SCALE * size_px))
        opened.load()
        ImageOps.exif_transpose(opened, in_place=True)
        return _floats(_eight_bits(_square(opened)), size_px, channels)


def from_image(image: asset_pb2.Image, size_px: int, channels: int, *, max_pixels: int, field: str) -> Floats:
    """Read an `Image` message, RGBA8 (with or without mip levels) or a file, as `from_file` does."""
    if image.format in _FILES:
        formats = _FILES[image.format]
        return from_file(image.data, size_px, channels, max_pixels=max_pixels, field=f"{field}.data", formats=formats)
    if image.format != asset_pb2.IMAGE_FORMAT_RGBA8:
        raise InvalidArgument(f"is {image.format}, expected RGBA8, PNG or JPEG", field=f"{field}.format")
    if image.row_origin not in asset_pb2.RowOrigin.values():
        raise InvalidArgument(f"is {image.row_origin}, expected {asset_pb2.RowOrigin.keys()}", field=f"{field}.row_origin")
    width, height = image.width_px, image.height_px
    _check_size(width, height, max_pixels, field)
    _check_bytes(image, f"{field}.data")
    pixels = np.frombuffer(image.data, np.uint8, 4 * width * height).reshape(height, width, 4)
    if image.row_origin == asset_pb2.ROW_ORIGIN_BOTTOM_LEFT:
        pixels = pixels[::-1]
    return _floats(_square(PillowImage.fromarray(np.ascontiguousarray(pixels))), size_px, channels)


@contextmanager
def _refusals(field: str, size: int, formats: tuple[str, ...], max_pixels: int) -> Iterator[None]:
    """Turn whatever a decoder raises into a refusal; Pillow has no common class for it."""
    try:
        yield
    except (InvalidArgument, ResourceExhausted):
        raise
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        raise ResourceExhausted(f"the picture has more than {max_pixels} pixels; make it smaller", field=field) from error
    except MemoryError as error:
        raise ResourceExhausted("the picture needs more memory than there is; make it smaller", field=field) from error
    except Exception as error:
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        message = f"{size} bytes are no picture that can be read{reason}, expected a file of {_listed(formats)}"
        raise InvalidArgument(message, field=field) from error


def _listed(formats: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(formats[:-1]), formats[-1])))


def _check_size(width: int, height: int, max_pixels: int, field: str) -> None:
    if min(width, height) < MIN_SIDE_PX:
        message = f"the picture has {width} x {height} px, expected at least {MIN_SIDE_PX} x {MIN_SIDE_PX}"
        raise InvalidArgument(message, field=field)
    if width * height > max_pixels:
        message = f"the picture has {width} x {height} px, expected at most {max_pixels} pixels; make it smaller"
        raise ResourceExhausted(message, field=field)


def _check_bytes(image: asset_pb2.Image, field: str) -> None:
    """Refuse RGBA8 that is neither the full size alone nor the full size with all the mip levels that it declares."""
    width, height = image.width_px, image.height_px
    levels = max(1, min(image.mip_levels, max(width, height).bit_length()))
    full, whole = 4 * width * height, sum(4 * max(1, width >> level) * max(1, height >> level) for level in range(levels))
    if len(image.data) not in (full, whole):
        mips = f", or {whole} with {levels} mip levels" if levels > 1 else ""
        raise InvalidArgument(f"{len(image.data)} bytes for {width} x {height} px of RGBA8, expected {full}{mips}", field=field)


def _square(picture: PillowImage.Image) -> PillowImage.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _eight_bits(picture: PillowImage.Image) -> PillowImage.Image:
    """Return the picture as RGBA with 8 bits a channel; Pillow would clip those of 16 bits."""
    if picture.mode.startswith("I"):
        grey = np.clip((np.asarray(picture).astype(np.int64) + 128) // 257, 0, 255).astype(np.uint8)
        return PillowImage.fromarray(grey).convert("RGBA")
    return picture.convert("RGBA")


def _floats(square: PillowImage.Image, size_px: int, channels: int) -> Floats:
    """Resize straight RGBA in premultiplied space; whole steps keep pixel art crisp."""
    if channels == 3:
        white = PillowImage.new("RGBA", square.size, "white")
        square = PillowImage.alpha_composite(white, square)
    whole = square.width % size_px == 0 or size_px % square.width == 0
    resample = PillowImage.Resampling.BOX if whole else PillowImage.Resampling.LANCZOS
    sized = np.asarray(square.convert("RGBa").resize((size_px, size_px), resample))
    values = np.minimum(sized[..., :channels], sized[..., 3:]).astype(np.float32)
    return np.ascontiguousarray((values * np.float32(2 / 255) - np.float32(1)).transpose(2, 0, 1)[None])
