"""`ModelService`: which bundles the sidecar serves, and their cards."""

from __future__ import annotations

from typing import Any

from bridge.config import Limits
from bridge.errors import InvalidArgument, NotFound
from bridge.game_sessions import GameSessions
from bridge.model_card import GraphCard, TensorSpec
from bridge.registry import Key, RefusedModel, Registry, ServedModel
from bridge.v1 import model_service_pb2 as pb

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ModelService"]


class Service:
    """Lists and describes the bundles of the registry."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry

    async def ListModels(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        """List every bundle by name and version, the refused ones with the reason."""
        entries: dict[Key, ServedModel | RefusedModel] = {**self._registry.served, **self._registry.refused}
        models = [_model(entries[key]) for key in sorted(entries)]
        return pb.ListModelsResponse(models=[m for m in models if request.family in ("", m.family)])

    async def GetModel(self, request: pb.GetModelRequest) -> pb.GetModelResponse:
        """Describe one bundle; version 0 is the latest that serves, or the latest refused one if none does."""
        entry = self._find(request.model)
        response = pb.GetModelResponse(model=_model(entry), card_json=entry.card_json)
        if isinstance(entry, ServedModel):
            response.graphs.extend(_graph(graph) for graph in entry.card.graphs)
            response.controls.extend(_control(control) for control in getattr(entry.spec, "controls", ()))
        return response

    def _find(self, selector: pb.ModelSelector) -> ServedModel | RefusedModel:
        if not selector.name:
            raise InvalidArgument("is empty, expected the name of a model", field="model.name")
        served = {v: m for (name, v), m in list(self._registry.served.items()) if name == selector.name}
        refused = {v: m for (name, v), m in list(self._registry.refused.items()) if name == selector.name}
        versions = sorted({*served, *refused})
        if not versions:
            names = sorted({name for name, _ in (*self._registry.served, *self._registry.refused)})
            raise NotFound(f'there is no model "{selector.name}", there are {names}', field="model.name")
        version = selector.version or max(served or refused)
        entry = served.get(version) or refused.get(version)
        if entry is None:
            raise NotFound(f'"{selector.name}" has versions {versions}, not {version}', field="model.version")
        return entry


def _model(entry: ServedModel | RefusedModel) -> pb.Model:
    if isinstance(entry, RefusedModel):
        return pb.Model(
            name=entry.name,
            version=entry.version,
            family=entry.family,
            state=pb.MODEL_STATE_FAILED,
            reason=entry.reason,
        )
    card = entry.card
    return pb.Model(
        name=card.name,
        version=card.version,
        family=card.family,
        state=pb.MODEL_STATE_SERVING,
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
