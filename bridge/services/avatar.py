"""`AvatarService`: seeds or latents → mapping graph → synthesis graph → images."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bridge import seeds, tensors
from bridge.config import Limits
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.game_sessions import GameSessions
from bridge.images import MAX_SIZE_PX, MIN_SIZE_PX, ImageRequest, Pixels, check_spec, encode, quantise
from bridge.model_card import ModelCard, TensorSpec
from bridge.registry import Registry, ServedModel
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["AvatarService"]
GRAPHS = ("mapping", "synthesis")
MAX_BATCH = 16
THREADS = 0
MAX_PSI = 2.0
CHUNK_BYTES = 1 << 20
INLINE_PIXELS = 1 << 15
ENCODE_PIXELS = 1 << 20
MESSAGE_BYTES = 5
Floats = npt.NDArray[np.float32]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The avatar section of a card: sizes of the generator, its default truncation, and its named controls."""

    image_size: int
    latent_size: int
    num_layers: int
    noise_size: int
    default_truncation: float
    control_names: list[str]

    def check(self, card: ModelCard) -> None:
        """Raise `ValueError` where this section contradicts itself or the card's graphs."""
        if self.image_size & (self.image_size - 1) or not MIN_SIZE_PX <= self.image_size <= MAX_SIZE_PX:
            message = f"image_size is {self.image_size}, expected a power of two from {MIN_SIZE_PX} to {MAX_SIZE_PX}"
            raise ValueError(message)
        if not 0.0 <= self.default_truncation <= MAX_PSI:
            raise ValueError(f"default_truncation is {self.default_truncation}, expected 0 to {MAX_PSI:g}")
        styles = ("float32", ["batch", self.num_layers, self.latent_size])
        image = ("float32", ["batch", 3, self.image_size, self.image_size])
        expected = {
            "z": ("float32", ["batch", self.latent_size]),
            "z_mix": ("float32", ["batch", self.latent_size]),
            "truncation": ("float32", ["batch"]),
            "mix_layer": ("int64", ["batch"]),
            "w": styles,
            "noise": ("float32", ["batch", self.noise_size]),
        }
        inputs = {spec.name: (spec.dtype, spec.shape) for graph in card.graphs for spec in graph.inputs}
        if inputs != expected:
            raise ValueError(f"graph inputs are {inputs}, expected {expected}")
        outputs = {spec.name: (spec.dtype, spec.shape) for graph in card.graphs for spec in graph.outputs}
        if outputs != {"w": styles, "image": image}:
            raise ValueError(f"graph outputs are {outputs}, expected {{'w': {styles}, 'image': {image}}}")


@dataclass(frozen=True)
class AvatarBatch:
    """A checked request: arrays of N rows for both graphs."""

    seeds: npt.NDArray[np.uint64]
    z: Floats
    z_mix: Floats
    truncation: Floats
    mix_layer: npt.NDArray[np.int64]
    image: ImageRequest

    def __len__(self) -> int:
        return len(self.z)


