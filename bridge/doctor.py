"""`python -m bridge doctor`: is all there that serving needs? Each line is a finding and, where it is bad, what to do."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc
import onnxruntime as ort

from bridge import __version__
from bridge.config import DoctorConfig
from bridge.model_card import CARD_FILE, CardError, read_card
from bridge.models_folder import scan
from bridge.onnx_file import OnnxFileError, checked_source
from bridge.providers import CUDA, cuda_driver
from bridge.services import family_modules

LEAST_PYTHON = (3, 11)
Level = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do if it is not well."""

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.level:<5}{self.what}" + (f"; {self.advice}" if self.advice else "")


def doctor(config: DoctorConfig) -> int:
    """Print every finding; return 1 if one is bad."""
    worst = 0
    for finding in examine(config):
        print(finding)
        worst = max(worst, finding.level == "bad")
    return worst


def examine(config: DoctorConfig) -> Iterator[Finding]:
    """Yield the findings in the order in which serving needs the things."""
    yield from _versions()
    yield from _providers()
    for flag, port in (("--port", config.port), ("--web-port", config.port + 1)):
        yield _port(config.host, port, flag)
    yield from _models(config.models)


def _versions() -> Iterator[Finding]:
    text = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < LEAST_PYTHON:
        yield Finding("bad", text, f"install Python {'.'.join(map(str, LEAST_PYTHON))} or newer")
    else:
        yield Finding("ok", text)
    yield Finding("ok", f"metabridge {__version__}, ONNX Runtime {ort.__version__}, grpcio {grpc.__version__}")


def _providers() -> Iterator[Finding]:
    available = ort.get_available_providers()
    yield Finding("ok", f"this build of ONNX Runtime offers {', '.join(available)}")
    if CUDA not in available:
        yield Finding("note", "no CUDA in this build: models run on the CPU", "install onnxruntime-gpu for an NVIDIA card")
    elif not cuda_driver():
        yield Finding("note", "no CUDA driver: models run on the CPU", "install NVIDIA's driver if there is a card")
    else:
        yield from _cuda_libraries()


def _cuda_libraries() -> Iterator[Finding]:
    """Try what CUDA's provider loads; ONNX Runtime falls back to the CPU without a word in `get_available_providers`."""
    try:
        ort.preload_dlls()
    except Exception as error:
        yield Finding("bad", f"CUDA's libraries do not load: {error}", "pip install onnxruntime-gpu[cuda,cudnn]")
        return
    yield Finding("ok", "CUDA's driver and libraries load")


def _port(host: str, port: int, flag: str) -> Finding:
    if not 0 < port < 1 << 16:
        return Finding("bad", f"{flag} {port} is no port", "name one from 1 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(
                "bad", f"{host}:{port} cannot be bound: {error.strerror}", f"stop what holds it or choose another {flag}"
            )
    return Finding("ok", f"{host}:{port} is free")


def _models(models: Path) -> Iterator[Finding]:
    try:
        found = scan(models)
    except OSError as error:
        yield Finding(
            "bad", f"models folder {models} cannot be read: {error.strerror}", "make it, or name another with --models"
        )
        return
    writable = "" if os.access(models, os.W_OK) else ", read-only for this user"
    yield Finding("ok", f"models folder {models.resolve()}: {len(found)} bundles{writable}")
    if not found:
        yield Finding("note", "nothing to serve yet", "export a model into the folder")
    for (name, version), entry in sorted(found.items()):
        yield _bundle(f"{name} {version}", entry.folder)


def _bundle(what: str, folder: Path) -> Finding:
    try:
        card = read_card(folder / CARD_FILE)
        if (card.name, str(card.version)) != (folder.parent.name, folder.name):
            return Finding("bad", f"{what}: its card is of {card.name} {card.version}", "move the bundle to its place")
        if card.family not in family_modules():
            return Finding("bad", f'{what}: family "{card.family}" is unknown', f"this sidecar serves {list(family_modules())}")
        for graph in card.graphs:
            checked_source(folder, graph)
    except (CardError, OnnxFileError, OSError) as error:
        return Finding("bad", f"{what}: {error}")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Finding("ok", f"{what}: {card.family}, {len(card.graphs)} graphs, {size / 2**20:.1f} MiB, every hash is right")
