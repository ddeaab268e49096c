"""From a generator's floats to the image a caller asked for: rounding, alpha, size, row order, mip levels, file format."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from bridge.errors import InvalidArgument
from bridge.v1 import asset_pb2

Pixels = npt.NDArray[np.uint8]
MIN_SIZE_PX, MAX_SIZE_PX = 8, 4096
JPEG_QUALITY = 92


@dataclass(frozen=True)
class ImageRequest:
    """A checked `ImageSpec` for a model of a given size: nothing in it is unspecified."""

    format: asset_pb2.ImageFormat
    row_origin: asset_pb2.RowOrigin
    size_px: int
    mip_levels: int

    def rgba_bytes(self) -> int:
        """Return the bytes of one RGBA8 image with its mip levels."""
        return sum(4 * (self.size_px >> level) ** 2 for level in range(self.mip_levels))


def check_spec(spec: asset_pb2.ImageSpec, native_px: int, field: str) -> ImageRequest:
    """Return the image that `spec` asks of a model with images of `native_px` pixels; `InvalidArgument` otherwise."""
    size = spec.size_px or native_px
    if size & (size - 1) or not MIN_SIZE_PX <= size <= MAX_SIZE_PX:
        message = f"size is {size} px, expected a power of two from {MIN_SIZE_PX} to {MAX_SIZE_PX}, or 0"
        raise InvalidArgument(message, field=f"{field}.size_px")
    formats = asset_pb2.ImageFormat.keys()
    if spec.format not in asset_pb2.ImageFormat.values():
        raise InvalidArgument(f"format is {spec.format}, expected one of {formats}", field=f"{field}.format")
    raw = spec.format == asset_pb2.IMAGE_FORMAT_RGBA8
    bottom_left = spec.row_origin == asset_pb2.ROW_ORIGIN_BOTTOM_LEFT
    if spec.row_origin not in asset_pb2.RowOrigin.values() or (bottom_left and not raw):
        message = f"row origin is {spec.row_origin}, expected top-left, or bottom-left with RGBA8"
        raise InvalidArgument(message, field=f"{field}.row_origin")
    levels, most = spec.mip_levels or 1, size.bit_length() if raw else 1
    if levels > most:
        message = f"{levels} mip levels, expected at most {most} for {size} px" + ("" if raw else " files; use RGBA8")
        raise InvalidArgument(message, field=f"{field}.mip_levels")
    return ImageRequest(
        format=spec.format or asset_pb2.IMAGE_FORMAT_PNG,
        row_origin=spec.row_origin or asset_pb2.ROW_ORIGIN_TOP_LEFT,
        size_px=size,
        mip_levels=levels,
    )


def quantise(images: npt.NDArray[np.float32]) -> Pixels:
    """Turn float32[N, C, H, W] in [-1, 1] into uint8[N, H, W, C]: floor(clip(127.5 (x + 1) + 0.5, 0, 255)).

    Four channels are RGBA with colours multiplied by alpha; they become straight alpha, (0, 0, 0, 0) where it rounds to 0.
    """
    if images.shape[1] == 4:
        return _interleave(_straight(images))
    scaled = images + np.float32(1.0)
    scaled *= np.float32(127.5)
    scaled += np.float32(0.5)
    np.clip(scaled, 0, 255, out=scaled)
    return _interleave(scaled.astype(np.uint8))


def _straight(images: npt.NDArray[np.float32]) -> Pixels:
    light = images + np.float32(1.0)
    light *= np.float32(0.5)
    np.clip(light, 0, 1, out=light)
    colours, alpha = light[:, :3], light[:, 3:]
    colours /= np.maximum(alpha, np.float32(1 / 512))
    np.minimum(colours, np.float32(1), out=colours)
    light *= np.float32(255)
    light += np.float32(0.5)
    planes = light.astype(np.uint8)
    planes[:, :3] *= planes[:, 3:] != 0
    return planes


def _interleave(planes: Pixels) -> Pixels:
    """Turn uint8[N, C, H, W] into uint8[N, H, W, C], plane by plane: several times as fast as a transposed copy."""
    count, channels, height, width = planes.shape
    pixels = np.empty((count, height, width, channels), np.uint8)
    for channel in range(channels):
        pixels[..., channel] = planes[:, channel]
    return pixels


def encode(pixels: Pixels, request: ImageRequest) -> asset_pb2.Image:
    """Turn one picture uint8[H, W, C] (top row first, RGB or straight RGBA) into the image message that was asked for."""
    sized = resize(pixels, request.size_px)
    raw = request.format == asset_pb2.IMAGE_FORMAT_RGBA8
    data = _rgba_levels(sized, request) if raw else _file(sized, request.format)
    return asset_pb2.Image(
        format=request.format,
        row_origin=request.row_origin,
        width_px=request.size_px,
        height_px=request.size_px,
        mip_levels=request.mip_levels,
        data=data,
    )


def resize(pixels: npt.NDArray[Any], size_px: int) -> npt.NDArray[Any]:
    """Scale a square picture uint8[H, H, C] by a power of two: up by repeating pixels, down by averaging them.

    With four channels the colours are weighted with their alpha, which is averaging them multiplied by it.
    """
    height = pixels.shape[0]
    if size_px == height:
        return pixels
    if size_px > height:
        factor = size_px // height
        return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    factor = height // size_px
    blocks = pixels.reshape(size_px, factor, size_px, factor, -1).astype(np.uint32)
    if pixels.shape[2] == 4:
        return _average_rgba(blocks)
    averages: Pixels = ((blocks.sum(axis=(1, 3)) + factor * factor // 2) // (factor * factor)).astype(np.uint8)
    return averages


def _average_rgba(blocks: npt.NDArray[np.uint32]) -> Pixels:
    """Average straight RGBA blocks [S, F, S, F, 4] to [S, S, 4]."""
    area = blocks.shape[1] * blocks.shape[3]
    alpha = blocks[..., 3:].sum(axis=(1, 3), dtype=np.uint64)
    colours = (blocks[..., :3] * blocks[..., 3:]).sum(axis=(1, 3), dtype=np.uint64)
    averages = np.empty((*alpha.shape[:2], 4), np.uint8)
    averages[..., :3] = (colours + alpha // 2) // np.maximum(alpha, 1)
    averages[..., 3:] = (alpha + area // 2) // area
    averages[averages[..., 3] == 0] = 0
    return averages


def _rgba_levels(pixels: Pixels, request: ImageRequest) -> bytes:
    rgba = pixels
    if pixels.shape[2] == 3:
        rgba = np.full((*pixels.shape[:2], 4), 255, np.uint8)
        rgba[..., :3] = pixels
    levels = [resize(rgba, request.size_px >> level) for level in range(request.mip_levels)]
    if request.row_origin == asset_pb2.ROW_ORIGIN_BOTTOM_LEFT:
        levels = [level[::-1] for level in levels]
    return b"".join(level.tobytes() for level in levels)


def _on_white(pixels: Pixels) -> Pixels:
    """Lay straight RGBA uint8[H, W, 4] on white: uint8[H, W, 3]."""
    alpha = pixels[..., 3:].astype(np.uint32)
    laid: Pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return laid


def _file(pixels: Pixels, image_format: asset_pb2.ImageFormat) -> bytes:
    stream = io.BytesIO()
    if image_format == asset_pb2.IMAGE_FORMAT_JPEG:
        picture = PillowImage.fromarray(_on_white(pixels) if pixels.shape[2] == 4 else pixels)
        picture.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        PillowImage.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