class Service:
    """Generates avatars; equal requests give equal pictures, whatever else runs in the same batch."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry
        self._limits = limits

    async def GenerateAvatars(self, request: pb.GenerateAvatarsRequest) -> pb.GenerateAvatarsResponse:
        """Generate a batch in one message; `ResourceExhausted` names StreamAvatars when it would be too large."""
        model, batch = self._check(request.model, request.spec)
        raw_bytes = batch.image.rgba_bytes() * len(batch)
        if batch.image.format == asset_pb2.IMAGE_FORMAT_RGBA8:
            self._check_size(raw_bytes, len(batch))
        response = pb.GenerateAvatarsResponse(model=model.served_by())
        size = response.ByteSize()
        async for avatar in _generate(model, batch):
            size += avatar.ByteSize() + MESSAGE_BYTES
            self._check_size(size, len(batch))
            response.avatars.append(avatar)
        return response

    async def StreamAvatars(self, request: pb.StreamAvatarsRequest) -> AsyncIterator[pb.StreamAvatarsResponse]:
        """Generate a batch and send avatar after avatar, each in chunks of at most 1 MiB."""
        model, batch = self._check(request.model, request.spec)
        index = 0
        async for avatar in _generate(model, batch):
            for message in _chunks(avatar, index):
                message.model.CopyFrom(model.served_by())
                yield message
            index += 1

    def _check(self, selector: Any, spec: pb.AvatarSpec) -> tuple[ServedModel, AvatarBatch]:
        model = self._registry.find(selector, "avatar", "model")
        sizes: Spec = model.spec
        count = self._count(spec, sizes)
        ids = np.array(spec.seeds if spec.seeds else [0] * count, np.uint64)
        z = _latents(spec, sizes, ids, count)
        z_mix, mix_layer = _mixing(spec, sizes, z)
        return model, AvatarBatch(
            seeds=ids,
            z=z,
            z_mix=z_mix,
            truncation=np.full(count, _psi(spec, sizes), np.float32),
            mix_layer=mix_layer,
            image=check_spec(spec.image, sizes.image_size, "spec.image"),
        )

    def _count(self, spec: pb.AvatarSpec, sizes: Spec) -> int:
        shape = list(spec.latents.shape)
        if spec.HasField("latents") and (len(shape) != 2 or shape[1] != sizes.latent_size):
            raise InvalidArgument(f"shape is {shape}, expected [N, {sizes.latent_size}]", field="spec.latents.shape")
        count = shape[0] if spec.HasField("latents") else len(spec.seeds)
        field = "spec.latents" if spec.HasField("latents") else "spec.seeds"
        if count < 1:
            message = f"no avatar is asked for, expected seeds or latents [N, {sizes.latent_size}]"
            raise InvalidArgument(message, field=field)
        if count > self._limits.max_avatars:
            message = f"{count} avatars in one call, expected at most {self._limits.max_avatars}; ask in several calls"
            raise ResourceExhausted(message, field=field)
        if spec.HasField("latents") and len(spec.seeds) not in (0, count):
            message = f"{len(spec.seeds)} seeds with {count} latents, expected none or as many"
            raise InvalidArgument(message, field="spec.seeds")
        return count

    def _check_size(self, size: int, count: int) -> None:
        if size > self._limits.max_message_bytes:
            message = (
                f"{count} avatars take {size} bytes or more, one message holds {self._limits.max_message_bytes}; "
                "ask for fewer or call StreamAvatars"
            )
            raise ResourceExhausted(message, field="spec")


def _psi(spec: pb.AvatarSpec, sizes: Spec) -> float:
    if not spec.HasField("truncation"):
        return sizes.default_truncation
    psi = spec.truncation.psi
    if not 0.0 <= psi <= MAX_PSI:
        raise InvalidArgument(f"psi is {psi}, expected 0 to {MAX_PSI:g}", field="spec.truncation.psi")
    return psi


def _latents(spec: pb.AvatarSpec, sizes: Spec, ids: npt.NDArray[np.uint64], count: int) -> Floats:
    if not spec.HasField("latents"):
        return seeds.latents(ids, sizes.latent_size)
    wanted = TensorSpec(name="latents", dtype="float32", shape=["batch", sizes.latent_size])
    z = tensors.match(spec.latents, wanted, count, "spec.latents")
    if not np.isfinite(z).all():
        row = int(np.argmin(np.isfinite(z).all(axis=1)))
        raise InvalidArgument(f"row {row} holds NaN or an infinity, expected numbers", field="spec.latents")
    return z


def _mixing(spec: pb.AvatarSpec, sizes: Spec, z: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    count = len(z)
    if not spec.HasField("style_mixing"):
        return z, np.full(count, sizes.num_layers, np.int64)
    mixing = spec.style_mixing
    if len(mixing.seeds) not in (1, count):
        message = f"{len(mixing.seeds)} seeds for {count} avatars, expected 1 or {count}"
        raise InvalidArgument(message, field="spec.style_mixing.seeds")
    if mixing.layer > sizes.num_layers:
        message = f"layer is {mixing.layer}, expected 0 to {sizes.num_layers}"
        raise InvalidArgument(message, field="spec.style_mixing.layer")
    drawn = seeds.latents(mixing.seeds, sizes.latent_size)
    return np.ascontiguousarray(np.broadcast_to(drawn, z.shape)), np.full(count, mixing.layer, np.int64)


async def _generate(model: ServedModel, batch: AvatarBatch) -> AsyncIterator[pb.Avatar]:
    """Yield the avatars of a batch; at most `MAX_BATCH` pictures and about `ENCODE_PIXELS` of encoded ones are held at once."""
    for start in range(0, len(batch), MAX_BATCH):
        pixels = quantise(await _pictures(model, batch, slice(start, start + MAX_BATCH)))
        numbers = batch.seeds[start : start + MAX_BATCH].tolist()
        step = max(1, ENCODE_PIXELS // batch.image.size_px**2)
        for first in range(0, len(numbers), step):
            part = (pixels[first : first + step], numbers[first : first + step], batch.image)
            inline = len(part[1]) * batch.image.size_px**2 <= INLINE_PIXELS
            for avatar in _avatars(*part) if inline else await asyncio.to_thread(_avatars, *part):
                yield avatar


async def _pictures(model: ServedModel, batch: AvatarBatch, part: slice) -> Floats:
    """Run both graphs; `InvalidArgument` when latents are so large that there is no picture."""
    feeds: dict[str, npt.NDArray[Any]] = {
        "z": batch.z[part],
        "z_mix": batch.z_mix[part],
        "truncation": batch.truncation[part],
        "mix_layer": batch.mix_layer[part],
    }
    styles = (await model.batchers["mapping"].run(feeds))["w"]
    noise = seeds.avatar_noise(batch.seeds[part], model.spec.noise_size)
    images: Floats = (await model.batchers["synthesis"].run({"w": styles, "noise": noise}))["image"]
    finite = np.isfinite(images).all(axis=(1, 2, 3))
    if not finite.all():
        row = part.start + int(np.argmin(finite))
        raise InvalidArgument(
            f"row {row} gives no picture, its numbers are too large; draw them from N(0, 1)", field="spec.latents"
        )
    return images


def _avatars(pixels: Pixels, numbers: list[int], image: ImageRequest) -> list[pb.Avatar]:
    return [pb.Avatar(seed=seed, image=encode(picture, image)) for seed, picture in zip(numbers, pixels, strict=True)]


def _chunks(avatar: pb.Avatar, index: int) -> list[pb.StreamAvatarsResponse]:
    data = avatar.image.data
    cuts = range(0, len(data), CHUNK_BYTES)
    head = pb.Avatar()
    head.CopyFrom(avatar)
    messages = []
    for number, start in enumerate(cuts):
        head.image.data = data[start : start + CHUNK_BYTES]
        messages.append(pb.StreamAvatarsResponse(index=index, avatar=head, chunk_index=number, chunk_count=len(cuts)))
    return messages
