"""Fixtures of the engine tests, and their part of the summary: what ran where, and what did not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import bundles
import csharp_build
import dotnet_program
import generate
import player
import pytest
import tiny_models
from packages import Unavailable
from platforms import unity_2022
from sidecar_process import SidecarProcess, sidecar

REQUIRED = os.environ.get("METABRIDGE_REQUIRE_ENGINE") == "1"
PLACES = {
    f"Unity {player.UNITY_VERSION} player": (
        "test_unity_assistant.py",
        "test_unity_avatars.py",
        "test_unity_environment.py",
        "test_unity_npcs.py",
        "test_unity_player.py",
        "test_unity_scenes.py",
        "[unity",
    ),
    ".NET 8 client": (
        "test_dotnet_client.py",
        "test_dotnet_environment.py",
        "test_npc_calls.py",
        "test_world_port.py",
        "[dotnet",
    ),
    "Unity 2022.3.33f1 compile": ("test_unity_compile.py",),
}
T = TypeVar("T")


def had(make: Callable[[], T]) -> T:
    """Return what `make` makes; where a package cannot be had, skip, or fail under METABRIDGE_REQUIRE_ENGINE=1."""
    try:
        return make()
    except Unavailable as reason:
        if REQUIRED:
            pytest.fail(f"METABRIDGE_REQUIRE_ENGINE=1, but {reason}", pytrace=False)
        pytest.skip(f"NOT RUN: {reason}")


@pytest.fixture(scope="session")
def unity_player() -> Path:
    """The folder of the prepared Unity player."""
    return had(player.prepared)


@pytest.fixture(scope="session")
def dotnet_client() -> Path:
    """The folder of the prepared .NET program."""
    return had(dotnet_program.prepared)


@pytest.fixture(scope="session")
def package_2022() -> list[Path]:
    """The package's assemblies, and Google.Protobuf's, compiled against Unity 2022.3.33f1."""
    return had(lambda: csharp_build.client(unity_2022()))


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with C# freshly generated from proto/."""
    folder = tmp_path_factory.mktemp("generated")
    had(lambda: generate.generate(folder))
    return folder


@pytest.fixture(scope="session")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with two tiny generators: "portrait" with alpha, controls and an encoder, "face" without."""
    models = tmp_path_factory.mktemp("portraits")
    tiny_models.write_portrait(models)
    tiny_models.write_avatar(models)
    return models


@pytest.fixture(scope="session")
def portrait_sidecar(portraits: Path) -> Iterator[SidecarProcess]:
    """A sidecar that serves the tiny generators."""
    with sidecar(portraits) as running:
        yield running


@pytest.fixture(scope="session")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SidecarProcess]:
    """A sidecar that serves the tiny policies: "guard" with a mask, "scout" with a memory."""
    models = tmp_path_factory.mktemp("policies")
    tiny_models.write_npc(models)
    tiny_models.write_scout(models)
    with sidecar(models) as running:
        yield running


@pytest.fixture(scope="session")
def exported() -> Path:
    """A models folder with an avatar generator and a policy, made by the families' exporters."""
    return bundles.exported_models()


@pytest.fixture(scope="session")
def served(exported: Path) -> Iterator[SidecarProcess]:
    """A sidecar that serves them for the whole test run."""
    with sidecar(exported) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests passed in each engine, which were skipped and why, and what no test runs."""
    lines = []
    for place, marks in PLACES.items():
        counts = {kind: _count(terminalreporter, kind, marks) for kind in ("passed", "failed", "error", "skipped")}
        if any(counts.values()):
            lines.append(f"{place}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items() if n or kind == "passed"))
    if lines:
        terminalreporter.section("engines")
        for line in (*lines, f"not run by any test: {', '.join(player.NOT_RUN)}"):
            terminalreporter.write_line(line)


def _count(reporter: pytest.TerminalReporter, kind: str, marks: tuple[str, ...]) -> int:
    names = [getattr(report, "nodeid", "") for report in reporter.stats.get(kind, [])]
    return sum(1 for name in names if "tests/engine/" in name and any(mark in name for mark in marks))
