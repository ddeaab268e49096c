"""ONNX files of strangers: read with their weights inside, run row by row for the gate, published under a spec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError

from bridge.model_card import Provenance, TensorSpec
from export.npc.policy_options import PolicyOptions
from export.npc.spec_file import PolicySpec, policy_spec, read_spec
from export.npc.spec_gate import Reference, SpecGate, sample
from export.onnx_model import MAX_GRAPH_BYTES, Graph, publish

Array = npt.NDArray[Any]


def read_model(path: Path) -> onnx.ModelProto:
    """Return a checked model; `ValueError` for a file that is none, or whose weights lie in other files."""
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes, expected at most {MAX_GRAPH_BYTES}")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ValueError(f"{path}: no ONNX model with its weights inside: {error}") from error
    return model


def open_session(model: onnx.ModelProto, path: Path) -> onnxruntime.InferenceSession:
    """Return a session on one thread; `ValueError` for a model that ONNX Runtime does not run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a different class for each kind of fault
        raise ValueError(f"{path}: ONNX Runtime refuses it: {error}") from error


def run_rows(session: onnxruntime.InferenceSession, names: list[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run each row by itself, as a game with one agent does, and return the outputs' rows one under another."""
    rows = len(next(iter(feeds.values())))
    parts = [session.run(names, {name: array[row : row + 1] for name, array in feeds.items()}) for row in range(rows)]
    return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}


def declare(values: Any, tensors: tuple[TensorSpec, ...]) -> None:
    """Put inputs or outputs of a graph in the order of `tensors`, of which each has to be there, with their shapes.

    Sizes that a file does not say, or says of its batch, become what the spec says; the gate finds out whether that is true.
    """
    found = {value.name: value for value in values}
    missing = [tensor.name for tensor in tensors if tensor.name not in found]
    if missing or len(found) != len(tensors):
        raise ValueError(f"the graph has {sorted(found)}, its spec says {[tensor.name for tensor in tensors]}")
    ordered = []
    for tensor in tensors:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
        if found[tensor.name].type.tensor_type.elem_type != kind:
            raise ValueError(f'"{tensor.name}" of the graph is of another type than {tensor.dtype}, which its spec says')
        ordered.append(onnx.helper.make_tensor_value_info(tensor.name, kind, tensor.shape))
    del values[:]
    values.extend(ordered)


def export_bare(source: Path, models: Path, name: str, spec: Path, options: PolicyOptions, version: int | None = None) -> Path:
    """Publish an ONNX file as it is, under a hand-written spec whose names are its inputs and outputs."""
    model = read_model(source)
    policy = read_spec(spec)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    section = dict(policy.section)
    section["observations"] = [
        entry | {"dtype": onnx.helper.tensor_dtype_to_np_dtype(types[entry["name"]]).name} if entry["name"] in types else entry
        for entry in section["observations"]
    ]
    policy = policy_spec(section)
    session = open_session(model, source)

    def reference(feeds: Mapping[str, Array], deterministic: bool) -> dict[str, Array]:
        return run_rows(session, [tensor.name for tensor in policy.outputs], feeds)

    return publish_model(model, policy, reference, source, models, name, options, version)


def publish_model(
    model: onnx.ModelProto,
    policy: PolicySpec,
    reference: Reference,
    source: Path,
    models: Path,
    name: str,
    options: PolicyOptions,
    version: int | None,
) -> Path:
    """Publish a model whose inputs and outputs are those of the spec, behind the gate against `reference`."""
    try:
        declare(model.graph.input, policy.inputs)
        declare(model.graph.output, policy.outputs)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    del model.graph.value_info[:]
    graph = Graph(
        "policy",
        model,
        policy.inputs,
        policy.outputs,
        lambda rng, batch: sample(policy, rng, batch),
        gate=lambda path, seed: SpecGate(policy, reference, path, seed, options.recorded).check(),
    )
    producer = f"{model.producer_name} {model.producer_version}".strip()
    provenance = Provenance(
        dataset=options.environment,
        dataset_licence=options.environment_licence,
        trainer=f"an ONNX file{f' by {producer}' if producer else ''}",
        seed=0,
        config={"file": source.name},
    )
    return publish(models, name=name, family="npc", graphs=[graph], spec=policy.section, provenance=provenance, version=version)
