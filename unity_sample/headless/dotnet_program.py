"""The client core as a program on .NET 8, for the tests of HTTP/2."""

from __future__ import annotations

import os
import shutil
import subprocess
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
    sources = [path for folder in ("dotnet", "shared") for path in (HERE / "csharp" / folder).glob("*.cs")]
    sources.append(PROJECT / "Assets" / "Sample" / "CartPoleEnvironment.cs")
    program = build(platform, "Program", sources, libraries, *STRICT, "-target:exe")
    place = BUILD / "-".join(["dotnet", *(sha256(path)[:6] for path in (*libraries, program))])
    place.mkdir(parents=True, exist_ok=True)
    for path in (*libraries, program):
        shutil.copy(path, place / path.name)
    return place


def run(part: str, folder: Path, *arguments: str) -> dict[str, str]:
    """Run a part of the program and return what it reported, by name; files that it writes go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / f"{part}.tsv"
    result.unlink(missing_ok=True)
    config = unpacked(DOTNET) / "dnv/net/runtime/runtimeconfig.json"
    program = prepared() / "Program.dll"
    command = [str(dotnet_root() / "dotnet"), "exec", "--runtimeconfig", str(config), str(program)]
    command += [part, str(result), *arguments]
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if not result.exists():
        raise RuntimeError(f"Program {part} wrote no result: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return dict(line.split("\t", 1) for line in result.read_text().splitlines())
