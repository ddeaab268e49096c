"""From a bundle's folder to a live model: card, hashes, graphs and family section are checked, every graph is warmed up."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bridge.bare_onnx import FILE as BARE_FILE
from bridge.bare_onnx import bare_card
from bridge.batcher import Batcher, BatchLimits
from bridge.model_card import CARD_FILE, CardError, GraphCard, ModelCard, Serving, read_card
from bridge.models_folder import display
from bridge.onnx_file import OnnxFileError
from bridge.providers import ProviderEntry
from bridge.registry import Family, ServedModel, UnservedModel
from bridge.serving_settings import resolve
from bridge.session import Session, SessionError

WARM_UP_ROWS = 64
BARE_MAX_BATCH = 64
log = logging.getLogger("metabridge")


@dataclass(frozen=True)
class _BareOnnx:
    """What takes a family's place for a graph that has none."""

    Spec: type[Any] = object
    MAX_BATCH: int = BARE_MAX_BATCH
    THREADS: int = 0
    GRAPHS: tuple[str, ...] = ()
    OPTIONAL_GRAPHS: tuple[str, ...] = ()


_BARE: Any = _BareOnnx()


@dataclass(frozen=True)
class LoadOptions:
    """How bundles are loaded: `command` for all models and `overrides` by name go before what cards and families say.

    `rows_of` gives, for a model and a graph, what is called with the rows of each run.
    """

    providers: Sequence[ProviderEntry]
    strict: bool
    executor: Executor
    command: Serving = field(default_factory=Serving)
    overrides: Mapping[str, Serving] = field(default_factory=dict)
    allow_bare_onnx: bool = False
    io_binding: str = "never"
    rows_of: Callable[[str, str], Callable[[float], None]] = lambda model, graph: lambda rows: None


def load_bundle(folder: Path, families: Mapping[str, Family], options: LoadOptions) -> ServedModel | UnservedModel:
    """Load the bundle in `<name>/<version>/`; what is wrong with it comes back as the reason of an `UnservedModel`.

    Takes as long as ONNX Runtime does: call it in a worker thread.
    """
    name, version = display(folder.parent.name), int(folder.name)
    try:
        return _open(folder, families, options)
    except (CardError, OnnxFileError, SessionError, OSError) as error:
        return refusal(folder, display(str(error)))
    except Exception as error:  # whatever a bundle does, the others serve
        log.exception("%s version %s failed to load", name, version)
        return refusal(folder, display(f"{type(error).__name__}: {error}; export it again"))


def refusal(folder: Path, reason: str, **state: Any) -> UnservedModel:
    """Describe a bundle that does not serve with what can be read of its card."""
    key = display(folder.parent.name), int(folder.name)
    try:
        card = read_card(folder / CARD_FILE)
        return UnservedModel(*key, reason, card.family, (folder / CARD_FILE).read_text("utf-8"), **state)
    except (CardError, OSError):
        return UnservedModel(*key, reason, **state)


def _open(folder: Path, families: Mapping[str, Family], options: LoadOptions) -> ServedModel:
    path = folder / CARD_FILE
    if options.allow_bare_onnx and not path.exists() and (folder / BARE_FILE).exists():
        return _serve(folder, bare_card(folder), "", None, _BARE, options)
    if not path.is_file():
        raise CardError(f"{path}: no such file; a bundle holds a card, export it again")
    card = read_card(path)
    if (card.name, str(card.version)) != (folder.parent.name, folder.name):
        raise CardError(f"{path}: is of {card.name} {card.version}, but lies in {folder}; move it there")
    family = families.get(card.family)
    if family is None:
        raise CardError(f'{path}: family is "{card.family}", this sidecar serves {list(families)}')
    graphs = tuple(graph.name for graph in card.graphs)
    if graphs != (*family.GRAPHS, *(name for name in family.OPTIONAL_GRAPHS if name in graphs)):
        expected = [*family.GRAPHS, *(f"{name} (optional)" for name in family.OPTIONAL_GRAPHS)]
        raise CardError(f"{path}: graphs are {list(graphs)}, family {card.family} has {expected}")
    spec = _parse_spec(card, family, path)
    return _serve(folder, card, path.read_text("utf-8"), spec, family, options)


def _serve(folder: Path, card: ModelCard, card_json: str, spec: Any, family: Family, options: LoadOptions) -> ServedModel:
    """Open the sessions of a checked card's graphs."""
    settings = resolve(options.overrides.get(card.name), options.command, card.serving, family)
    sessions = {graph.name: _session(folder, graph, settings, options) for graph in card.graphs}
    limits = BatchLimits(settings.max_batch, settings.max_wait_s, settings.queue_capacity, settings.instances)
    batchers = {
        name: Batcher(session, limits, options.executor, options.rows_of(card.name, name)) for name, session in sessions.items()
    }
    provider = "+".join(sorted({session.provider for session in sessions.values()}))
    digest = hashlib.sha256(card_json.encode() or card.graphs[0].sha256.encode()).hexdigest()
    return ServedModel(card, card_json, digest, spec, provider, batchers)


def _session(folder: Path, graph: GraphCard, settings: Any, options: LoadOptions) -> Session:
    return Session(
        folder,
        graph,
        providers=options.providers,
        threads=settings.threads,
        warm_up_rows=min(settings.max_batch, WARM_UP_ROWS),
        strict=options.strict,
        io_binding=options.io_binding,
    )


def _parse_spec(card: ModelCard, family: Family, path: Path) -> Any:
    try:
        spec = msgspec.convert(card.spec, family.Spec)
        spec.check(card)
    except (msgspec.ValidationError, ValueError) as error:
        raise CardError(f"{path}: spec of family {card.family}: {error}") from error
    return spec
