"""What only Debian and Ubuntu carry: protobuf 3.21.12's source with the C# runtime in it, and the matching protoc.

Nothing is installed and root is not needed: apt-get runs over a private state folder in the cache, with source entries
derived from the system's own binary ones, so the system's lists stay as they are.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from packages import Unavailable, cache_root, extract, into_place, run, sha256

PROTOBUF_VERSION = "3.21.12"
SOURCE_SHA256 = "930c2c3b5ecc6c9c12615cf5ad93f1cd6e12d0aba862b572e076259970ac3a53"
CSHARP_SOURCE = f"protobuf-{PROTOBUF_VERSION}/csharp/src/Google.Protobuf"
APT_SOURCES = Path("/etc/apt")


def protobuf_source() -> Path:
    """Return the folder `Google.Protobuf` of protobuf 3.21.12's C# source (BSD-3-Clause); `Unavailable` says why not."""
    return into_place(f"protobuf-{PROTOBUF_VERSION}-{SOURCE_SHA256[:12]}", _fetch_source) / CSHARP_SOURCE


def protoc() -> list[str]:
    """Return the command that runs protoc 3.21.12: the system's when it is that version, else one unpacked in the cache."""
    system = shutil.which("protoc")
    if system and _is_wanted([system]):
        return [system]
    root = into_place(f"protoc-{PROTOBUF_VERSION}", _fetch_protoc)
    libraries = sorted({str(path.parent) for path in root.rglob("libproto*.so*")})
    command = ["env", f"LD_LIBRARY_PATH={':'.join(libraries)}", str(root / "usr/bin/protoc")]
    if not _is_wanted(command):
        raise Unavailable(f"protoc: the system's packages do not hold version {PROTOBUF_VERSION}")
    return command


def _is_wanted(command: list[str]) -> bool:
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    return said.strip() == f"libprotoc {PROTOBUF_VERSION}"


def _fetch_source(folder: Path) -> None:
    archive = cache_root() / "packages" / f"protobuf_{PROTOBUF_VERSION}.orig.tar.gz"
    if not archive.exists() or sha256(archive) != SOURCE_SHA256:
        options = _apt()
        archive.parent.mkdir(parents=True, exist_ok=True)
        run(["apt-get", *options, "source", "--download-only", "--only-source", "protobuf"], "protobuf source", archive.parent)
    if not archive.exists() or sha256(archive) != SOURCE_SHA256:
        raise Unavailable(f"protobuf source: {archive} is not the release {PROTOBUF_VERSION} with SHA-256 {SOURCE_SHA256}")
    with tarfile.open(archive) as tarball:
        extract(tarball, [member for member in tarball if member.name.startswith(CSHARP_SOURCE)], folder)


def _fetch_protoc(folder: Path) -> None:
    options = _apt()
    depends = run(["apt-cache", *options, "depends", "--recurse", "--no-pre-depends", "protobuf-compiler"], "protoc")
    names = sorted(set(re.findall(r"\b(libprotoc\d+\w*|libprotobuf\d+\w*)\b", depends)))
    run(["apt-get", *options, "download", "protobuf-compiler", *names], "protoc", folder)
    for package in folder.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(package), str(folder)], "protoc")
        package.unlink()


def _apt() -> list[str]:
    """Return apt-get's options for the private state folder, its lists fetched."""
    state = cache_root() / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "private.list").write_text("".join(f"{kind} {rest}\n" for rest in entries() for kind in ("deb", "deb-src")))
    options = [
        f"-oDir::Etc::sourcelist={state / 'private.list'}",
        "-oDir::Etc::sourceparts=-",
        f"-oDir::State::lists={state / 'lists'}",
        f"-oDir::Cache={state / 'cache'}",
        "-oAPT::Sandbox::User=root",
    ]
    run(["apt-get", *options, "update"], "package lists")
    return options


def entries() -> list[str]:
    """Return the system's own Debian or Ubuntu archives as one-line entries without their type."""
    found: list[str] = []
    for path in [APT_SOURCES / "sources.list", *sorted(APT_SOURCES.glob("sources.list.d/*"))]:
        if path.suffix == ".list" and path.exists():
            found += [match[1] for match in re.finditer(r"^deb\s+(.+)$", path.read_text(), re.MULTILINE)]
        elif path.suffix == ".sources":
            found += [entry for stanza in path.read_text().split("\n\n") for entry in _one_line(stanza)]
    kept = [entry for entry in found if re.search(r"/(debian|ubuntu)/?\s", entry)]
    if not kept:
        raise Unavailable(f"protobuf source: no Debian or Ubuntu archive is named below {APT_SOURCES}")
    return kept


def _one_line(stanza: str) -> list[str]:
    fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.+)$", stanza, re.MULTILINE))
    if "deb" not in fields.get("Types", "").split() or "URIs" not in fields:
        return []
    signed = f"[signed-by={fields['Signed-By']}] " if fields.get("Signed-By", "").startswith("/") else ""
    places = [(uri, suite) for uri in fields["URIs"].split() for suite in fields["Suites"].split()]
    return [f"{signed}{uri} {suite} {fields.get('Components', '')}".strip() for uri, suite in places]
