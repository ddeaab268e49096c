"""`python -m bench.avatar_morph`: how many frames of a morph a second the sidecar makes on the CPU, and how punctual they are.

The client is this process, the sidecar one of its own; frames travel over gRPC.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil
import tyro
from tqdm import tqdm

from bench.processes import sidecar
from bench.results import RESULTS, origin, write_part
from bridge.client import Client
from bridge.v1 import asset_pb2, avatar_service_pb2

SEEDS = (3, 8, 21, 34)
FORMATS = {"RGBA8": asset_pb2.IMAGE_FORMAT_RGBA8, "PNG": asset_pb2.IMAGE_FORMAT_PNG}


@dataclass(frozen=True)
class MorphBenchConfig:
    """Measure MorphAvatar and write the figures with the machine and the command."""

    models: Path = Path("models")
    """Folder with the bundles."""
    avatars: tuple[str, ...] = ()
    """Names of the avatar bundles; none stands for all in the folder."""
    threads: int = 1
    """The sidecar's threads a model; 0 takes all cores."""
    frames: int = 600
    """Frames of a morph that nobody holds back."""
    frame_rate: float = 30.0
    """Frames a second of a morph in real time."""
    seconds: float = 10.0
    """Length of the morph in real time."""
    out: Path = RESULTS
    """File to write."""


@dataclass(frozen=True)
class Measured:
    """What was found out about a bundle: its size, frames a second by format, and how it keeps time."""

    name: str
    size_px: int
    rates: dict[str, float]
    late_ms: np.ndarray
    cpu_percent: float


def arrivals(client: Client, name: str, kind: str, frames: int, rate: float, *, real_time: bool) -> np.ndarray:
    """Play a round of about `frames` frames; return the seconds from the first frame to each."""
    spec = avatar_service_pb2.AvatarSpec(seeds=SEEDS, image=asset_pb2.ImageSpec(format=FORMATS[kind]))
    seconds = max(1, frames // len(SEEDS)) / rate
    morph = client.morph_avatar(name, spec, frame_rate=rate, seconds_per_key=seconds, loop=True, real_time=real_time)
    times = np.array([time.perf_counter() for _ in morph])
    return times - times[0]


def measure(client: Client, process: psutil.Process, name: str, config: MorphBenchConfig) -> Measured:
    """Measure one bundle: unpaced in each format, then in real time."""
    size: int = json.loads(client.model(name).card_json)["spec"]["image_size"]
    arrivals(client, name, "RGBA8", 30, config.frame_rate, real_time=False)
    rates = {}
    for kind in FORMATS:
        times = arrivals(client, name, kind, config.frames, config.frame_rate, real_time=False)
        rates[kind] = (len(times) - 1) / times[-1]
    before = process.cpu_times()
    frames = round(config.seconds * config.frame_rate)
    times = arrivals(client, name, "RGBA8", frames, config.frame_rate, real_time=True)
    after = process.cpu_times()
    late = 1000 * (times - np.arange(len(times)) / config.frame_rate)
    busy = after.user + after.system - before.user - before.system
    return Measured(name, size, rates, late, 100 * busy / times[-1])


def report(config: MorphBenchConfig, measured: list[Measured]) -> str:
    """Return this bench's part of RESULTS.md."""
    rate = f"{config.frame_rate:g}"
    head = ["model", "px", *(f"{kind}, frames/s" for kind in FORMATS)]
    head += [f"late at {rate} frames/s: p50, ms", "p99, ms", "CPU, % of a core"]
    rows = [f"| {' | '.join(head)} |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for found in measured:
        late = [f"{float(np.percentile(found.late_ms, q)):.1f}" for q in (50, 99)]
        cells = [found.name, f"{found.size_px}", *(f"{value:.0f}" for value in found.rates.values()), *late]
        rows.append(f"| {' | '.join(cells)} | {found.cpu_percent:.0f} |")
    threads = f"{config.threads} thread{'s' if config.threads > 1 else ''} a model" if config.threads else "all cores"
    lines = [
        "## Morphs",
        f"{origin('bench.avatar_morph')}; ONNX Runtime {ort.__version__} (CPUExecutionProvider), {threads}.",
        f"*Frames/s*: a round of {config.frames} frames that nobody holds back. *Late*: how long after its time a frame of a "
        f"round of {config.seconds:g} s in real time arrives, the first one being on time; RGBA8. *CPU*: what the sidecar uses "
        "meanwhile.",
        "\n".join(rows),
    ]
    return "\n\n".join(lines)


def main(config: MorphBenchConfig) -> None:
    """Measure every bundle and write the results."""
    with sidecar(config.models, "--threads", str(config.threads)) as served, Client(served.address) as client:
        serving = [model.name for model in client.models() if model.family == "avatar" and not model.reason]
        names = config.avatars or tuple(dict.fromkeys(serving))
        if not names:
            raise SystemExit(f'error: no avatar bundle in "{config.models}"; run make models')
        measured = [measure(client, served.process, name, config) for name in tqdm(names, unit="model")]
    write_part(config.out, "bench.avatar_morph", report(config, measured))
    print(f"wrote {config.out}")


if __name__ == "__main__":
    main(tyro.cli(MorphBenchConfig))
