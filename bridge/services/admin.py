"""`AdminService`: load and unload bundles while the sidecar runs."""

from __future__ import annotations

from bridge.errors import FailedPrecondition
from bridge.registry import Key
from bridge.reloader import Reloader
from bridge.services.model import describe
from bridge.v1 import admin_service_pb2 as pb
from bridge.v1 import model_service_pb2

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["AdminService"]


class Service:
    """Changes what the registry serves."""

    def __init__(self, reloader: Reloader) -> None:
        self._reloader = reloader

    async def ReloadModels(self, request: pb.ReloadModelsRequest) -> pb.ReloadModelsResponse:
        """Bring the registry in step with the models folder."""
        try:
            await self._reloader.reload()
        except OSError as error:
            raise FailedPrecondition(f"the models folder cannot be read, what was loaded serves on: {error}") from error
        return pb.ReloadModelsResponse(models=[describe(*entry) for entry in self._reloader.registry.entries().values()])

    async def LoadModel(self, request: pb.LoadModelRequest) -> pb.LoadModelResponse:
        """Load a bundle afresh and swap it in."""
        return pb.LoadModelResponse(model=self._describe(await self._reloader.load_model(request.model)))

    async def UnloadModel(self, request: pb.UnloadModelRequest) -> pb.UnloadModelResponse:
        """Take a bundle out of service."""
        return pb.UnloadModelResponse(model=self._describe(await self._reloader.unload_model(request.model)))

    def _describe(self, key: Key) -> model_service_pb2.Model:
        return describe(*self._reloader.registry.entries()[key])
