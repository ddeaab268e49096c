"""Running an avatar bundle's graphs: latents → styles → controls → pictures → images as they were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from bridge import seeds, tensors
from bridge.avatar_request import AvatarBatch
from bridge.errors import InvalidArgument
from bridge.images import ImageRequest, encode, quantise
from bridge.registry import ServedModel
from bridge.v1 import avatar_service_pb2 as pb

MAX_BATCH = 16
CHUNK_BYTES = 1 << 20
INLINE_PIXELS = 1 << 15
INLINE_NOISE = 1 << 13
ENCODE_PIXELS = 1 << 20
Floats = npt.NDArray[np.float32]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Drawn:
    """Pictures float32[N, C, S, S] with what goes into their answers: seeds, and styles where they were asked for."""

    images: Floats
    seeds: list[int]
    styles: Floats | None
    image: ImageRequest

    def avatars(self, part: slice) -> list[pb.Avatar]:
        """Return the answers of some rows."""
        pixels = quantise(self.images[part])
        answers = [
            pb.Avatar(seed=seed, image=encode(picture, self.image))
            for seed, picture in zip(self.seeds[part], pixels, strict=True)
        ]
        if self.styles is not None:
            for answer, styles in zip(answers, self.styles[part], strict=True):
                answer.styles.CopyFrom(tensors.from_array(styles[None]))
        return answers

    async def encoded(self) -> AsyncGenerator[pb.Avatar, None]:
        """Yield the answers; about `ENCODE_PIXELS` of them are held at once, and large ones are made in a worker thread."""
        pixels = max(self.image.size_px, self.images.shape[2]) ** 2
        step = max(1, ENCODE_PIXELS // pixels)
        for first in range(0, len(self.seeds), step):
            part = slice(first, first + step)
            rows = min(step, len(self.seeds) - first)
            for avatar in await run(rows * pixels <= INLINE_PIXELS, self.avatars, part):
                yield avatar


async def run(inline: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function here if it is quick, else in a worker thread."""
    return function(*args, **kwargs) if inline else await asyncio.to_thread(function, *args, **kwargs)


async def generate(model: ServedModel, batch: AvatarBatch) -> AsyncGenerator[pb.Avatar, None]:
    """Yield the avatars of a batch; at most `MAX_BATCH` pictures are held at once.

    Raises `InvalidArgument` when latents or styles are so large that there is no picture.
    """
    for start in range(0, len(batch), MAX_BATCH):
        part = slice(start, start + MAX_BATCH)
        base, noise = await styles_and_noise(model, batch, part)
        images = await synthesise(model, await controlled(model, base, batch.controls), noise)
        row = await row_without_picture(images)
        if row is not None:
            message = f"row {start + row} gives no picture, its numbers are too large; draw latents from N(0, 1)"
            raise InvalidArgument(message, field=batch.identity)
        styles = base if batch.return_styles else None
        async for avatar in Drawn(images, batch.seeds[part].tolist(), styles, batch.image).encoded():
            yield avatar


async def styles_and_noise(model: ServedModel, batch: AvatarBatch, part: slice) -> tuple[Floats, Floats]:
    """Return the styles of some rows, as `styles_of`, and their noise; much noise is drawn while the mapping graph runs."""
    ids = batch.seeds[part]
    if _quickly_drawn(model, ids):
        return await styles_of(model, batch, part), await noise_of(model, ids)
    drawing = asyncio.create_task(noise_of(model, ids))
    try:
        return await styles_of(model, batch, part), await drawing
    finally:
        drawing.cancel()


async def styles_of(model: ServedModel, batch: AvatarBatch, part: slice) -> Floats:
    """Return the styles float32[N, layers, L] of some rows, after truncation and mixing and before the controls."""
    first, last = batch.first_layer, batch.last_layer
    if batch.styles is not None and first == last:
        return batch.styles[part]
    styles: Floats = (await model.batchers["mapping"].run(batch.mapping_feeds(part)))["w"]
    if batch.styles is None:
        return styles
    mixed = batch.styles[part].copy()
    mixed[:, first:last] = styles[:, first:last]
    return mixed


async def noise_of(model: ServedModel, ids: npt.NDArray[np.uint64]) -> Floats:
    """Return the synthesis graph's noise for some seeds."""
    return await run(_quickly_drawn(model, ids), seeds.avatar_noise, ids, model.spec.noise_size)


def _quickly_drawn(model: ServedModel, ids: npt.NDArray[np.uint64]) -> bool:
    return len(ids) * int(model.spec.noise_size) <= INLINE_NOISE


async def controlled(model: ServedModel, styles: Floats, controls: Floats | None) -> Floats:
    """Return the styles with the sliders moved."""
    if controls is None:
        return styles
    feeds = {"w_in": styles, "controls": np.tile(controls, (len(styles), 1))}
    moved: Floats = (await model.batchers["control"].run(feeds))["w"]
    return moved


async def synthesise(model: ServedModel, styles: Floats, noise: Floats, *, alone: bool = False) -> Floats:
    """Return pictures float32[N, C, S, S] in [-1, 1]; `alone` keeps the rows of other requests out of the run."""
    images: Floats = (await model.batchers["synthesis"].run({"w": styles, "noise": noise}, alone=alone))["image"]
    return images


def chunks(avatar: pb.Avatar) -> Iterator[tuple[pb.Avatar, int, int]]:
    """Yield an avatar in parts of at most 1 MiB of image data, each with its index and the number of parts.

    The avatar is used up: each part is the same message with other data.
    """
    data = avatar.image.data
    count = max(1, -(-len(data) // CHUNK_BYTES))
    for index in range(count):
        if count > 1:
            avatar.image.data = data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        yield avatar, index, count


async def row_without_picture(images: Floats) -> int | None:
    """Return the first row that holds NaN or an infinity, None without one."""
    rows = await run(quick(images), _finite_rows, images)
    return None if rows.all() else int(np.argmin(rows))


def quick(images: Floats) -> bool:
    """Return whether a pass over pictures costs less than a hop to a worker thread."""
    return images.size <= 4 * INLINE_PIXELS


def _finite_rows(images: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(images).all(axis=(1, 2, 3)), np.bool_)
