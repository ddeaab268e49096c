"""Builds assemblies with Roslyn into `build/engine/`, each once for each state of its sources, references and options."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from asmdef import assembly_definitions
from debian import protobuf_source
from platforms import Platform

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
BUILD = PROJECT.parent / "build" / "engine"
PACKAGE = PROJECT / "Packages" / "com.metabridge.client"
POLYFILL = HERE / "csharp" / "polyfill"
COMPILE_TIMEOUT_SECONDS = 180
STRICT = ("-warn:4", "-warnaserror+", "-nowarn:1591,1701,1702")


class CompileError(RuntimeError):
    """Sources that do not compile; the message holds the compiler's diagnostics."""


def build(platform: Platform, name: str, sources: Iterable[Path], libraries: Sequence[Path] = (), *options: str) -> Path:
    """Return the assembly `name`.dll made of C# files for a platform; `CompileError` when they do not compile."""
    files = sorted(sources)
    if not files:
        raise CompileError(f"{name}: no sources")
    references = [*platform.references, *libraries]
    arguments = ["-noconfig", "-nostdlib+", "-target:library", "-optimize+", "-deterministic+", "-langversion:9", *options]
    arguments += [f"-define:{';'.join(platform.defines)}"] if platform.defines else []
    arguments += [f"-r:{path}" for path in references]
    key = _key(arguments, files, libraries)
    output = BUILD / platform.name / key / f"{name}.dll"
    if output.exists():
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
        partial = Path(temporary) / output.name
        command = [sys.executable, str(HERE / "roslyn.py"), *arguments, f"-out:{partial}", *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_SECONDS, check=False)
        if done.returncode != 0:
            raise CompileError(f"{name} for {platform.name}:\n{done.stdout}{done.stderr}")
        partial.rename(output)
    return output


def protobuf(platform: Platform) -> list[Path]:
    """Return Google.Protobuf 3.21.12 built for a platform, with the types its class library lacks in System.Memory.dll."""
    libraries: list[Path] = []
    if platform.polyfills:
        sources = [POLYFILL / f"{name}.cs" for name in platform.polyfills]
        libraries = [build(platform, "System.Memory", sources, (), "-unsafe+")]
    defines = "-define:NETSTANDARD1_1" if platform.polyfills else "-define:GOOGLE_PROTOBUF_SUPPORT_FAST_STRING"
    options = ("-unsafe+", "-nowarn:1591,0618,3021,0649,8632", "-nullable-", defines)
    return [*libraries, build(platform, "Google.Protobuf", protobuf_source().rglob("*.cs"), libraries, *options)]


def client(platform: Platform) -> list[Path]:
    """Return the package's assemblies for a platform after those they need, as the package's asmdef files divide it.

    Assemblies whose references the platform lacks are left out: those with engine references on plain .NET, and the HTTP/2
    transport where there is no System.Net.Http.
    """
    built = {"Google.Protobuf": protobuf(platform)}
    for definition in assembly_definitions(PACKAGE):
        if (not definition.no_engine and not platform.is_engine) or (definition.needs_http and not platform.has_http_client):
            continue
        libraries = list(dict.fromkeys(path for name in ("Google.Protobuf", *definition.references) for path in built[name]))
        sources = definition.sources()
        if platform.is_engine and definition.no_engine:
            plain = replace(platform, references=tuple(p for p in platform.references if not p.name.startswith("UnityEngine")))
        else:
            plain = platform
        built[definition.name] = [*libraries, build(plain, definition.name, sources, libraries, *STRICT)]
    return list(dict.fromkeys(path for paths in built.values() for path in paths))


def _key(arguments: Sequence[str], files: Sequence[Path], libraries: Sequence[Path]) -> str:
    digest = hashlib.sha256("\n".join(arguments).encode())
    for path in (*files, *libraries):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
