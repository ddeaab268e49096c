"""`PictureService`: picture files → codes; codes → images."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import picture_card, pictures, tensors
from bridge.config import Limits
from bridge.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from bridge.game_sessions import GameSessions
from bridge.images import check_spec, encode, quantise
from bridge.model_card import TensorSpec
from bridge.registry import Registry, ServedModel
from bridge.v1 import asset_pb2, tensor_pb2
from bridge.v1 import picture_service_pb2 as pb

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["PictureService"]
GRAPHS = ("encoder", "decoder")
OPTIONAL_GRAPHS: tuple[str, ...] = ()
MAX_BATCH = 1
THREADS = 0
CHANNELS = 3
DECODES_AT_ONCE = 2
MESSAGE_BYTES = 8
Spec = picture_card.Spec
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Service:
    """Turns pictures into codes and back. Every run has one row: a last bit of a batch's may tip a code."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry
        self._limits = limits
        self._decodes = asyncio.Semaphore(DECODES_AT_ONCE)

    async def EncodePictures(self, request: pb.EncodePicturesRequest) -> pb.EncodePicturesResponse:
        """Encode picture files."""
        model = self._registry.find(request.model, "picture", "model")
        self._check_count(len(request.files), "files")
        response = pb.EncodePicturesResponse(model=model.served_by())
        codes = []
        for index, file in enumerate(request.files):
            picture = await self._picture(file, model.spec, f"files[{index}]")
            codes.append(await _codes(model, picture))
            distance = np.abs(np.clip(await _decoded(model, codes[-1]), -1.0, 1.0) - picture).mean() / 2
            response.pixel_distances.append(float(distance))
        response.codes.CopyFrom(tensors.from_array(np.concatenate(codes).astype(np.uint16)))
        return response

    async def DecodePictures(self, request: pb.DecodePicturesRequest) -> pb.DecodePicturesResponse:
        """Decode codes; `ResourceExhausted` when the pictures do not fit into one message."""
        model = self._registry.find(request.model, "picture", "model")
        image = check_spec(request.image, model.spec.image_size, "image")
        codes = self._check_codes(request.codes, model.spec)
        if image.format == asset_pb2.IMAGE_FORMAT_RGBA8:
            self._check_size(image.rgba_bytes() * len(codes), len(codes))
        response = pb.DecodePicturesResponse(model=model.served_by())
        size = response.ByteSize()
        for row in codes:
            pixels = quantise(await _decoded(model, row[None]))
            made = await asyncio.to_thread(encode, pixels[0], image)
            size += made.ByteSize() + MESSAGE_BYTES
            self._check_size(size, len(codes))
            response.images.append(made)
        return response

    async def _picture(self, file: bytes, spec: Spec, field: str) -> Floats:
        """Read a picture in a worker thread, a few at once."""
        most = self._limits.max_picture_pixels
        async with self._decodes:
            return await asyncio.to_thread(pictures.from_file, file, spec.image_size, CHANNELS, max_pixels=most, field=field)

    def _check_codes(self, tensor: tensor_pb2.Tensor, spec: Spec) -> Ints:
        """Return the codes int64[N, G, G] of a request."""
        shape, grid = tensor.shape, spec.grid
        rows = shape[0] if len(shape) == 3 else 1
        if rows >= 0:
            self._check_count(rows, "codes")
        wanted = TensorSpec(name="codes", dtype="uint16", shape=["batch", grid, grid])
        codes: npt.NDArray[Any] = tensors.match(tensor, wanted, rows, "codes")
        if codes.max() >= spec.codebook_size:
            message = f"holds code {codes.max()}, the model's are 0 to {spec.codebook_size - 1}; use the model that made them"
            raise InvalidArgument(message, field="codes")
        return codes.astype(np.int64)

    def _check_count(self, count: int, field: str) -> None:
        if not count:
            raise InvalidArgument(f"is empty, expected 1 to {self._limits.max_pictures} pictures", field=field)
        if count > self._limits.max_pictures:
            message = f"{count} pictures in one call, expected at most {self._limits.max_pictures}; ask in several calls"
            raise ResourceExhausted(message, field=field)

    def _check_size(self, size: int, count: int) -> None:
        most = self._limits.max_message_bytes
        if size > most:
            message = f"{count} pictures take {size} bytes or more, one message holds {most}; ask for fewer or smaller ones"
            raise ResourceExhausted(message, field="codes")


async def _codes(model: ServedModel, picture: Floats) -> Ints:
    """Return the codes int64[1, G, G] of a picture float32[1, 3, S, S]."""
    codes: Ints = (await model.batchers["encoder"].run({"picture": picture}, alone=True))["codes"]
    if codes.min() < 0 or codes.max() >= model.spec.codebook_size:
        message = f"its encoder gives codes {codes.min()} to {codes.max()}, expected 0 to {model.spec.codebook_size - 1}"
        raise FailedPrecondition(f"{message}; export it again", field="model")
    return codes


async def _decoded(model: ServedModel, codes: Ints) -> Floats:
    """Return the picture float32[1, 3, S, S] of codes int64[1, G, G]."""
    picture: Floats = (await model.batchers["decoder"].run({"codes": codes}, alone=True))["picture"]
    if not np.isfinite(picture).all():
        raise FailedPrecondition("its decoder gives colours that are not finite; export it again", field="model")
    return picture
