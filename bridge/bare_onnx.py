"""Bare ONNX files, exported elsewhere: `<name>/<version>/model.onnx` without a card gets one that says what the file says.

Nobody vouches for such a file: it is served only with `--allow-bare-onnx`, only over the Open Inference Protocol, and under the
checks of every other graph (no external data that leaves its folder, no symbolic links out of it).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from bridge.model_card import DTYPES, CardError, GraphCard, ModelCard, Provenance, TensorSpec, sha256_file
from bridge.onnx_file import external_locations

FAMILY = "onnx"
GRAPH, FILE = "model", "model.onnx"
BATCH = "batch"


def bare_card(folder: Path) -> ModelCard:
    """Return a card for the `model.onnx` of a folder; `CardError` for a file that cannot be served."""
    path = folder / FILE
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CardError(f"{path}: leads out of the bundle to {path.resolve()}; put the file itself there")
    data = path.read_bytes()
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise CardError(f"{path}: not an ONNX model ({error}); export it again") from error
    weights = {weight.name for weight in model.graph.initializer}
    inputs = _specs([value for value in model.graph.input if value.name not in weights], path)
    outputs = _specs(model.graph.output, path)
    graph = GraphCard(
        name=GRAPH,
        file=FILE,
        sha256=sha256_file(path),
        opset=max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1),
        inputs=inputs,
        outputs=outputs,
        parity_error=0.0,
        parity_batches=[],
        external_files={name: sha256_file(folder / name) for name in _beside(data, path)},
    )
    provenance = Provenance(dataset="unknown", dataset_licence="unknown", trainer="unknown", seed=0)
    return ModelCard(folder.parent.name, FAMILY, int(folder.name), [graph], {}, provenance)


def _beside(data: bytes, path: Path) -> list[str]:
    """Return the names of external files that lie in the folder; others are left to the check that refuses them."""
    found = {name for name in external_locations(data, path) if (path.parent / name).is_file()}
    return sorted(name for name in found if (path.parent / name).resolve().is_relative_to(path.parent.resolve()))


def _specs(values: Sequence[Any], path: Path) -> list[TensorSpec]:
    specs = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "none"
        axes = [axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?" for axis in tensor.shape.dim]
        if dtype not in DTYPES:
            raise CardError(f"{path}: {value.name} has dtype {dtype}, expected one of {DTYPES}; export the model without it")
        if not axes or isinstance(axes[0], int):
            message = (
                f"{path}: {value.name} has shape {axes}, expected a free first axis, the batch; export it with a dynamic one"
            )
            raise CardError(message)
        specs.append(TensorSpec(name=value.name, dtype=dtype, shape=[BATCH, *axes[1:]]))
    return specs
