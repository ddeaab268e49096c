"""Publishes PyTorch modules as an ONNX model bundle, behind a parity gate.

A bundle appears in `models/<name>/<version>/` whole or not at all, and only when ONNX Runtime computes what PyTorch
computes.
"""

from __future__ import annotations

import inspect
import logging
import re
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from bridge.model_card import (
    CARD_FILE,
    NAME_PATTERN,
    GraphCard,
    ModelCard,
    Provenance,
    TensorSpec,
    sha256_file,
    write_card,
)
from export.parity import Parity, ParityError, check_parity

__all__ = ["Graph", "ParityError", "next_version", "publish"]

OPSET = 20
MAX_GRAPH_BYTES = 1_500_000_000
"""Larger graphs would need external data files, whose bytes the card's hash does not cover."""

Feeds = dict[str, np.ndarray]


@dataclass(frozen=True)
class Graph:
    """One graph of a bundle.

    module takes its inputs positionally in the order of `inputs` and returns a tensor or a tuple in the order of
    `outputs`; it may be an ONNX model already, which then needs a gate of its own. sample draws feeds for a batch size from a
    generator: what the parity gate runs on.
    reference, where given, is what the gate compares with, in place of `module`. ties, where given, takes the same inputs
    and returns for each output which of its values hang on a tie, such as an arg-max between scores that are equal within
    rounding: there PyTorch and ONNX Runtime may differ; the card counts where they did. gate, where given, is what checks the
    written file in place of `check_parity`, from its path and a seed.
    """

    name: str
    module: nn.Module | onnx.ModelProto
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    sample: Callable[[np.random.Generator, int], Feeds]
    reference: nn.Module | None = None
    ties: nn.Module | None = None
    gate: Callable[[Path, int], Parity] | None = None


