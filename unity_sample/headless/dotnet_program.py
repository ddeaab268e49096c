"""The client core and the sample's world as a program on .NET 8: for the tests of HTTP/2 and of the world's port."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from csharp_build import BUILD, HERE, PROJECT, STRICT, build, client
from packages import DOTNET, sha256, unpacked
from platforms import dotnet
from roslyn import ENVIRONMENT, dotnet_root

TIMEOUT_SECONDS = 120


def prepared() -> Path:
    """Return the folder of the program, Program.dll beside what it needs, built once for each state of the sources."""
    platform = dotnet()
    libraries = client(platform)
    folders = (HERE / "csharp" / "dotnet", HERE / "csharp" / "shared", PROJECT / "Assets" / "Sample" / "World")
    sources = [path for folder in folders for path in folder.glob("*.cs")]
    sources.append(PROJECT / "Assets" / "Sample" / "CartPoleEnvironment.cs")
    program = build(platform, "Program", sources, libraries, *STRICT, "-target:exe")
    place = BUILD / "-".join(["dotnet", *(sha256(path)[:6] for path in (*libraries, program))])
    place.mkdir(parents=True, exist_ok=True)
    for path in (*libraries, program):
        shutil.copy(path, place / path.name)
    return place


def run(part: str, folder: Path, *arguments: str) -> dict[str, str]:
    """Run a part of the program and return what it reported, by name; files that it writes go to `folder`."""
    with running(part, folder, *arguments) as program:
        return program.reported()


class Program:
    """A part of the program that runs beside its caller."""

    def __init__(self, part: str, result: Path, process: subprocess.Popen[str]) -> None:
        self.part = part
        self.process = process
        self._result = result

    def reported(self, timeout: float = TIMEOUT_SECONDS) -> dict[str, str]:
        """Return what it reported when it has ended, by name."""
        output, errors = self.process.communicate(timeout=timeout)
        if not self._result.exists():
            raise RuntimeError(f"Program {self.part} wrote no result: {output[-2000:]}{errors[-2000:]}")
        return dict(line.split("\t", 1) for line in self._result.read_text().splitlines())


@contextlib.contextmanager
def running(part: str, folder: Path, *arguments: str) -> Iterator[Program]:
    """Start a part of the program; it is ended at the end of the block, if it did not end by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / f"{part}.tsv"
    result.unlink(missing_ok=True)
    config = unpacked(DOTNET) / "dnv/net/runtime/runtimeconfig.json"
    command = [str(dotnet_root() / "dotnet"), "exec", "--runtimeconfig", str(config), str(prepared() / "Program.dll")]
    command += [part, str(result), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=os.environ | ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Program(part, result, process)
        finally:
            process.kill()
