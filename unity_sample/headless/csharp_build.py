"""Builds assemblies with Roslyn into `build/engine/`, each once for each state of its sources, references and options."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path

from debian import protobuf_source
from packages import DOTNET, UNITY_2022, UNITY_PLAYER, unpacked

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
BUILD = PROJECT.parent / "build" / "engine"
PACKAGE = PROJECT / "Packages" / "com.metabridge.client"
POLYFILL = HERE / "csharp" / "polyfill"
COMPILE_TIMEOUT_SECONDS = 180
STRICT = ("-warn:4", "-warnaserror+", "-nowarn:1591,1701,1702")


class CompileError(RuntimeError):
    """Sources that do not compile; the message holds the compiler's diagnostics."""


@dataclass(frozen=True)
class Platform:
    """What an assembly is compiled against: the class library's and engine's assemblies and the preprocessor symbols."""

    name: str
    references: tuple[Path, ...]
    defines: tuple[str, ...] = ()
    polyfills: tuple[str, ...] = ()
    has_http_client: bool = True
    is_engine: bool = True


def dotnet() -> Platform:
    """Return .NET 8."""
    shared = unpacked(DOTNET) / "dnv/net/runtime/.net/shared/Microsoft.NETCore.App"
    folder = next(iter(sorted(shared.iterdir())))
    references = tuple(path for path in sorted(folder.glob("*.dll")) if _is_managed(path))
    return Platform("dotnet8", references, ("NET5_0_OR_GREATER", "NET8_0"), is_engine=False)


def unity_2022() -> Platform:
    """Return Unity 2022.3.33f1 with the .NET Framework class library."""
    managed = next(iter(unpacked(UNITY_2022).rglob("Managed")))
    names = ["mscorlib.dll", "System.dll", "System.Core.dll", "System.Net.Http.dll", "netstandard.dll"]
    engine = [path for path in sorted(managed.glob("UnityEngine*.dll")) if path.name != "UnityEngine.UI.dll"]
    symbols = ("UNITY_5_3_OR_NEWER", "UNITY_2017_1_OR_NEWER", "UNITY_2020_2_OR_NEWER", "UNITY_2021_3_OR_NEWER", "UNITY_2022_3_OR_NEWER")
    references = (*(managed / name for name in names), *engine)
    return Platform("unity-2022.3", references, symbols, polyfills=("Unsafe",))


def unity_2017() -> Platform:
    """Return the Unity 2017.2.0f3 player."""
    managed = unpacked(UNITY_PLAYER) / "package/build/3dball_Data/Managed"
    names = ["mscorlib.dll", "System.dll", "System.Core.dll"]
    engine = sorted(managed.glob("UnityEngine*.dll"))
    symbols = ("UNITY_5_3_OR_NEWER", "UNITY_2017_1_OR_NEWER", "UNITY_2017_2")
    references = (*(managed / name for name in names), *engine)
    return Platform("unity-2017.2", references, symbols, ("Spans", "Unsafe"), has_http_client=False)


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


@dataclass(frozen=True)
class AssemblyDefinition:
    """One of Unity's asmdef files: the folder it stands for, without the folders of others below."""

    path: Path
    name: str
    references: tuple[str, ...]
    no_engine: bool

    @property
    def needs_http(self) -> bool:
        """Whether its sources use System.Net.Http."""
        return any("using System.Net.Http;" in source.read_text() for source in self.sources())

    def sources(self) -> list[Path]:
        """Return its C# files."""
        nested = [other.parent for other in self.path.parent.rglob("*.asmdef") if other != self.path]
        files = self.path.parent.rglob("*.cs")
        return sorted(path for path in files if not any(folder in path.parents for folder in nested))


def assembly_definitions(folder: Path) -> list[AssemblyDefinition]:
    """Return the assembly definitions below a folder, each after those of the folder that it references."""
    found = {}
    for path in sorted(folder.rglob("*.asmdef")):
        content = json.loads(path.read_text())
        references = tuple(content["references"])
        found[content["name"]] = AssemblyDefinition(path, content["name"], references, content["noEngineReferences"])
    order = TopologicalSorter({name: [r for r in found[name].references if r in found] for name in found})
    return [found[name] for name in order.static_order()]


def _is_managed(path: Path) -> bool:
    return path.name.startswith(("System.", "Microsoft.", "mscorlib", "netstandard", "WindowsBase")) and not path.name.endswith(
        "Native.dll"
    )


def _key(arguments: Sequence[str], files: Sequence[Path], libraries: Sequence[Path]) -> str:
    digest = hashlib.sha256("\n".join(arguments).encode())
    for path in (*files, *libraries):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
