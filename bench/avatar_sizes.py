"""`python -m bench.avatar_sizes`: what StyleGAN2's config F costs at 256, 512 and 1024 px, from a step to ONNX Runtime.

Each figure comes from a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
import torch
import tyro
from tqdm import tqdm

from bench.cases import session
from bench.results import RESULTS, origin, write_part
from export import checkpoint
from export.avatar.config import TrainConfig
from export.avatar.datasheet import Datasheet
from export.avatar.model import ModelConfig
from export.avatar.to_onnx import export_avatar
from export.avatar.trained import open_trained
from export.avatar.trainer import Trainer

Stage = Literal["all", "train", "export", "run"]


@dataclass(frozen=True)
class SizesConfig:
    """Measure training, export and inference at high resolutions and write the figures."""

    sizes: tuple[int, ...] = (256, 512, 1024)
    """Pixels of the pictures."""
    batches: tuple[int, ...] = (1, 2, 4)
    """Pictures in a training step and in a run of ONNX Runtime."""
    max_train_pixels: int = 2**20
    """Leave out training batches with more pixels than this in all."""
    stage: Stage = "all"
    """Everything, or one stage of one size in this process, which prints its figures as JSON."""
    folder: Path = Path()
    """Where a single stage finds what the one before it left."""
    out: Path = RESULTS
    """File to write."""


def model(size: int) -> ModelConfig:
    """Config F of the paper: min(512, 2^15 / resolution) feature maps, eight mapping layers, linear filters."""
    return ModelConfig(
        image_size=size,
        image_channels=3,
        latent_size=512,
        mapping_layers=8,
        channel_base=32768,
        channel_max=512,
        resample="linear",
    )


def timed(work: Callable[[], Any]) -> float:
    """Seconds of processor time, so that other work on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def train(size: int, batch: int, folder: Path) -> dict[str, float]:
    """A step with both penalties and a step without; leaves a checkpoint."""
    images = np.random.default_rng(0).integers(0, 256, (batch, 3, size, size), np.uint8)
    trainer = Trainer(TrainConfig(model=model(size), batch=batch), images)
    figures = {"first": timed(trainer.train_step), "plain": timed(trainer.train_step)}
    trainer.check_finite()
    trainer.datasheet = Datasheet(*("noise", "", "CC0-1.0", "", ""), True, batch, 0, size, 3, 1, 0, "train", {}, {}).to_json()
    checkpoint.save(folder / "checkpoint.pt", "avatar", trainer.state())
    return figures


def export(size: int, folder: Path) -> dict[str, float]:
    """The bundle, behind the parity gate."""
    trained = open_trained(str(folder / "checkpoint.pt"))
    seconds = timed(lambda: export_avatar(trained, folder / "models", "large", 1))
    card = json.loads((folder / "models/large/1/card.json").read_text())
    bytes_ = sum(path.stat().st_size for path in (folder / "models/large/1").iterdir())
    return {"seconds": seconds, "mib": bytes_ / 2**20, "parity": max(graph["parity_error"] for graph in card["graphs"])}


def run(size: int, batch: int, folder: Path) -> dict[str, float]:
    """One graph with any batch: milliseconds of processor time a picture."""
    bundle, config = folder / "models/large/1", model(size)
    synthesis, mapping = (session(bundle / f"{name}.onnx", 1) for name in ("synthesis", "mapping"))
    rng = np.random.default_rng(0)
    z = rng.standard_normal((batch, config.latent_size), np.float32)
    zero = np.zeros(batch, np.int64)
    styles = {"z": z, "z_mix": z, "truncation": np.full(batch, 0.7, np.float32), "mix_start": zero, "mix_end": zero}
    feeds = {"w": mapping.run(None, styles)[0], "noise": rng.standard_normal((batch, config.noise_size), np.float32)}
    image = synthesis.run(None, feeds)[0]
    if image.shape != (batch, 3, size, size) or not np.isfinite(image).all():
        raise RuntimeError(f"the synthesis graph gave {image.shape} for a batch of {batch}")
    return {"ms": 1000 * min(timed(lambda: synthesis.run(None, feeds)) for _ in range(2)) / batch}


def in_own_process(stage: Stage, size: int, batch: int, folder: Path) -> dict[str, float]:
    """Run one stage in a process and return its figures and peak memory in GiB."""
    command = [sys.executable, "-m", "bench.avatar_sizes", "--stage", stage, "--folder", str(folder)]
    command += ["--sizes", str(size), "--batches", str(batch)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(answer.splitlines()[-1])


def one_stage(config: SizesConfig) -> dict[str, float]:
    """What a process of its own does."""
    size, batch = config.sizes[0], config.batches[0]
    work = {
        "train": lambda: train(size, batch, config.folder),
        "export": lambda: export(size, config.folder),
        "run": lambda: run(size, batch, config.folder),
    }[config.stage]
    figures = work()
    return figures | {"gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def measure(config: SizesConfig) -> list[list[str]]:
    """Return the rows of the table, one for each size and batch."""
    rows = []
    for size in tqdm(config.sizes, unit="size"):
        with tempfile.TemporaryDirectory() as name:
            folder, trained = Path(name), {}
            # The smallest batch last: its checkpoint is the one that is exported.
            for batch in sorted(config.batches, reverse=True):
                if batch * size * size <= config.max_train_pixels or batch == min(config.batches):
                    trained[batch] = in_own_process("train", size, batch, folder)
            bundle = in_own_process("export", size, 1, folder)
            for batch in config.batches:
                step, drawn = trained.get(batch), in_own_process("run", size, batch, folder)
                cells = [f"{step['plain']:.1f}", f"{step['first']:.1f}", f"{step['gib']:.1f}"] if step else ["–"] * 3
                first = batch == config.batches[0]
                cells += [f"{bundle['seconds']:.1f}", f"{bundle['gib']:.1f}", f"{bundle['parity']:.1e}"] if first else [""] * 3
                rows.append([f"{size}", f"{batch}", *cells, f"{drawn['ms']:.0f}", f"{drawn['gib']:.1f}"])
    return rows


def report(rows: list[list[str]]) -> str:
    """Return this bench's part of RESULTS.md."""
    versions = f"PyTorch {torch.__version__}, ONNX Runtime {ort.__version__}, one thread"
    head = "| px | batch | step, s | step with both penalties, s | peak, GiB | export and parity gate, s | peak, GiB "
    lines = [
        "## Config F at high resolutions",
        f"{origin('bench.avatar_sizes')}; {versions}.",
        "Seconds are processor time; each peak is of a process of its own. The networks have min(512, 32768 / resolution) "
        "feature maps, latents of 512 and eight mapping layers; one bundle serves every batch.",
        "\n".join(
            [
                head + "| parity error | ONNX Runtime, ms a picture | peak, GiB |",
                "| ---: " * 10 + "|",
                *(f"| {' | '.join(row)} |" for row in rows),
            ]
        ),
    ]
    return "\n\n".join(lines)


def main(config: SizesConfig) -> None:
    """Measure everything and write the results, or one stage and print its figures."""
    torch.set_num_threads(1)
    if config.stage != "all":
        print(json.dumps(one_stage(config)))
        return
    write_part(config.out, "bench.avatar_sizes", report(measure(config)))
    print(f"wrote {config.out}")


if __name__ == "__main__":
    main(tyro.cli(SizesConfig))
