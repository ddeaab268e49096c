"""What the package is compiled against: .NET 8, Unity 2022.3.33f1, the Unity 2017.2.0f3 player."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packages import DOTNET, UNITY_2022, UNITY_PLAYER, unpacked


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
    symbols = tuple(f"UNITY_{version}_OR_NEWER" for version in ("5_3", "2017_1", "2018_3", "2020_2", "2021_3", "2022_3"))
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


def _is_managed(path: Path) -> bool:
    named = path.name.startswith(("System.", "Microsoft.", "mscorlib", "netstandard", "WindowsBase"))
    return named and not path.name.endswith("Native.dll")
