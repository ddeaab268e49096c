"""Loads that may end a process happen in another one first: a bundle is loaded and warmed up there before the sidecar does it.

A graph can crash ONNX Runtime, hang it, or take all memory, and nothing in its file tells. The other process has the time and
the memory that a load may take; a bundle that ends it is refused, and what serves goes on. A bundle that has passed is loaded
without asking again, as long as its card, the sidecar's settings and ONNX Runtime are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import onnxruntime

from bridge import __version__
from bridge.model_card import CARD_FILE, Serving
from bridge.providers import ProviderEntry

CACHE_VARIABLE = "METABRIDGE_LOAD_CACHE"
CACHE_FILE = "loaded"
MAX_PASSED = 4096
MAX_CACHE_BYTES = 1 << 20
START_SECONDS = 60.0
MAX_ANSWER_BYTES = 1 << 20
log = logging.getLogger("metabridge")


class ProbeSettings(msgspec.Struct, frozen=True):
    """What the other process needs to load a bundle as the sidecar would. `seconds` and `memory_mib` are what it may take."""

    providers: list[ProviderEntry]
    strict: bool
    command: Serving
    overrides: Mapping[str, Serving]
    allow_bare_onnx: bool
    io_binding: str
    seconds: float
    memory_mib: int


class Probe:
    """Asks a process of its own to load bundles; it is started for the first one and lasts until `rest`.

    Its methods run on the event loop, one after the other. `always` asks again for bundles that have passed before.
    """

    def __init__(self, settings: ProbeSettings, *, always: bool = False, cache: Path | None = None) -> None:
        self._settings = settings
        self._passed = _Passed(None if always else cache)
        self._process: asyncio.subprocess.Process | None = None

    async def check(self, folder: Path) -> str:
        """Load the bundle in `folder` elsewhere; return why it must not be loaded here, or nothing."""
        key = await asyncio.to_thread(self._key, folder)
        if key in self._passed:
            return ""
        try:
            reason = await self._ask(folder)
        except OSError as error:
            log.warning("bundles are loaded without being tried in a process of their own, which cannot be started: %s", error)
            return ""
        if not reason:
            await asyncio.to_thread(self._passed.add, key)
        return reason

    async def rest(self) -> None:
        """End the process: nothing is to be loaded for now."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def _ask(self, folder: Path) -> str:
        if self._process is None:
            self._process = await self._start()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(str(folder)).encode() + b"\n")
            answer = await asyncio.wait_for(process.stdout.readline(), self._settings.seconds)
        except TimeoutError:
            await self.rest()
            return f"it did not load in {self._settings.seconds:g} s; export it again, or raise --load-seconds"
        except BaseException:
            await self.rest()
            raise
        if answer:
            return str(json.loads(answer))
        code = await process.wait()
        await self.rest()
        return f"loading it ends the process that does it ({_end(code)}), as it would end the sidecar; export it again"

    async def _start(self) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "bridge.probe_process")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=MAX_ANSWER_BYTES)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
        assert process.stdout is not None
        ready = b""
        try:
            ready = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        except TimeoutError:
            pass
        finally:
            if not ready:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if not ready:
            raise OSError(f"{' '.join(command)} ends before it is ready")
        return process

    def _key(self, folder: Path) -> str:
        """Return a digest of all that a load depends on: the card holds the hashes of the files, and is held to them."""
        card = folder / CARD_FILE
        files = [card] if card.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
        digest = hashlib.sha256(f"{__version__} {onnxruntime.__version__} {sys.version}".encode())
        digest.update(msgspec.json.encode(self._settings))
        for path in files:
            with contextlib.suppress(OSError), path.open("rb") as stream:
                digest.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0")
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


class _Passed:
    """The keys of bundles that have passed, kept in a file where there is one: a line each, the latest last."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._keys: dict[str, None] = {}
        if folder is not None:
            with contextlib.suppress(OSError, UnicodeDecodeError), (folder / CACHE_FILE).open("rb") as stream:
                self._keys = dict.fromkeys(stream.read(MAX_CACHE_BYTES).decode("ascii").split()[-MAX_PASSED:])

    def __contains__(self, key: str) -> bool:
        return self._folder is not None and key in self._keys

    def add(self, key: str) -> None:
        """Note that a bundle has passed; a folder that cannot be written to forgets it at the end."""
        self._keys[key] = None
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / CACHE_FILE
            if path.exists() and path.stat().st_size > MAX_CACHE_BYTES // 2:
                path.write_text("".join(f"{known}\n" for known in list(self._keys)[-MAX_PASSED:]), "ascii")
            else:
                with path.open("a", encoding="ascii") as stream:  # one short line: whole also beside other sidecars' lines
                    stream.write(f"{key}\n")


def cache_folder() -> Path | None:
    """Return the folder for what a sidecar may keep between starts, or `None` where the system names none."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "metabridge"
    except RuntimeError:
        return None


def _end(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
