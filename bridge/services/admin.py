"""`AdminService`: load and unload bundles while the sidecar runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from bridge.errors import FailedPrecondition
from bridge.registry import Key
from bridge.reloader import Reloader
from bridge.services.model import describe
from bridge.v1 import admin_service_pb2 as pb
from bridge.v1 import model_service_pb2

if TYPE_CHECKING:
    from bridge.worker import Worker

T = TypeVar("T")
DESCRIPTOR = pb.DESCRIPTOR.services_by_name["AdminService"]


class Service:
    """Changes what the registry serves."""

    def __init__(self, reloader: Reloader, worker: Worker | None = None) -> None:
        self._reloader = reloader
        self._worker = worker
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ReloadModels(self, request: pb.ReloadModelsRequest) -> pb.ReloadModelsResponse:
        """Bring the registry in step with the models folder."""
        try:
            await self._finish(self._worker.change("reload") if self._worker else self._reloader.reload())
        except OSError as error:
            raise FailedPrecondition(f"the models folder cannot be read, what was loaded serves on: {error}") from error
        return pb.ReloadModelsResponse(models=[describe(*entry) for entry in self._reloader.registry.entries().values()])

    async def LoadModel(self, request: pb.LoadModelRequest) -> pb.LoadModelResponse:
        """Load a bundle afresh and swap it in."""
        return pb.LoadModelResponse(model=self._describe(await self._finish(self._change("load", request.model))))

    async def UnloadModel(self, request: pb.UnloadModelRequest) -> pb.UnloadModelResponse:
        """Take a bundle out of service."""
        return pb.UnloadModelResponse(model=self._describe(await self._finish(self._change("unload", request.model))))

    async def _change(self, action: str, model: model_service_pb2.ModelSelector) -> Key:
        """Load or unload a bundle, where there are several workers in all of them; return its name and version."""
        if self._worker:
            return await self._worker.change(action, model.name, model.version)
        return await (self._reloader.load_model(model) if action == "load" else self._reloader.unload_model(model))

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work to its end, even if the caller is gone before: nothing ends a load, and half a change is none."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: a caller that is gone hears of none

    def _describe(self, key: Key) -> model_service_pb2.Model:
        return describe(*self._reloader.registry.entries()[key])
