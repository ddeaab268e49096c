"""Hot reload: what changes in the models folder is loaded beside what serves, and swapped in when it is warm.

A bundle that is refused leaves in service what was. `watch` looks at the folder's files again and again: unlike the system's
notifications, that works on network and container file systems too, and costs about a thousandth of a core.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.bundle_loader import refusal
from bridge.errors import FailedPrecondition, InvalidArgument, NotFound
from bridge.models_folder import Found, VersionPolicy, scan
from bridge.probe import Probe
from bridge.registry import Key, Registry, ServedModel, UnservedModel
from bridge.v1.model_service_pb2 import MODEL_STATE_AVAILABLE, ModelSelector

UNLOADED = "UnloadModel took it out of service; LoadModel brings it back"
log = logging.getLogger("metabridge")
Load = Callable[[Path], ServedModel | UnservedModel]


@dataclass
class _Counts:
    """What happened to bundles since the start."""

    loaded: int = 0
    refused: int = 0
    unloaded: int = 0


@dataclass
class Reloader:
    """Keeps a registry in step with a models folder; `load` opens a bundle that passed `probe`, in a thread of its own.

    A bundle that takes longer than `load_seconds` is refused. Where that shows only after the probe, its thread is left behind:
    nothing can end it.

    Its methods run on the event loop, one after the other.
    """

    registry: Registry
    models: Path
    load: Load
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    load_seconds: float = 600.0
    probe: Probe | None = None

    def __post_init__(self) -> None:
        self.counts = _Counts()
        self._lock = asyncio.Lock()
        self._known: dict[Key, Found] = {}
        self._unloaded: set[Key] = set()
        self._wanted: set[Key] = set()

    async def start(self) -> None:
        """Load every bundle; from here on the registry answers."""
        await self.reload()
        self.registry.ready = True

    async def reload(self) -> None:
        """Bring the registry in step with the folder as it is, and try refused bundles again; `OSError` if it is unreadable."""
        async with self._lock:
            await self._apply(await asyncio.to_thread(scan, self.models), again=set(self.registry.refused))

    async def watch(self, seconds: float) -> None:
        """Bring the registry in step whenever a bundle's files have changed and then kept still for `seconds`."""
        before: dict[Key, Found] = {}
        unreadable = ""
        while True:
            await asyncio.sleep(seconds)
            try:
                found = await asyncio.to_thread(scan, self.models)
                unreadable = ""
                await self._apply_settled(before, found)
                before = found
            except OSError as error:
                if str(error) != unreadable:
                    log.error("the models folder cannot be read, what was loaded serves on: %s", error)
                unreadable = str(error)
            except Exception:
                log.exception("the models folder could not be followed; it is looked at again")

    async def load_model(self, selector: ModelSelector) -> Key:
        """Load a bundle afresh and swap it in; return its name and version.

        Raises `NotFound` for a folder that is not there and `FailedPrecondition` for a bundle that is refused.
        """
        async with self._lock:
            found = await asyncio.to_thread(scan, self.models)
            key = _named(selector, found)
            self._unloaded.discard(key)
            self._wanted.add(key)
            await self._apply({**self._known, key: found[key]}, again={key})
            entry = self.registry.unserved.get(key)
            if entry is not None:
                raise FailedPrecondition(f'"{key[0]}" version {key[1]} is refused: {entry.reason}', field="model")
            return key

    async def unload_model(self, selector: ModelSelector) -> Key:
        """Take a bundle out of service until `load_model`; return its name and version, `NotFound` if it does not serve."""
        async with self._lock:
            key = _named(selector, self.registry.served)
            self._unloaded.add(key)
            self._wanted.discard(key)
            await self._apply(self._known, again=set())
            return key

    async def _apply_settled(self, before: Mapping[Key, Found], found: Mapping[Key, Found]) -> None:
        """Apply what two looks in a row agree on; a bundle that is still being copied or moved waits for the next."""
        async with self._lock:
            target = {key: entry for key, entry in found.items() if before.get(key) == entry}
            unsettled = (found.keys() | before.keys()) - target.keys()
            target.update({key: self._known[key] for key in unsettled if key in self._known})
            if target != self._known:
                await self._apply(target, again=set())

    async def _apply(self, target: Mapping[Key, Found], again: set[Key]) -> None:
        """Serve `target` under the policy; bundles that did not change are loaded only if named in `again`."""
        names = {name for name, _ in (*target, *self._known)} | self.policy.pinned.keys()
        try:
            for name in sorted(names):
                versions = {version: found for (n, version), found in target.items() if n == name}
                await self._apply_name(name, versions, again)
        finally:
            if self.probe is not None:
                await self.probe.rest()
        self._unloaded &= target.keys()
        self._wanted &= target.keys()

    async def _apply_name(self, name: str, versions: Mapping[int, Found], again: set[Key]) -> None:
        served: dict[int, ServedModel] = {}
        unserved: dict[int, UnservedModel] = {}
        for version in sorted(versions, reverse=True):
            key, found = (name, version), versions[version]
            left_out = self._left_out(key, len(served))
            if left_out:
                unserved[version] = await asyncio.to_thread(refusal, found.folder, left_out, state=MODEL_STATE_AVAILABLE)
                continue
            entry = await self._current(key, found, key in again)
            old = self.registry.served.get(key)
            if isinstance(entry, ServedModel):
                served[version] = entry
            else:
                unserved[version] = entry
                if old is not None:
                    served[version] = old
        for version in self.policy.pinned.get(name, frozenset()) - versions.keys():
            unserved[version] = UnservedModel(name, version, f"--pin names it, but there is no folder {name}/{version}; add it")
        self._report_gone(name, served, unserved)
        self.registry.publish(name, served, unserved)
        self._known = {key: found for key, found in self._known.items() if key[0] != name}
        self._known.update({(name, version): found for version, found in versions.items()})

    def _left_out(self, key: Key, serving: int) -> str:
        """Return why a version does not serve beside `serving` newer ones, or nothing."""
        if key in self._unloaded:
            return UNLOADED
        if key in self._wanted:
            return ""
        return self.policy.excludes(*key) or self.policy.full(key[0], serving)

    async def _current(self, key: Key, found: Found, again: bool) -> ServedModel | UnservedModel:
        """Return what a bundle is: what it was while its files are the same, else what loading it gives."""
        refused = self.registry.refused.get(key)
        now = refused or self.registry.served.get(key)
        if now is not None and self._known.get(key) == found and not again:
            return now
        if key not in self.registry.served:
            self.registry.loading(key)
        entry = await self._load(found.folder)
        if isinstance(entry, ServedModel):
            self.counts.loaded += 1
            log.info("serving %s version %s on %s", *key, entry.provider)
            return entry
        self.counts.refused += 1
        if key in self.registry.served:
            log.error("refused new files of %s version %s, those loaded before serve on: %s", *key, entry.reason)
            return replace(entry, reason=f"its files were changed, and what was loaded before serves on: {entry.reason}")
        log.error("refused %s version %s: %s", *key, entry.reason)
        return entry

    async def _load(self, folder: Path) -> ServedModel | UnservedModel:
        reason = await self.probe.check(folder) if self.probe is not None else ""
        if reason:
            return await asyncio.to_thread(refusal, folder, reason)
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[ServedModel | UnservedModel] = loop.create_future()

        def settle(entry: ServedModel | UnservedModel | None, error: BaseException | None) -> None:
            if error is not None and not loaded.done():
                loaded.set_exception(error)
            elif entry is not None and not loaded.done():
                loaded.set_result(entry)

        def work() -> None:
            entry, error = None, None
            try:
                entry = self.load(folder)
            except BaseException as caught:
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, entry, error)

        threading.Thread(target=work, name=f"load {folder.parent.name}/{folder.name}", daemon=True).start()
        try:
            return await asyncio.wait_for(loaded, self.load_seconds)
        except TimeoutError:
            reason = f"it did not load in {self.load_seconds:g} s; export it again, or raise --load-seconds"
            return await asyncio.to_thread(refusal, folder, reason)

    def _report_gone(self, name: str, served: Mapping[int, ServedModel], unserved: Mapping[int, UnservedModel]) -> None:
        for other, version in self.registry.served:
            if other == name and version not in served:
                self.counts.unloaded += 1
                reason = unserved[version].reason if version in unserved else "its folder is gone"
                log.info("%s version %s is out of service: %s", name, version, reason)


def _named(selector: ModelSelector, known: Mapping[Key, object]) -> Key:
    """Return the name and version that an admin call means among those `known`; version 0 is the latest."""
    if not selector.name:
        raise InvalidArgument("is empty, expected the name of a model", field="model.name")
    versions = sorted(version for name, version in known if name == selector.name)
    if not versions:
        names = sorted({name for name, _ in known})
        raise NotFound(f'there is no model "{selector.name}", there are {names}', field="model.name")
    version = selector.version or versions[-1]
    if version not in versions:
        raise NotFound(f'"{selector.name}" has versions {versions}, not {version}', field="model.version")
    return selector.name, version
