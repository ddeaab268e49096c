"""Good requests of the picture family's calls, for the tiny model of `tiny_picture`."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from bridge import tensors
from bridge.v1 import asset_pb2
from bridge.v1 import picture_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

MANY = 1000
"""From so many rows on, a request has only what is counted."""


def png(seed: int, side: int = 16) -> bytes:
    """Return a PNG of coloured squares."""
    squares = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(squares.repeat(side // 4, axis=0).repeat(side // 4, axis=1)).save(stream, "PNG")
    return stream.getvalue()


def encode_request(rows: int, seed: int) -> Any:
    files = [b""] * rows if rows >= MANY else [png(seed + row) for row in range(rows)]
    return pb.EncodePicturesRequest(model=ModelSelector(name="picture"), files=files)


def encode_numbers(answer: Any) -> np.ndarray:
    return np.concatenate([tensors.to_array(answer.codes, "").ravel(), np.array(answer.pixel_distances)])


def decode_request(rows: int, seed: int) -> Any:
    request = pb.DecodePicturesRequest(
        model=ModelSelector(name="picture"), image=asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)
    )
    codes = np.random.default_rng(seed).integers(0, 8, (0 if rows >= MANY else rows, 4, 4))
    request.codes.CopyFrom(tensors.from_array(codes.astype(np.uint16)))
    request.codes.shape[0] = rows
    return request


def decode_numbers(answer: Any) -> np.ndarray:
    pixels = [np.frombuffer(image.data, np.uint8) for image in answer.images]
    return np.array(pixels, np.float64) * 1e-4 / 2  # a value on the edge of two bytes may fall to either side
