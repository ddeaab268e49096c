"""What lies in the models folder: the bundles by name and version, and for each a fingerprint that changes with its files."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from bridge.registry import Key

VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,8}")
Fingerprint = tuple[tuple[str, int, int, int], ...]
log = logging.getLogger("metabridge")


@dataclass(frozen=True)
class Found:
    """A bundle's folder, and the path, inode, size and time of change of every file in it."""

    folder: Path
    fingerprint: Fingerprint


def scan(models: Path) -> dict[Key, Found]:
    """Return every folder `<name>/<version>/`; those that start with a dot are being written and are passed over.

    Raises `OSError` where the models folder cannot be read.
    """
    bundles = {}
    for name in _folders(models):
        try:
            versions = list(_folders(name))
        except OSError as error:  # gone since, or unreadable: its bundles count as gone
            _warn_once(name, str(error))
            continue
        for folder in versions:
            if VERSION_PATTERN.fullmatch(folder.name):
                bundles[display(name.name), int(folder.name)] = Found(folder, tuple(_files(folder)))
            else:
                _warn_once(folder, f"a version is a positive integer, not {display(folder.name)}")
    return bundles


def display(value: str) -> str:
    """Return text that a message can carry: a file name may hold bytes that are no UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


@lru_cache(maxsize=256)
def _warn_once(path: Path, reason: str) -> None:
    log.warning("%s is passed over: %s", display(str(path)), reason)


def _folders(parent: Path) -> Iterator[Path]:
    with os.scandir(parent) as entries:
        yield from (Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def _files(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)  # noqa: PTH118  a scan is made of these, and Path is slow
            try:
                info = os.stat(path)  # noqa: PTH116
            except OSError:
                continue
            if stat.S_ISREG(info.st_mode):
                yield path, info.st_ino, info.st_size, info.st_mtime_ns


@dataclass(frozen=True)
class VersionPolicy:
    """Which versions of a model serve: all, the `latest` so many that load, or those that are pinned for its name."""

    latest: int = 0
    pinned: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def excludes(self, name: str, version: int) -> str:
        """Return why a version does not serve whatever others do, or nothing."""
        pinned = self.pinned.get(name)
        return "" if pinned is None or version in pinned else f"--pin serves {name} {sorted(pinned)}"

    def full(self, name: str, serving: int) -> str:
        """Return why no older version serves beside `serving` newer ones, or nothing."""
        if name in self.pinned or not self.latest or serving < self.latest:
            return ""
        return f"--latest {self.latest} serves newer versions"


def parse_policy(latest: int, pins: Sequence[str]) -> VersionPolicy:
    """Read pins like `guard=3`; `ValueError` quotes the one that is wrong."""
    pinned: dict[str, set[int]] = {}
    for text in pins:
        name, _, version = text.rpartition("=")
        if not name or not VERSION_PATTERN.fullmatch(version):
            raise ValueError(f'"{text}" pins nothing, expected MODEL=VERSION as in guard=3')
        pinned.setdefault(name, set()).add(int(version))
    return VersionPolicy(latest, {name: frozenset(versions) for name, versions in pinned.items()})
