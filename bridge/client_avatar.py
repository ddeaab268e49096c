"""The calls of `AvatarService` as Python's client makes them: arrays and messages in, whole images out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.client_connection import Connection, client_error
from bridge.v1 import asset_pb2, avatar_service_pb2, model_service_pb2, tensor_pb2
from bridge.v1.avatar_service_pb2_grpc import AvatarServiceStub


class AvatarCalls(Connection):
    """What a client asks of avatar models."""

    @cached_property
    def _avatars(self) -> Any:
        return AvatarServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def generate_avatars(
        self, model: str, spec: avatar_service_pb2.AvatarSpec, version: int = 0
    ) -> avatar_service_pb2.GenerateAvatarsResponse:
        """Generate avatars in one message."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        request = avatar_service_pb2.GenerateAvatarsRequest(model=selector, spec=spec)
        response: avatar_service_pb2.GenerateAvatarsResponse = self._call(self._avatars.GenerateAvatars, request)
        return response

    def stream_avatars(
        self, model: str, spec: avatar_service_pb2.AvatarSpec, version: int = 0
    ) -> Iterator[avatar_service_pb2.Avatar]:
        """Generate avatars one after another, of any size; each is put together from its chunks."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        request = avatar_service_pb2.StreamAvatarsRequest(model=selector, spec=spec)
        for message in _whole(self._avatars.StreamAvatars(request, timeout=self._timeout)):
            yield message.avatar

    def project_avatar(
        self,
        model: str,
        picture: bytes | bytearray | memoryview | npt.NDArray[np.uint8],
        *,
        refine_steps: int = 0,
        seed: int = 0,
        controls: Mapping[str, float] | None = None,
        image: asset_pb2.ImageSpec | None = None,
        version: int = 0,
    ) -> avatar_service_pb2.ProjectAvatarResponse:
        """Find the avatar nearest to a picture: a file's bytes, or pixels uint8[height, width, 3 or 4] (straight alpha).

        Raises `TypeError` for anything else and for pixels of another type, `ValueError` for pixels of another shape.
        """
        request = avatar_service_pb2.ProjectAvatarRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            refine_steps=refine_steps,
            seed=seed,
            controls=controls,
            image=image,
        )
        if isinstance(picture, bytes | bytearray | memoryview):
            request.file = bytes(picture)
        else:
            request.pixels.CopyFrom(_rgba8(picture))
        response: avatar_service_pb2.ProjectAvatarResponse = self._call(self._avatars.ProjectAvatar, request)
        return response

    def morph_avatar(
        self,
        model: str,
        spec: avatar_service_pb2.AvatarSpec,
        *,
        seconds_per_key: float = 0.0,
        frame_rate: float = 0.0,
        loop: bool = False,
        real_time: bool = True,
        version: int = 0,
    ) -> Iterator[avatar_service_pb2.MorphAvatarResponse]:
        """Generate the frames of a morph through the avatars of `spec`, each put together from its chunks.

        The call has no deadline, since it lasts as long as the morph: closing the iterator ends it.
        """
        request = avatar_service_pb2.MorphAvatarRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            spec=spec,
            seconds_per_key=seconds_per_key,
            frame_rate=frame_rate,
            loop=loop,
            pacing=avatar_service_pb2.PACING_REAL_TIME if real_time else avatar_service_pb2.PACING_UNPACED,
        )
        yield from _whole(self._avatars.MorphAvatar(request))


def styles(avatars: Sequence[avatar_service_pb2.Avatar]) -> tensor_pb2.Tensor:
    """Return the styles of N avatars as `AvatarSpec.styles` takes them; each must have come with its styles."""
    return tensors.from_array(np.concatenate([tensors.to_array(avatar.styles, "styles") for avatar in avatars]))


def rgba(image: asset_pb2.Image) -> npt.NDArray[np.uint8]:
    """Return the full size of an RGBA8 image as uint8[height, width, 4], rows as they were sent."""
    count = image.width_px * image.height_px * 4
    return np.frombuffer(image.data, np.uint8, count).reshape(image.height_px, image.width_px, 4)


def _rgba8(pixels: npt.NDArray[np.uint8]) -> asset_pb2.Image:
    expected = "uint8[height, width, 3 or 4]"
    if not isinstance(pixels, np.ndarray):
        message = f"the picture is a {type(pixels).__name__}, expected the bytes of a file or an array {expected}"
        raise TypeError(
            f"{message}; read a file with Path(...).read_bytes(), turn a Pillow image into an array with np.asarray"
        )
    if pixels.dtype != np.uint8:
        hint = "scale values from 0 to 1 by 255, round them and " if pixels.dtype.kind == "f" else ""
        raise TypeError(
            f"the pixels are {pixels.dtype}, expected {expected} with values from 0 to 255; {hint}use astype(np.uint8)"
        )
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        grey = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1)
        hint = "; repeat grey pixels: np.dstack([pixels] * 3)" if grey else ""
        raise ValueError(f"the pixels have the shape {list(pixels.shape)}, expected {expected}{hint}")
    height, width, channels = pixels.shape
    if channels == 3:
        pixels = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], axis=2)
    return asset_pb2.Image(
        format=asset_pb2.IMAGE_FORMAT_RGBA8, width_px=width, height_px=height, mip_levels=1, data=pixels.tobytes()
    )


def _whole(call: Any) -> Iterator[Any]:
    """Yield the messages of a stream of avatars, each with the whole image in place of its last chunk."""
    parts: list[bytes] = []
    try:
        for message in call:
            parts.append(message.avatar.image.data)
            if message.chunk_index + 1 == message.chunk_count:
                message.avatar.image.data = b"".join(parts)
                parts = []
                yield message
    except grpc.RpcError as error:
        raise client_error(error) from error
    finally:
        call.cancel()
