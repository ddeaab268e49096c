"""Premultiplied RGBA pictures as people and files want them: with straight alpha, or on a backdrop."""

from __future__ import annotations

import numpy as np

BACKDROP = (190, 205, 220)
"""A pale blue that no built-in style uses for a part of a face."""


def over(images: np.ndarray, colour: tuple[int, int, int] = BACKDROP) -> np.ndarray:
    """Lays pictures uint8 [N, 3 or 4, H, W] on a colour: uint8 [N, 3, H, W]; four channels are premultiplied RGBA.

    A colour above its alpha counts as alpha, the most that a picture with straight alpha can show.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (3, 4):
        raise ValueError(f"pictures are {images.dtype} {list(images.shape)}; expected uint8 [N, 3 or 4, H, W]")
    if images.shape[1] == 3:
        return images
    behind = np.array(colour, np.uint16)[None, :, None, None] * (255 - images[:, 3:].astype(np.uint16))
    return (np.minimum(images[:, :3], images[:, 3:]) + (behind + 127) // 255).astype(np.uint8)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Rounds pictures from [-1, 1] to uint8: floor(clamp((x + 1) * 127.5 + 0.5, 0, 255))."""
    return np.floor(np.clip((images + 1.0) * 127.5 + 0.5, 0.0, 255.0)).astype(np.uint8)


def straight(images: np.ndarray) -> np.ndarray:
    """Turns float32 [N, C, H, W] in [-1, 1] into the uint8 pixels that the sidecar sends.

    With four channels the colours are divided by alpha; a pixel whose alpha rounds to 0 becomes (0, 0, 0, 0).
    Raises TypeError for pictures that are uint8 already.
    """
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(f"pictures are {images.dtype}; expected floating point in [-1, 1], as `sample.draw` gives them")
    if images.shape[1] == 3:
        return to_uint8(images)
    light = np.clip((images + np.float32(1.0)) * np.float32(0.5), 0, 1)
    light[:, :3] = np.minimum(light[:, :3] / np.maximum(light[:, 3:], np.float32(1 / 512)), np.float32(1))
    pixels = (light * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return pixels * (pixels[:, 3:] > 0)
