"""Fixtures of every test: a real sidecar on free loopback ports, stopped by the fixture that started it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import tiny_models
import tiny_scene

from bridge.client import Client
from bridge.config import ServeConfig
from bridge.probe import CACHE_VARIABLE
from bridge.server import Sidecar

START_SECONDS = 60

hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("busy machine")


@dataclass(frozen=True)
class LiveSidecar:
    """A sidecar process and where it listens."""

    address: str
    web: str
    process: subprocess.Popen[str]
    models: Path


@contextlib.contextmanager
def run_sidecar(models: Path, *options: str) -> Iterator[LiveSidecar]:
    """Run `python -m bridge serve` on `models` until the block ends; SIGTERM must end it with exit code 0."""
    command = [sys.executable, "-m", "bridge", "serve", "--models", str(models), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, f"the sidecar ended with {process.wait(START_SECONDS)} before it was ready"
        ready = json.loads(line)
        yield LiveSidecar(ready["address"], ready["web"], process, models)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        assert process.stdout
        process.stdout.close()


@contextlib.contextmanager
def sidecar_in_thread(models: Path, **settings: Any) -> Iterator[Sidecar]:
    """Run a sidecar in this process until the block ends, so that a test can look into its queues."""
    config = ServeConfig(**({"models": models, "port": 0, "drain_seconds": 5.0} | settings))
    started: concurrent.futures.Future[tuple[Sidecar, asyncio.AbstractEventLoop, asyncio.Event]] = concurrent.futures.Future()

    async def main() -> None:
        try:
            async with Sidecar(config) as sidecar:
                stop = asyncio.Event()
                started.set_result((sidecar, asyncio.get_running_loop(), stop))
                await stop.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, main())
        sidecar, loop, stop = started.result(START_SECONDS)
        try:
            yield sidecar
        finally:
            loop.call_soon_threadsafe(stop.set)
            running.result(START_SECONDS)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what sidecars cache apart from what they cached before the test run."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with tiny bundles: the avatars "face" (RGB) and "portrait" (all there is), the npc "guard"."""
    models = tmp_path_factory.mktemp("models")
    tiny_models.write_avatar(models)
    tiny_models.write_portrait(models)
    tiny_models.write_npc(models)
    return models


@pytest.fixture(scope="session")
def sidecar(tiny_folder: Path) -> Iterator[LiveSidecar]:
    """A sidecar that serves the tiny models for the whole test run."""
    with run_sidecar(tiny_folder) as live:
        yield live


@pytest.fixture
def client(sidecar: LiveSidecar) -> Iterator[Client]:
    """A client of the session's sidecar."""
    with Client(sidecar.address) as connected:
        yield connected


@pytest.fixture(scope="session")
def island_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the tiny scene "island"."""
    models = tmp_path_factory.mktemp("scenes")
    tiny_scene.write_scene(models)
    return models


@pytest.fixture(scope="session")
def island_sidecar(island_folder: Path) -> Iterator[LiveSidecar]:
    """A sidecar that serves the tiny scene for the whole test run."""
    with run_sidecar(island_folder) as live:
        yield live


@pytest.fixture
def island(island_sidecar: LiveSidecar) -> Iterator[Client]:
    """A client of the tiny scene's sidecar."""
    with Client(island_sidecar.address) as connected:
        yield connected
