"""A morph: a smooth path through key styles, cut into frames that are made a few at a time and sent at their time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.avatar_generation import Drawn, Floats, controlled, noise_of, row_without_picture, styles_of, synthesise
from bridge.avatar_request import AvatarBatch
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.registry import ServedModel
from bridge.v1 import avatar_service_pb2 as pb

FRAMES_AT_ONCE = 4
PIXELS_AT_ONCE = 1 << 20
DEFAULT_SECONDS, DEFAULT_RATE, MAX_RATE = 1.0, 30.0, 120.0


@dataclass(frozen=True)
class Timing:
    """The frames of a morph: key k is frame k x `frames_per_key`."""

    keys: int
    frames_per_key: int
    frame_rate: float
    loop: bool
    real_time: bool

    @property
    def frame_count(self) -> int:
        """Number of frames: a loop leaves out the last one, which is the first again."""
        return self.keys * self.frames_per_key if self.loop else (self.keys - 1) * self.frames_per_key + 1


def check_timing(request: pb.MorphAvatarRequest, keys: int, identity: str, max_frames: int) -> Timing:
    """Return the frames that a request asks for; `InvalidArgument` or `ResourceExhausted` by the field at fault."""
    if keys < 2:
        raise InvalidArgument(f"{keys} key, expected at least 2; GenerateAvatars makes a single avatar", field=identity)
    rate, seconds = request.frame_rate or DEFAULT_RATE, request.seconds_per_key or DEFAULT_SECONDS
    if not 1.0 <= rate <= MAX_RATE:
        raise InvalidArgument(f"is {rate:g}, expected 1 to {MAX_RATE:g} frames a second, or 0", field="frame_rate")
    if not 0.0 < seconds < math.inf:
        raise InvalidArgument(f"is {seconds:g}, expected more than 0 seconds, or 0", field="seconds_per_key")
    if request.pacing not in pb.Pacing.values():
        raise InvalidArgument(f"is {request.pacing}, expected one of {pb.Pacing.keys()}", field="pacing")
    real_time = request.pacing != pb.PACING_UNPACED
    timing = Timing(keys, max(1, round(seconds * rate)), rate, request.loop, real_time)
    if timing.frame_count > max_frames:
        message = f"{seconds:g} s for each of {keys} keys at {rate:g} frames a second is more than {max_frames} frames"
        raise ResourceExhausted(f"{message}; ask in several calls", field="seconds_per_key")
    return timing


def path(keys: Floats, timing: Timing, frames: range) -> Floats:
    """Return the styles float32[len(frames), ...] of some frames of the path through `keys` float32[K, ...].

    A Catmull-Rom spline (Catmull and Rom, "A class of local interpolating splines", 1974): smooth, with a continuous first
    derivative, and exactly through the keys. An open path goes straight on beyond its ends; a loop goes round.
    """
    index = np.array(frames)
    segment = index // timing.frames_per_key
    points = keys.astype(np.float64)
    if timing.loop:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        segment = np.minimum(segment, timing.keys - 2)
        padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    weights = _catmull_rom((index - segment * timing.frames_per_key) / timing.frames_per_key)
    corners = padded[segment[:, None] + np.arange(4)]
    with np.errstate(over="ignore"):  # beyond float32 there is no picture, and that is answered
        styles: Floats = np.einsum("fc,fc...->f...", weights, corners).astype(np.float32)
    return styles


def _catmull_rom(t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the weights float64[len(t), 4] of the four keys around a place t from 0 to 1 between the middle two."""
    basis = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
    return np.stack(basis, axis=1) / 2


async def frames(model: ServedModel, batch: AvatarBatch, timing: Timing) -> AsyncGenerator[pb.Avatar, None]:
    """Yield the frames at their times; while one group is taken the next is made, and no more than that.

    Each group has the same frames whatever the pacing and is run by itself, so that equal requests give equal bytes.
    Leaving the iteration stops the work.
    """
    async with aclosing(_made(model, batch, timing)) as made:
        loop, start, number = asyncio.get_running_loop(), 0.0, 0
        async for avatar in made:
            if number == 0:
                start = loop.time()
            elif timing.real_time:
                await asyncio.sleep(max(0.0, start + number / timing.frame_rate - loop.time()))
            yield avatar
            number += 1


async def _made(model: ServedModel, batch: AvatarBatch, timing: Timing) -> AsyncGenerator[pb.Avatar, None]:
    """Yield the frames as soon as they are made; the path is that of the keys with their sliders moved."""
    everything = slice(0, len(batch))
    base = await styles_of(model, batch, everything)
    moved = await controlled(model, base, batch.controls)
    noise = await noise_of(model, batch.seeds[:1])
    largest = max(batch.image.size_px, model.spec.image_size) ** 2
    step = max(1, min(FRAMES_AT_ONCE, PIXELS_AT_ONCE // largest))

    async def group(first: int) -> list[pb.Avatar]:
        places = range(first, min(first + step, timing.frame_count))
        rows = np.repeat(noise, len(places), axis=0)
        images = await synthesise(model, path(moved, timing, places), rows, alone=True)
        if await row_without_picture(images) is not None:
            message = "the path gives no picture, its numbers are too large; draw latents from N(0, 1)"
            raise InvalidArgument(message, field=batch.identity)
        styles = path(base, timing, places) if batch.return_styles else None
        drawn = Drawn(images, [int(batch.seeds[0])] * len(places), styles, batch.image)
        return [avatar async for avatar in drawn.encoded()]

    following = asyncio.ensure_future(group(0))
    try:
        for first in range(0, timing.frame_count, step):
            avatars = await following
            if first + step < timing.frame_count:
                following = asyncio.ensure_future(group(first + step))
            for avatar in avatars:
                yield avatar
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
