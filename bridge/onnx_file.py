"""What is checked of an ONNX file before ONNX Runtime sees it: where it lies, its hash, and the files it refers to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError, Message

from bridge.model_card import GraphCard, sha256_file


class OnnxFileError(ValueError):
    """A graph file that must not be loaded; the message says why and what to do."""


def checked_source(folder: Path, graph: GraphCard) -> bytes | str:
    """Return what ONNX Runtime may load: the very bytes that were hashed, or the path where external data needs one.

    Raises `OnnxFileError` when the file is missing, is or passes through a symbolic link out of the bundle, differs from the
    card's SHA-256, does not parse, or refers to a file that leaves the bundle or that the card does not list.
    """
    path = _inside(folder, graph.file)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != graph.sha256:
        message = f"{path}: sha256 is {digest}, the card says {graph.sha256}; the file is damaged or exchanged: export it again"
        raise OnnxFileError(message)
    locations = sorted(set(external_locations(data, path)))
    for location in locations:
        _check_external(folder, graph, location)
    return str(path) if locations else data


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise OnnxFileError(f"{path}: no such file, the card names it; export the bundle again")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise OnnxFileError(f"{path}: leads out of the bundle to {path.resolve()}; put the file itself there")
    return path


def _check_external(folder: Path, graph: GraphCard, location: str) -> None:
    pure = PurePosixPath(location.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in location:
        message = f'{folder / graph.file}: external data "{location}" leaves the bundle; save it beside the graph'
        raise OnnxFileError(message)
    expected = graph.external_files.get(location)
    if expected is None:
        message = f'{folder / graph.file}: external data "{location}" is not in the card; export the bundle again'
        raise OnnxFileError(message)
    digest = sha256_file(_inside(folder, location))
    if digest != expected:
        raise OnnxFileError(f"{folder / location}: sha256 is {digest}, the card says {expected}; export it again")


def external_locations(data: bytes, path: Path) -> Iterator[str]:
    """Yield the names of the files that an ONNX file refers to; `OnnxFileError` for bytes that are no ONNX model."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise OnnxFileError(f"{path}: not an ONNX model ({error}); export it again") from error
    yield from _locations(model)


def _locations(message: Message) -> Iterator[str]:
    """Yield the external files of every tensor, wherever it stands (initializers, attributes, subgraphs, functions).

    What its data_location says does not matter: a listed file is a file that may be read.
    """
    if isinstance(message, onnx.TensorProto):
        yield from (entry.value for entry in message.external_data if entry.key == "location")
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.is_repeated else (value,):
            yield from _locations(part)
