"""A typed Python client of the sidecar, over gRPC.

`Client` is synchronous: one channel, arrays in, arrays out. Errors arrive as `ClientError` with the code, the message and
the path of the field at fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.client_avatar import AvatarCalls, rgba, styles
from bridge.client_connection import ClientError, client_error
from bridge.client_npc import Group, GroupAnswer, NpcCalls
from bridge.client_scene import SceneCalls, heights
from bridge.v1 import admin_service_pb2, asset_pb2, model_service_pb2, picture_service_pb2
from bridge.v1.admin_service_pb2_grpc import AdminServiceStub
from bridge.v1.model_service_pb2_grpc import ModelServiceStub
from bridge.v1.picture_service_pb2_grpc import PictureServiceStub

__all__ = ["Client", "ClientError", "Group", "GroupAnswer", "client_error", "heights", "rgba", "styles"]


class Client(AvatarCalls, SceneCalls, NpcCalls):
    """A connection to a sidecar; `with Client("127.0.0.1:50051") as client` closes it at the end.

    An address is `host:port` or `unix:path`. `token` is sent with every call, for a sidecar that wants one; `tls` names the
    files for one that speaks TLS.
    """

    @cached_property
    def _admin(self) -> Any:
        return AdminServiceStub(self.channel)  # type: ignore[no-untyped-call]

    @cached_property
    def _models(self) -> Any:
        return ModelServiceStub(self.channel)  # type: ignore[no-untyped-call]

    @cached_property
    def _pictures(self) -> Any:
        return PictureServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def models(self) -> list[model_service_pb2.Model]:
        """List every bundle of the sidecar."""
        answer = self._call(self._models.ListModels, model_service_pb2.ListModelsRequest())
        return list(answer.models)

    def model(self, name: str, version: int = 0) -> model_service_pb2.GetModelResponse:
        """Describe one bundle; version 0 is the latest."""
        selector = model_service_pb2.ModelSelector(name=name, version=version)
        response: model_service_pb2.GetModelResponse = self._call(
            self._models.GetModel, model_service_pb2.GetModelRequest(model=selector)
        )
        return response

    def load_model(self, name: str, version: int = 0) -> model_service_pb2.Model:
        """Load a bundle afresh and swap it in; version 0 is the latest in the models folder. Needs the admin token."""
        selector = model_service_pb2.ModelSelector(name=name, version=version)
        answer = self._call(self._admin.LoadModel, admin_service_pb2.LoadModelRequest(model=selector))
        model: model_service_pb2.Model = answer.model
        return model

    def unload_model(self, name: str, version: int = 0) -> model_service_pb2.Model:
        """Take a bundle out of service; version 0 is the latest that serves. Needs the admin token."""
        selector = model_service_pb2.ModelSelector(name=name, version=version)
        answer = self._call(self._admin.UnloadModel, admin_service_pb2.UnloadModelRequest(model=selector))
        model: model_service_pb2.Model = answer.model
        return model

    def reload_models(self) -> list[model_service_pb2.Model]:
        """Bring the sidecar in step with its models folder now; list every bundle. Needs the admin token."""
        answer = self._call(self._admin.ReloadModels, admin_service_pb2.ReloadModelsRequest())
        return list(answer.models)

    def encode_pictures(
        self, model: str, files: Sequence[bytes], *, version: int = 0
    ) -> picture_service_pb2.EncodePicturesResponse:
        """Encode picture files (PNG, JPEG, WebP, BMP, GIF), each the square in its middle, resized."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        request = picture_service_pb2.EncodePicturesRequest(model=selector, files=files)
        response: picture_service_pb2.EncodePicturesResponse = self._call(self._pictures.EncodePictures, request)
        return response

    def decode_pictures(
        self,
        model: str,
        codes: npt.NDArray[np.uint16],
        *,
        image: asset_pb2.ImageSpec | None = None,
        version: int = 0,
    ) -> picture_service_pb2.DecodePicturesResponse:
        """Decode codes uint16[N, G, G] to images."""
        request = picture_service_pb2.DecodePicturesRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version), codes=tensors.from_array(codes), image=image
        )
        response: picture_service_pb2.DecodePicturesResponse = self._call(self._pictures.DecodePictures, request)
        return response
