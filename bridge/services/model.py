"""`ModelService`: which bundles the sidecar serves, and their cards."""

from __future__ import annotations

from typing import Any

from bridge.config import Limits
from bridge.errors import InvalidArgument, NotFound
from bridge.game_sessions import GameSessions
from bridge.model_card import GraphCard, TensorSpec
from bridge.registry import Registry, ServedModel, UnservedModel
from bridge.v1 import model_service_pb2 as pb

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ModelService"]


class Service:
    """Lists and describes the bundles of the registry."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry

    async def ListModels(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        """List every bundle by name and version, those that do not serve with the reason."""
        models = [describe(*entry) for entry in self._registry.entries().values()]
        return pb.ListModelsResponse(models=[m for m in models if request.family in ("", m.family)])

    async def GetModel(self, request: pb.GetModelRequest) -> pb.GetModelResponse:
        """Describe one bundle; version 0 is the latest that serves, or the latest of all if none does."""
        entry, since = self._find(request.model)
        response = pb.GetModelResponse(model=describe(entry, since), card_json=entry.card_json)
        if isinstance(entry, ServedModel):
            response.graphs.extend(_graph(graph) for graph in entry.card.graphs)
            response.controls.extend(_control(control) for control in getattr(entry.spec, "controls", ()))
        return response

    def _find(self, selector: pb.ModelSelector) -> tuple[ServedModel | UnservedModel, UnservedModel | None]:
        if not selector.name:
            raise InvalidArgument("is empty, expected the name of a model", field="model.name")
        entries = self._registry.entries()
        versions = {version: entry for (name, version), entry in entries.items() if name == selector.name}
        if not versions:
            names = sorted({name for name, _ in entries})
            raise NotFound(f'there is no model "{selector.name}", there are {names}', field="model.name")
        served = [version for version, (entry, _) in versions.items() if isinstance(entry, ServedModel)]
        found = versions.get(selector.version or max(served or versions))
        if found is None:
            raise NotFound(f'"{selector.name}" has versions {list(versions)}, not {selector.version}', field="model.version")
        return found


def describe(entry: ServedModel | UnservedModel, since: UnservedModel | None = None) -> pb.Model:
    """Return what a list says of a bundle; `since` is what became of a served one's files after it was loaded."""
    if isinstance(entry, UnservedModel):
        return pb.Model(name=entry.name, version=entry.version, family=entry.family, state=entry.state, reason=entry.reason)
    return pb.Model(
        name=entry.card.name,
        version=entry.card.version,
        family=entry.card.family,
        state=pb.MODEL_STATE_SERVING,
        reason=since.reason if since else "",
        provider=entry.provider,
    )


def _graph(graph: GraphCard) -> pb.Graph:
    return pb.Graph(
        name=graph.name,
        sha256=graph.sha256,
        opset=graph.opset,
        inputs=[_tensor(spec) for spec in graph.inputs],
        outputs=[_tensor(spec) for spec in graph.outputs],
    )


def _control(control: Any) -> pb.Control:
    return pb.Control(name=control.name, low=control.low, high=control.high, description=control.description)


def _tensor(spec: TensorSpec) -> pb.TensorDescription:
    shape = [size if isinstance(size, int) else -1 for size in spec.shape]
    dtype = f"DATA_TYPE_{spec.dtype.upper()}"
    return pb.TensorDescription(name=spec.name, dtype=dtype, shape=shape)