def publish(
    models: Path,
    *,
    name: str,
    family: str,
    graphs: Sequence[Graph],
    spec: dict[str, Any],
    provenance: Provenance,
    version: int | None = None,
) -> Path:
    """Exports the graphs, checks their parity and moves the finished bundle into `models/<name>/<version>`.

    version None takes the next free number. Raises ParityError when a graph's error is over its limit, ValueError for
    a bad name or graph, FileExistsError when the version is taken; in each case nothing is left behind.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(f'model name "{name}" does not match {NAME_PATTERN.pattern}')
    version = next_version(models, name) if version is None else version
    target = models / name / str(version)
    if version < 1:
        raise ValueError(f'model "{name}" can not have version {version}; versions start at 1')
    if target.exists():
        raise FileExistsError(f'"{target}" exists; versions are never replaced, publish without a version number')
    with _new_folder(target) as folder:
        cards = []
        for graph in graphs:
            path = folder / f"{graph.name}.onnx"
            metadata = {"name": name, "version": str(version), "family": family, "graph": graph.name}
            opset = export_graph(graph, path, {f"metabridge.{key}": value for key, value in metadata.items()})
            seed = secrets.randbits(32)
            parity = graph.gate(path, seed) if graph.gate else check_parity(graph, path, seed=seed)
            cards.append(
                GraphCard(
                    name=graph.name,
                    file=path.name,
                    sha256=sha256_file(path),
                    opset=opset,
                    inputs=list(graph.inputs),
                    outputs=list(graph.outputs),
                    parity_error=parity.error,
                    parity_batches=parity.batches,
                    parity_ties=parity.ties,
                    parity_report=parity.report,
                )
            )
        card = ModelCard(name=name, family=family, version=version, graphs=cards, spec=spec, provenance=provenance)
        write_card(card, folder / CARD_FILE)
    return target


def next_version(models: Path, name: str) -> int:
    """The number after the highest version of a model, 1 for a new one."""
    folder = models / name
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if re.fullmatch(r"[1-9]\d*", name)), default=0) + 1


def export_graph(graph: Graph, path: Path, metadata: dict[str, str]) -> int:
    """Writes one checked ONNX file with a dynamic batch axis, weights inside and the metadata; returns its opset."""
    proto = graph.module if isinstance(graph.module, onnx.ModelProto) else export_module(graph, graph.module)
    if proto.ByteSize() > MAX_GRAPH_BYTES:
        raise ValueError(f'graph "{graph.name}" takes {proto.ByteSize()} bytes; a bundle takes up to {MAX_GRAPH_BYTES}')
    _declare(proto.graph.input, graph.inputs, graph.name)
    _declare(proto.graph.output, graph.outputs, graph.name)
    _forget_sources(proto)
    onnx.helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)
    return next(opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx"))


def export_module(graph: Graph, module: nn.Module) -> onnx.ModelProto:
    """Traces a module and returns it as ONNX, with a dynamic batch axis and its inputs and outputs named."""
    feeds = graph.sample(np.random.default_rng(0), 3)
    axes: tuple[Any, ...] = tuple({0: torch.export.Dim("batch")} for _ in graph.inputs)
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            tuple(torch.from_numpy(feeds[tensor.name]) for tensor in graph.inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(_placeholders("input", graph.inputs)),
            output_names=list(_placeholders("output", graph.outputs)),
            dynamic_shapes=(axes,) if _takes_varargs(module) else axes,
            verbose=False,
        )
    if program is None:
        raise RuntimeError(f'the exporter returned no program for graph "{graph.name}"')
    proto: onnx.ModelProto = program.model_proto
    _name(proto.graph, _placeholders("input", graph.inputs) | _placeholders("output", graph.outputs))
    return proto


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hides what the exporter says about its own use of PyTorch and about packages that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _placeholders(kind: str, tensors: tuple[TensorSpec, ...]) -> dict[str, str]:
    """The names of inputs or outputs by those that they are exported under, which no value inside a graph has."""
    return {f"metabridge_{kind}_{number}": tensor.name for number, tensor in enumerate(tensors)}


def _name(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Gives inputs and outputs their names, and values inside the graph that are called so already other ones.

    The exporter calls values by what makes them, "view" or "mean", and so may a model call an input.
    """
    names = {name: f"{name}_within" for name in names.values()} | names
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _name(inner, names)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)


def _takes_varargs(module: nn.Module) -> bool:
    """Whether forward gathers its inputs with *args, which the exporter counts as one nested argument."""
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds


def _forget_sources(proto: onnx.ModelProto) -> None:
    """Removes the stack traces that the exporter notes for every node: they hold paths of this machine."""
    graph = proto.graph
    parts: tuple[Any, ...] = (proto, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


def _declare(values: Any, tensors: tuple[TensorSpec, ...], graph: str) -> None:
    """Checks names, dtypes and sizes of a graph's values against their declaration and names the dynamic axes."""
    found, expected = [value.name for value in values], [tensor.name for tensor in tensors]
    if found != expected:
        raise ValueError(f'graph "{graph}" has {found}, declared are {expected}')
    for value, tensor in zip(values, tensors, strict=True):
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        dims = kind.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims]
        matches = len(sizes) == len(tensor.shape) and all(
            isinstance(size, str) if isinstance(want, str) else size == want
            for size, want in zip(sizes, tensor.shape, strict=True)
        )
        if dtype != tensor.dtype or not matches:
            raise ValueError(f"{graph}.{tensor.name} is {dtype} {sizes}, declared is {tensor.dtype} {tensor.shape}")
        for dim, want in zip(dims, tensor.shape, strict=True):
            if isinstance(want, str):
                dim.dim_param = want


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `target` that becomes it at the end, or vanishes after an error."""
    models, parent = target.parent.parent, target.parent
    models.mkdir(parents=True, exist_ok=True)
    # Hidden in the models folder itself, so that no half-made model name can be seen either.
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=models))
    try:
        yield folder
        folder.chmod(0o755)
        parent.mkdir(exist_ok=True)
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
