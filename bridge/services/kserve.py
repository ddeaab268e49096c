"""`inference.GRPCInferenceService`: every graph of every bundle over the Open Inference Protocol (KServe v2).

Its tensors meet arrays in `bridge.tensors` like all others; its requests are batched with those of the families.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from bridge import __version__, tensors
from bridge.config import Limits
from bridge.errors import InvalidArgument, NotFound, ResourceExhausted, ServiceError
from bridge.game_sessions import GameSessions
from bridge.kserve import inference_pb2 as pb
from bridge.model_card import GraphCard, TensorSpec
from bridge.registry import Key, Registry, ServedModel, UnservedModel
from bridge.v1.model_service_pb2 import MODEL_STATE_DRAINING, MODEL_STATE_LOADING

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
PLATFORM = "onnxruntime_onnx"
STATES = {MODEL_STATE_LOADING: "LOADING", MODEL_STATE_DRAINING: "UNLOADING"}
UNWANTED = 16
"""Messages' worth of outputs that one call may have made; what it does not want of them is not sent."""
SHARED_MEMORY = "shared_memory_region"


class Service:
    """Lists, describes and runs graphs by `<bundle>.<graph>`."""

    def __init__(self, registry: Registry, limits: Limits, sessions: GameSessions) -> None:
        self._registry = registry
        self._limits = limits

    async def ServerLive(self, request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """Say that the sidecar runs."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """Say whether the models are loaded."""
        return pb.ServerReadyResponse(ready=self._registry.ready)

    async def ModelReady(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Say whether a model serves; what is not there is not ready."""
        try:
            self._find(request.name, request.version, "name", "version")
        except ServiceError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        """Name the sidecar."""
        return pb.ServerMetadataResponse(name="metabridge", version=__version__, extensions=["model_repository"])

    async def ModelMetadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """Describe a model's tensors."""
        model, graph = self._find(request.name, request.version, "name", "version")
        versions = sorted(version for name, version in self._registry.served if name == model.card.name)
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[str(version) for version in versions],
            platform=PLATFORM,
            inputs=[_metadata(spec) for spec in graph.inputs],
            outputs=[_metadata(spec) for spec in graph.outputs],
        )

    async def ModelInfer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Run a graph on the request's tensors."""
        model, graph = self._find(request.model_name, request.model_version, "model_name", "model_version")
        wanted = _wanted(request, graph)
        feeds = _feeds(request, graph)
        rows, limit = len(next(iter(feeds.values()))), self._limits.max_message_bytes
        self._check_size(sum(_row_bytes(spec) * rows for spec in graph.outputs if spec.name in wanted), limit)
        self._check_size(sum(_row_bytes(spec) * rows for spec in graph.outputs), UNWANTED * limit)
        outputs = await model.batchers[graph.name].run(feeds)
        response = pb.ModelInferResponse(model_name=request.model_name, model_version=str(model.card.version), id=request.id)
        self._check_size(sum(outputs[name].nbytes for name in wanted), limit)
        for name in wanted:
            array = outputs[name]
            response.outputs.add(name=name, datatype=tensors.kserve_datatype(array.dtype.name), shape=array.shape)
            response.raw_output_contents.append(tensors.from_array(array).data)
        return response

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """List all models."""
        models = [index for key, (entry, _) in self._registry.entries().items() for index in _index(key, entry)]
        return pb.RepositoryIndexResponse(models=[m for m in models if m.state == "READY" or not request.ready])

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            message = f"the outputs have {size} bytes, expected at most {limit}; ask for fewer rows"
            raise ResourceExhausted(message, field="outputs")

    def _find(self, name: str, version: str, name_field: str, version_field: str) -> tuple[ServedModel, GraphCard]:
        if version and not (version.isascii() and version.isdecimal() and len(version) < 10):
            raise InvalidArgument(f'is "{version}", expected decimal digits, or nothing for the latest', field=version_field)
        bundle, dot, graph = name.rpartition(".")
        if not dot:
            raise InvalidArgument(f'is "{name}", expected "<bundle>.<graph>" as RepositoryIndex lists them', field=name_field)
        model = self._registry.find_any(bundle, int(version or 0), name_field, version_field)
        found = next((card for card in model.card.graphs if card.name == graph), None)
        if found is None:
            raise NotFound(f'"{bundle}" has graphs {[g.name for g in model.card.graphs]}, not "{graph}"', field=name_field)
        return model, found


def _row_bytes(spec: TensorSpec) -> int:
    """Return the least bytes of a row of an output."""
    return np.dtype(spec.dtype).itemsize * prod(size for size in spec.shape[1:] if isinstance(size, int))


def _feeds(request: pb.ModelInferRequest, graph: GraphCard) -> dict[str, tensors.Array]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        message = f"has {len(raw)} entries for {len(request.inputs)} inputs, expected one for each, or none"
        raise InvalidArgument(message, field="raw_input_contents")
    specs = {spec.name: spec for spec in graph.inputs}
    feeds: dict[str, tensors.Array] = {}
    for i, given in enumerate(request.inputs):
        path = f"inputs[{i}]"
        _refuse_shared_memory(given, path)
        spec = specs.get(given.name)
        if spec is None or given.name in feeds:
            problem = "twice" if spec else "unknown"
            raise InvalidArgument(f'"{given.name}" is {problem}, expected {list(specs)}', field=f"{path}.name")
        rows = len(next(iter(feeds.values()))) if feeds else (given.shape[0] if given.shape else 0)
        feeds[given.name] = tensors.match(tensors.from_kserve(given, raw[i] if raw else None, path), spec, rows, path)
        if not rows:
            raise InvalidArgument("has no rows, expected 1 at least", field=f"{path}.shape")
    missing = [name for name in specs if name not in feeds]
    if missing:
        raise InvalidArgument(f"{missing} missing, expected {list(specs)}", field="inputs")
    return feeds


def _wanted(request: pb.ModelInferRequest, graph: GraphCard) -> list[str]:
    names, wanted = [spec.name for spec in graph.outputs], list[str]()
    for i, output in enumerate(request.outputs):
        _refuse_shared_memory(output, f"outputs[{i}]")
        if output.name not in names or output.name in wanted:
            problem = "twice" if output.name in names else "unknown"
            raise InvalidArgument(f'"{output.name}" is {problem}, expected some of {names}', field=f"outputs[{i}].name")
        wanted.append(output.name)
    return wanted or names


def _refuse_shared_memory(tensor: Any, path: str) -> None:
    if SHARED_MEMORY in tensor.parameters:
        raise InvalidArgument(
            "names shared memory, which this sidecar does not read; send the bytes", field=f"{path}.parameters"
        )


def _metadata(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    shape = [size if isinstance(size, int) else -1 for size in spec.shape]
    return pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=tensors.kserve_datatype(spec.dtype), shape=shape)


def _index(key: Key, entry: ServedModel | UnservedModel) -> Iterator[pb.RepositoryIndexResponse.ModelIndex]:
    name, version = key
    if isinstance(entry, UnservedModel):
        state = STATES.get(entry.state, "UNAVAILABLE")
        yield pb.RepositoryIndexResponse.ModelIndex(name=name, version=str(version), state=state, reason=entry.reason)
        return
    for graph in entry.card.graphs:
        yield pb.RepositoryIndexResponse.ModelIndex(name=f"{name}.{graph.name}", version=str(version), state="READY")
