"""The live models by name and version: what requests find, and what `ListModels` says of every bundle.

Everything here runs on the event loop. `publish` puts a name's versions in place in one step, so that a request finds either
what was there before or what is there after. A request that found a model keeps it until it is answered.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from bridge.batcher import Batcher
from bridge.calls import current_call
from bridge.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from bridge.model_card import ModelCard, TensorSpec
from bridge.v1 import model_service_pb2
from bridge.v1.model_service_pb2 import MODEL_STATE_DRAINING, MODEL_STATE_FAILED, MODEL_STATE_LOADING

Key = tuple[str, int]
RETRY_SECONDS = 1.0


class Family(Protocol):
    """What a family's service module tells the registry about its bundles."""

    Spec: type[Any]
    MAX_BATCH: int
    THREADS: int
    GRAPHS: tuple[str, ...]
    OPTIONAL_GRAPHS: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A bundle that serves: its card, its family's parsed section, and a batcher for each graph.

    `digest` is the SHA-256 of the card, which holds the hashes of all files: equal digests are equal models.
    """

    card: ModelCard
    card_json: str
    digest: str
    spec: Any
    provider: str
    batchers: Mapping[str, Batcher]

    @property
    def key(self) -> Key:
        """Return the model's name and version."""
        return self.card.name, self.card.version

    @cached_property
    def inputs(self) -> dict[str, dict[str, TensorSpec]]:
        """Return what each graph takes, by the graph's name and the input's."""
        return {graph.name: {spec.name: spec for spec in graph.inputs} for graph in self.card.graphs}

    def served_by(self) -> model_service_pb2.ServedBy:
        """Return what an answer says about the model that made it."""
        return model_service_pb2.ServedBy(name=self.card.name, version=self.card.version, provider=self.provider)


@dataclass(frozen=True)
class UnservedModel:
    """A bundle that does not serve, with its state, the reason and, where it could be read, its card."""

    name: str
    version: int
    reason: str
    family: str = ""
    card_json: str = ""
    state: model_service_pb2.ModelState = MODEL_STATE_FAILED

    @property
    def key(self) -> Key:
        """Return the bundle's name and version."""
        return self.name, self.version


class Registry:
    """The bundles of a models folder by name and version. `served` and `unserved` are replaced, never changed in place."""

    def __init__(self) -> None:
        self.served: Mapping[Key, ServedModel] = {}
        self._latest: dict[str, ServedModel] = {}
        self.unserved: Mapping[Key, UnservedModel] = {}
        self.ready = False
        self._drained: list[weakref.ref[ServedModel]] = []

    @property
    def refused(self) -> dict[Key, UnservedModel]:
        """Return the bundles that were refused, among them changed files of a model that serves on as it was."""
        return {key: entry for key, entry in self.unserved.items() if entry.state == MODEL_STATE_FAILED}

    def publish(self, name: str, served: Mapping[int, ServedModel], unserved: Mapping[int, UnservedModel]) -> None:
        """Put all versions of a name in place; models that are left out drain."""
        before = {key: model for key, model in self.served.items() if key[0] == name}
        after = {(name, version): model for version, model in served.items()}
        self.served = {key: model for key, model in self.served.items() if key[0] != name} | after
        self._latest = {key[0]: self.served[key] for key in sorted(self.served)}
        rest = {key: entry for key, entry in self.unserved.items() if key[0] != name}
        self.unserved = rest | {(name, version): entry for version, entry in unserved.items()}
        left = [weakref.ref(model) for key, model in before.items() if after.get(key) is not model]
        self._drained = [reference for reference in self._drained if reference() is not None] + left

    def loading(self, key: Key) -> None:
        """Say that a bundle is being loaded; `publish` ends it."""
        self.unserved = {**self.unserved, key: UnservedModel(*key, "", state=MODEL_STATE_LOADING)}

    def draining(self) -> Iterator[ServedModel]:
        """Yield the models that are out of service and still held by a call."""
        yield from (model for reference in self._drained if (model := reference()) is not None)

    def entries(self) -> dict[Key, tuple[ServedModel | UnservedModel, UnservedModel | None]]:
        """Return every bundle, sorted; beside one that serves, what became of its files since it was loaded."""
        drained = {
            model.key: UnservedModel(*model.key, "", model.card.family, model.card_json, MODEL_STATE_DRAINING)
            for model in self.draining()
        }
        found: dict[Key, ServedModel | UnservedModel] = {**self.unserved, **drained, **self.served}
        return {key: (found[key], self.unserved.get(key)) for key in sorted(found)}

    def find(self, selector: model_service_pb2.ModelSelector, family: str, path: str) -> ServedModel:
        """Return the model that a request names at field `path`; version 0 is the latest that serves.

        Raises `InvalidArgument` for no name or another family's model, `NotFound` for an unknown name or version,
        `FailedPrecondition` for a bundle that does not serve and `Unavailable` while it, or the sidecar, still loads.
        """
        model = self.find_any(selector.name, selector.version, f"{path}.name", f"{path}.version", path)
        if model.card.family != family:
            message = f'"{selector.name}" is of family {model.card.family}, expected {family}'
            raise InvalidArgument(message, field=f"{path}.name")
        return model

    def find_any(self, name: str, version: int, name_field: str, version_field: str, field: str = "") -> ServedModel:
        """Return a model of whatever family, with the errors of `find`; `field` is the one that holds both others, if any."""
        if not self.ready:
            raise Unavailable("the sidecar still loads its models; try again", retry_s=RETRY_SECONDS)
        if not name:
            raise InvalidArgument('is empty, expected the name of a model, see "ListModels"', field=name_field)
        model = self._select(name, version, name_field, version_field, field or name_field)
        call = current_call()
        if call is not None:
            call.uses(name)
        return model

    def _select(self, name: str, version: int, name_field: str, version_field: str, field: str) -> ServedModel:
        model = self.served.get((name, version)) if version else self._latest.get(name)
        if model is not None:
            return model
        versions = sorted(v for n, v in self.served if n == name)
        others = {v: entry for (n, v), entry in self.unserved.items() if n == name}
        entry = others.get(version or max(others, default=0))
        if entry is not None and (version or not versions):
            raise _unserved_error(entry, field)
        if not versions and not others:
            names = sorted({n for n, _ in self.served})
            raise NotFound(f'there is no model "{name}", there are {names}', field=name_field)
        raise NotFound(f'"{name}" has versions {versions}, not {version}', field=version_field)


def _unserved_error(entry: UnservedModel, path: str) -> Exception:
    what = f'"{entry.name}" version {entry.version}'
    if entry.state == MODEL_STATE_FAILED:
        return FailedPrecondition(f"{what} is refused: {entry.reason}", field=path)
    if entry.state == MODEL_STATE_LOADING:
        return Unavailable(f"{what} is being loaded; try again", field=path, retry_s=RETRY_SECONDS)
    return FailedPrecondition(f"{what} is not in service: {entry.reason}", field=path)
