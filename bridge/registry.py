"""From the models folder to live models: every bundle is verified, loaded and warmed up, or refused with a reason."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bridge.batcher import Batcher, BatchLimits
from bridge.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from bridge.model_card import CARD_FILE, CardError, ModelCard, read_card
from bridge.onnx_file import OnnxFileError
from bridge.session import Session, SessionError
from bridge.v1 import model_service_pb2

log = logging.getLogger("metabridge")
Key = tuple[str, int]


class Family(Protocol):
    """What a family's service module tells the registry about its bundles."""

    Spec: type[Any]
    MAX_BATCH: int
    THREADS: int
    GRAPHS: tuple[str, ...]
    OPTIONAL_GRAPHS: tuple[str, ...]


@dataclass(frozen=True)
class ServedModel:
    """A bundle that serves: its card, its family's parsed section, and a batcher for each graph."""

    card: ModelCard
    card_json: str
    spec: Any
    provider: str
    batchers: Mapping[str, Batcher]

    def served_by(self) -> model_service_pb2.ServedBy:
        """Return what an answer says about the model that made it."""
        return model_service_pb2.ServedBy(name=self.card.name, version=self.card.version, provider=self.provider)


@dataclass(frozen=True)
class RefusedModel:
    """A bundle that does not serve, with the reason and, where it could be read, its card."""

    name: str
    version: int
    reason: str
    family: str = ""
    card_json: str = ""


@dataclass(frozen=True)
class LoadOptions:
    """How bundles are loaded; a family's own numbers stand where these are 0."""

    providers: Sequence[str]
    strict: bool
    executor: Executor
    max_batch: int = 0
    max_wait_s: float = 0.0
    queue_capacity: int = 256
    threads: int = 0


@dataclass
class Registry:
    """The bundles of a models folder by name and version."""

    families: Mapping[str, Family]
    served: dict[Key, ServedModel] = field(default_factory=dict)
    refused: dict[Key, RefusedModel] = field(default_factory=dict)
    ready: bool = False

    def load(self, models: Path, options: LoadOptions) -> None:
        """Load every bundle `<name>/<version>/`; folders that start with a dot are being written and are passed over."""
        for folder in sorted(models.glob("*/*")):
            if folder.is_dir() and not folder.name.startswith(".") and not folder.parent.name.startswith("."):
                self._load_bundle(folder, options)
        self.ready = True

    def find(self, selector: model_service_pb2.ModelSelector, family: str, path: str) -> ServedModel:
        """Return the model that a request names at field `path`; version 0 is the latest that serves.

        Raises `InvalidArgument` for no name or another family's model, `NotFound` for an unknown name or version,
        `FailedPrecondition` for a refused bundle and `Unavailable` while the sidecar still loads.
        """
        if not self.ready:
            raise Unavailable("the sidecar still loads its models; try again", retry_s=1.0)
        if not selector.name:
            raise InvalidArgument('is empty, expected the name of a model, see "ListModels"', field=f"{path}.name")
        model = self._select(selector.name, selector.version, path)
        if model.card.family != family:
            message = f'"{selector.name}" is of family {model.card.family}, expected {family}'
            raise InvalidArgument(message, field=f"{path}.name")
        return model

    def _select(self, name: str, version: int, path: str) -> ServedModel:
        versions = sorted(v for n, v in self.served if n == name)
        refused = self.refused.get((name, version or max((v for n, v in self.refused if n == name), default=0)))
        if version in versions or (not version and versions):
            return self.served[(name, version or versions[-1])]
        if refused and (version or not versions):
            message = f'"{name}" version {refused.version} is refused: {refused.reason}'
            raise FailedPrecondition(message, field=path)
        if not versions and not any(n == name for n, _ in self.refused):
            names = sorted({n for n, _ in self.served})
            raise NotFound(f'there is no model "{name}", there are {names}', field=f"{path}.name")
        raise NotFound(f'"{name}" has versions {versions}, not {version}', field=f"{path}.version")

    def _load_bundle(self, folder: Path, options: LoadOptions) -> None:
        name, number = folder.parent.name, folder.name
        if not re.fullmatch(r"[1-9][0-9]{0,8}", number):
            log.warning("%s is passed over: a version is a positive integer, not %s", _text(str(folder)), _text(number))
            return
        key = (_text(name), int(number))
        try:
            self.served[key] = self._open(folder, options)
            log.info("serving %s version %s on %s", name, number, self.served[key].provider)
        except (CardError, OnnxFileError, SessionError, OSError) as error:
            self.refused[key] = _refused(folder, key, _text(str(error)))
            log.error("refused %s version %s: %s", *key, error)
        except Exception as error:  # whatever a bundle does, the others serve
            self.refused[key] = _refused(folder, key, _text(f"{type(error).__name__}: {error}; export it again"))
            log.exception("refused %s version %s", *key)

    def _open(self, folder: Path, options: LoadOptions) -> ServedModel:
        path = folder / CARD_FILE
        if not path.is_file():
            raise CardError(f"{path}: no such file; a bundle holds a card, export it again")
        card = read_card(path)
        if (card.name, str(card.version)) != (folder.parent.name, folder.name):
            raise CardError(f"{path}: is of {card.name} {card.version}, but lies in {folder}; move it there")
        family = self.families.get(card.family)
        if family is None:
            raise CardError(f'{path}: family is "{card.family}", this sidecar serves {list(self.families)}')
        graphs = tuple(graph.name for graph in card.graphs)
        if graphs != (*family.GRAPHS, *(name for name in family.OPTIONAL_GRAPHS if name in graphs)):
            expected = [*family.GRAPHS, *(f"{name} (optional)" for name in family.OPTIONAL_GRAPHS)]
            raise CardError(f"{path}: graphs are {list(graphs)}, family {card.family} has {expected}")
        spec = _parse_spec(card, family, path)
        sessions = {graph.name: _session(folder, card, graph.name, family, options) for graph in card.graphs}
        limits = BatchLimits(options.max_batch or family.MAX_BATCH, options.max_wait_s, options.queue_capacity)
        batchers = {name: Batcher(session, limits, options.executor) for name, session in sessions.items()}
        providers = {session.provider for session in sessions.values()}
        return ServedModel(card, path.read_text("utf-8"), spec, "+".join(sorted(providers)), batchers)


def _session(folder: Path, card: ModelCard, graph: str, family: Family, options: LoadOptions) -> Session:
    return Session(
        folder,
        card.graph(graph),
        providers=options.providers,
        threads=options.threads or family.THREADS,
        warm_up_rows=min(options.max_batch or family.MAX_BATCH, 64),
        strict=options.strict,
    )


def _parse_spec(card: ModelCard, family: Family, path: Path) -> Any:
    try:
        spec = msgspec.convert(card.spec, family.Spec)
        spec.check(card)
    except (msgspec.ValidationError, ValueError) as error:
        raise CardError(f"{path}: spec of family {card.family}: {error}") from error
    return spec


def _text(value: str) -> str:
    """Return text that a message can carry: a file name may hold bytes that are no UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _refused(folder: Path, key: Key, reason: str) -> RefusedModel:
    """Describe a refused bundle with what can still be read of its card."""
    try:
        card = read_card(folder / CARD_FILE)
        return RefusedModel(*key, reason, card.family, (folder / CARD_FILE).read_text("utf-8"))
    except (CardError, OSError):
        return RefusedModel(*key, reason)
