"""`card.json`: the contract between the exporters, which write bundles, and the sidecar, which serves them.

A bundle is the folder `models/<name>/<version>/` with `card.json` and one ONNX file a graph. Everything the sidecar
knows about a model stands in its card; the only other thing it trusts is the SHA-256 of each file named here.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec

SCHEMA_VERSION = 1
CARD_FILE = "card.json"
MAX_CARD_BYTES = 1 << 20
MAX_OPSET = 1000
MAX_COUNT, MAX_WAIT_MS, MAX_INSTANCES, MAX_THREADS = 1 << 20, 60_000, 64, 1024
DTYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool")
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class CardError(ValueError):
    """A card that cannot be used; the message names the file, the field and what was expected there."""


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named input or output of a graph.

    `shape` holds sizes and names of dynamic axes, `["batch", 3, 32, 32]`; the batch axis comes first and is called
    `batch`. `low` and `high` bound the values where a range is known. `scale` (outputs) is the magnitude the parity
    error is measured against: the gate allows 1e-4 x scale.
    """

    name: str
    dtype: str
    shape: list[int | str]
    low: float | None = None
    high: float | None = None
    scale: float = 1.0


class GraphCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ONNX file of the bundle, its hash, its tensors, and the parity error measured when it was published.

    `parity_ties` counts the values that were left out, because they hang on an arg-max between equal scores.
    `parity_report` holds what a family's own gate measured beyond that. `external_files` maps each external-data file of the
    graph (beside it in the bundle) to its SHA-256.
    """

    name: str
    file: str
    sha256: str
    opset: int
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    parity_error: float
    parity_batches: list[int]
    parity_ties: int = 0
    parity_report: dict[str, Any] = {}
    external_files: dict[str, str] = {}


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the model comes from: what a studio's lawyer and its ML engineer ask for.

    `datasheet` describes the training data: source, licence, attribution, count, and for each labelled attribute the share
    of each of its values.
    """

    dataset: str
    dataset_licence: str
    trainer: str
    seed: int
    datasheet: dict[str, Any] = {}
    config: dict[str, Any] = {}
    metrics: dict[str, Any] = {}


Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]


class Serving(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the sidecar is to batch and run the model, where its author knows better than the family; `None` leaves it there.

    `max_batch`: rows in one run. `max_wait_ms`: milliseconds that the first request of a batch waits for others.
    `queue_capacity`: requests that may wait for one graph. `instances`: runs of one graph at the same time. `threads`: of
    ONNX Runtime in one run, 0 for all cores.
    """

    max_batch: Count | None = None
    max_wait_ms: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT_MS)] | None = None
    queue_capacity: Count | None = None
    instances: Annotated[int, msgspec.Meta(ge=1, le=MAX_INSTANCES)] | None = None
    threads: Annotated[int, msgspec.Meta(ge=0, le=MAX_THREADS)] | None = None


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole card. `spec` is the family's own section; the family's service parses it strictly at load."""

    name: str
    family: str
    version: int
    graphs: list[GraphCard]
    spec: dict[str, Any]
    provenance: Provenance
    serving: Serving = Serving()
    schema_version: int = SCHEMA_VERSION

    def graph(self, name: str) -> GraphCard:
        """Return the graph called `name`; `CardError` if the card has none."""
        for graph in self.graphs:
            if graph.name == name:
                return graph
        raise CardError(f'card of {self.name} {self.version} has graphs {[g.name for g in self.graphs]}, not "{name}"')


def read_card(path: Path) -> ModelCard:
    """Read and check `card.json`; `CardError` says which field is wrong and what was expected."""
    if path.stat().st_size > MAX_CARD_BYTES:
        raise CardError(f"{path}: {path.stat().st_size} bytes, a card has at most {MAX_CARD_BYTES}")
    data = path.read_bytes()
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("schema_version")
        if version != SCHEMA_VERSION:
            raise CardError(f"{path}: schema_version is {version!r}, this sidecar reads {SCHEMA_VERSION}; export it again")
        card = msgspec.json.decode(data, type=ModelCard)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CardError(f"{path}: {error}") from error
    _check(card, path)
    return card


def write_card(card: ModelCard, path: Path) -> None:
    """Write the card as indented JSON; `CardError` for a card that `read_card` would refuse."""
    _check(card, path)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check(card: ModelCard, path: Path) -> None:
    if not NAME_PATTERN.fullmatch(card.name):
        raise CardError(f'{path}: name is "{card.name}", expected {NAME_PATTERN.pattern}')
    if card.version < 1:
        raise CardError(f"{path}: version is {card.version}, expected a positive integer")
    names = [graph.name for graph in card.graphs]
    if not names or len(set(names)) != len(names):
        raise CardError(f"{path}: graphs are {names}, expected one or more with different names")
    for graph in card.graphs:
        _check_graph(graph, path)


def _check_graph(graph: GraphCard, path: Path) -> None:
    if graph.file != f"{graph.name}.onnx" or not NAME_PATTERN.fullmatch(graph.name):
        raise CardError(f'{path}: graph "{graph.name}" is in file "{graph.file}", expected "<graph>.onnx" in the bundle')
    if not re.fullmatch(r"[0-9a-f]{64}", graph.sha256):
        raise CardError(f'{path}: sha256 of "{graph.name}" is "{graph.sha256}", expected 64 hexadecimal digits')
    if not 1 <= graph.opset <= MAX_OPSET:
        raise CardError(f'{path}: opset of "{graph.name}" is {graph.opset}, expected 1 to {MAX_OPSET}')
    for tensors in (graph.inputs, graph.outputs):
        names = [tensor.name for tensor in tensors]
        if not names or len(set(names)) != len(names):
            raise CardError(f'{path}: "{graph.name}" has inputs or outputs {names}, expected one or more with different names')
    for tensor in (*graph.inputs, *graph.outputs):
        if tensor.dtype not in DTYPES:
            raise CardError(f'{path}: {graph.name}.{tensor.name} has dtype "{tensor.dtype}", expected one of {DTYPES}')
        if not tensor.shape or tensor.shape[0] != "batch":
            raise CardError(f'{path}: {graph.name}.{tensor.name} has shape {tensor.shape}, expected "batch" first')
