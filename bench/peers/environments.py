"""A virtual environment for each peer, made once in a cache outside of the tree: peers want other versions than we do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "metabridge" / "bench" / "peers"
INSTALL_SECONDS = 1200


class PeerError(RuntimeError):
    """A peer that cannot be measured; the message is the reason, for the results."""


@dataclass(frozen=True)
class Environment:
    """What is installed for a peer, and the Python that it needs: by default our own, without the virtual environment."""

    packages: tuple[str, ...]
    python: str = str(Path(sys.executable).resolve())


def interpreter(name: str, environment: Environment) -> Path:
    """Return the Python of a peer's environment, which is made if it is not there; `PeerError` where it cannot be."""
    wanted = "\n".join((environment.python, *environment.packages))
    folder = CACHE / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    python, done = folder / "bin" / "python", folder / "installed"
    if done.exists():
        return python
    _run(
        name, [environment.python, "-m", "venv", "--clear", *(() if environment.packages else ("--without-pip",)), str(folder)]
    )
    if environment.packages:
        _run(name, [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *environment.packages])
    done.write_text(wanted)
    return python


def library(package: str) -> Path:
    """Return a folder for PYTHONPATH with one package for our own Python, without what it depends on."""
    folder = CACHE / package.replace("==", "-")
    if not (folder / "installed").exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--upgrade"]
        _run(package, [*pip, "--target", str(folder), package])
        (folder / "installed").write_text(package)
    return folder


def _run(name: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"{name} could not be installed: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.lower().startswith("error")] or done.stderr.splitlines()
        raise PeerError(f"{name} could not be installed: {(lines or ['no reason given'])[0][:300]}")
