"""The server processes that the bench measures, and what the operating system says about them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from google.protobuf.message import Message

from bench.echo import save_answers

ECHO = Path(__file__).with_name("echo.py")


@dataclass(frozen=True)
class SidecarProcess:
    """A running sidecar: its gRPC address, seconds from start to SERVING, and its process."""

    address: str
    web: str
    start_seconds: float
    process: psutil.Process


@contextlib.contextmanager
def sidecar(models: Path, *options: str) -> Iterator[SidecarProcess]:
    """Run a sidecar with more options of `serve`, on free ports, until the block ends."""
    command = [sys.executable, "-m", "bridge", "serve", "--models", str(models), "--port", "0", "--providers", "cpu", *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(command)} ended with {process.wait()}; run it to see why")
        seconds = time.perf_counter() - start
        ready = json.loads(line)
        yield SidecarProcess(ready["address"], ready["web"], seconds, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout
        process.stdout.close()


@contextlib.contextmanager
def echo(answers: dict[str, Message], folder: Path) -> Iterator[str]:
    """Run the echo server with these answers; yield its address."""
    with echo_process(answers, folder, "asyncio") as (address, _):
        yield address


@contextlib.contextmanager
def echo_process(
    answers: dict[str, Message], folder: Path, kind: str, libraries: Path | None = None
) -> Iterator[tuple[str, psutil.Process]]:
    """Run an echo server of a kind, with `libraries` beside its own; yield its address and its process."""
    path = folder / "answers.json"
    save_answers(path, answers)
    variables = os.environ | ({"PYTHONPATH": str(libraries)} if libraries else {})
    command = [sys.executable, str(ECHO), str(path), kind]
    process = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield f"127.0.0.1:{int(process.stdout.readline())}", psutil.Process(process.pid)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(30)
        assert process.stdout
        process.stdout.close()


def idle_cpu_percent(process: psutil.Process, seconds: float) -> float:
    """Return the share of one core, in percent, that a process uses while nobody calls it."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds
