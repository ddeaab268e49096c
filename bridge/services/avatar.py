"""`AvatarService`: seeds, latents, styles or a picture → the bundle's graphs → images."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np

from bridge import avatar_card, pictures
from bridge.avatar_card import MAX_REFINE_STEPS
from bridge.avatar_generation import MAX_BATCH as BATCH
from bridge.avatar_generation import Drawn, Floats, chunks, controlled, generate, noise_of, synthesise
from bridge.avatar_morph import check_timing, frames
from bridge.avatar_projection import project
from bridge.avatar_request import AvatarBatch, check, check_controls
from bridge.config import Limits
from bridge.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from bridge.game_sessions import GameSessions
from bridge.images import check_spec
from bridge.registry import Registry, ServedModel
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["AvatarService"]
GRAPHS = ("mapping", "synthesis")
OPTIONAL_GRAPHS = ("control", "encoder")
MAX_BATCH = BATCH
THREADS = 0
MESSAGE_BYTES = 5
DECODES_AT_ONCE = 2
Spec = avatar_card.Spec


class Service:
    """Generates avatars; equal requests give equal pictures, whatever else runs in the same batch."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry
        self._limits = limits
        self._decodes = asyncio.Semaphore(DECODES_AT_ONCE)

    async def GenerateAvatars(self, request: pb.GenerateAvatarsRequest) -> pb.GenerateAvatarsResponse:
        """Generate a batch in one message; `ResourceExhausted` names StreamAvatars when it would be too large."""
        model, batch = self._check(request.model, request.spec)
        raw_bytes = batch.image.rgba_bytes() * len(batch)
        if batch.image.format == asset_pb2.IMAGE_FORMAT_RGBA8:
            self._check_size(raw_bytes, len(batch))
        response = pb.GenerateAvatarsResponse(model=model.served_by())
        size = response.ByteSize()
        async for avatar in generate(model, batch):
            size += avatar.ByteSize() + MESSAGE_BYTES
            self._check_size(size, len(batch))
            response.avatars.append(avatar)
        return response

    async def StreamAvatars(self, request: pb.StreamAvatarsRequest) -> AsyncIterator[pb.StreamAvatarsResponse]:
        """Generate a batch and send avatar after avatar, each in chunks of at most 1 MiB."""
        model, batch = self._check(request.model, request.spec)
        index = 0
        async with aclosing(generate(model, batch)) as avatars:
            async for avatar in avatars:
                for part, chunk, count in chunks(avatar):
                    yield pb.StreamAvatarsResponse(
                        model=model.served_by(), index=index, avatar=part, chunk_index=chunk, chunk_count=count
                    )
                index += 1

    async def ProjectAvatar(self, request: pb.ProjectAvatarRequest) -> pb.ProjectAvatarResponse:
        """Find the avatar that is nearest to a picture."""
        model = self._registry.find(request.model, "avatar", "model")
        sizes: avatar_card.Spec = model.spec
        if not sizes.projection_steps:
            message = f'"{model.card.name}" version {model.card.version} has no encoder; train one and export it again'
            raise FailedPrecondition(message, field="model")
        if request.refine_steps > MAX_REFINE_STEPS:
            message = f"is {request.refine_steps}, expected 1 to {MAX_REFINE_STEPS}, or 0 for {sizes.projection_steps}"
            raise InvalidArgument(message, field="refine_steps")
        controls = check_controls(request.controls, sizes, "controls")
        image = check_spec(request.image, sizes.image_size, "image")
        target = await self._target(request, sizes)
        noise = await noise_of(model, np.array([request.seed], np.uint64))
        found = await project(model, target, noise, request.refine_steps or sizes.projection_steps)
        picture = found.image
        if controls is not None:
            picture = await synthesise(model, await controlled(model, found.styles, controls), noise)
        (avatar,) = [answer async for answer in Drawn(picture, [request.seed], found.styles, image).encoded()]
        if avatar.ByteSize() > self._limits.max_message_bytes:
            message = f"the picture has {avatar.ByteSize()} bytes, one message holds {self._limits.max_message_bytes}"
            raise ResourceExhausted(f"{message}; ask for a smaller one, or for a PNG", field="image")
        return pb.ProjectAvatarResponse(model=model.served_by(), avatar=avatar, pixel_distance=found.pixel_distance)

    async def MorphAvatar(self, request: pb.MorphAvatarRequest) -> AsyncIterator[pb.MorphAvatarResponse]:
        """Generate the frames of a morph and send them at their times, each in chunks of at most 1 MiB."""
        model, batch = self._check(request.model, request.spec)
        timing = check_timing(request, len(batch), batch.identity, self._limits.max_frames)
        index = 0
        async with aclosing(frames(model, batch, timing)) as morph:
            async for avatar in morph:
                for part, chunk, count in chunks(avatar):
                    yield pb.MorphAvatarResponse(
                        model=model.served_by(),
                        frame_index=index,
                        frame_count=timing.frame_count,
                        time_seconds=index / timing.frame_rate,
                        avatar=part,
                        chunk_index=chunk,
                        chunk_count=count,
                    )
                index += 1

    def _check(self, selector: Any, spec: pb.AvatarSpec) -> tuple[ServedModel, AvatarBatch]:
        model = self._registry.find(selector, "avatar", "model")
        return model, check(spec, model.spec, self._limits.max_avatars)

    async def _target(self, request: pb.ProjectAvatarRequest, sizes: avatar_card.Spec) -> Floats:
        """Read the picture of a request in a worker thread, a few at once."""
        if bool(request.file) == request.HasField("pixels"):
            problem = "is given beside pixels, expected one of both" if request.file else "is empty, expected a picture"
            raise InvalidArgument(problem, field="file")
        wanted, most = (sizes.image_size, sizes.image_channels), self._limits.max_picture_pixels
        async with self._decodes:
            if request.file:
                return await asyncio.to_thread(pictures.from_file, request.file, *wanted, max_pixels=most, field="file")
            return await asyncio.to_thread(pictures.from_image, request.pixels, *wanted, max_pixels=most, field="pixels")

    def _check_size(self, size: int, count: int) -> None:
        if size > self._limits.max_message_bytes:
            message = (
                f"{count} avatars take {size} bytes or more, one message holds {self._limits.max_message_bytes}; "
                "ask for fewer or call StreamAvatars"
            )
            raise ResourceExhausted(message, field="spec")
