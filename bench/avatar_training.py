"""`python -m bench.avatar_training`: how many pictures a second avatar training takes in, beside plainer ways to do it.

All variants train the same networks from the same weights on the same pictures and take turns, sixteen steps at a time,
so that each turn has its lazy penalties and a change of the machine's speed reaches all alike.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
import tyro
from tqdm import tqdm

from bench.grouped_conv import use_grouped_convolutions
from bench.results import RESULTS, origin, write_part
from export.avatar.config import TrainConfig
from export.avatar.model import ModelConfig
from export.avatar.trainer import Trainer

NETWORKS = {
    "32 px, nearest": ModelConfig(image_size=32, image_channels=3, channels=(96, 96, 48, 16)),
    "64 px, linear": ModelConfig(image_size=64, image_channels=3, channels=(96, 96, 64, 32, 16), resample="linear"),
}


@dataclass(frozen=True)
class TrainingBenchConfig:
    """Measure the trainer against plainer variants of itself and write the figures."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Which networks to train."""
    batch: int = 16
    """Pictures in a step."""
    turns: int = 5
    """Turns of each variant; the first is not counted."""
    steps: int = 16
    """Steps in a turn: a multiple of sixteen has all lazy penalties in every turn."""
    variants: tuple[str, ...] = ()
    """Which variants to measure besides the trainer; none stands for all."""
    compiled: bool = False
    """Measure torch.compile too; it compiles for many minutes."""
    out: Path = RESULTS
    """File to write."""


Change = Callable[[Trainer], None]


def plain_grouped(trainer: Trainer) -> None:
    """The weight-modulated grouped convolution, in PyTorch's default layout."""
    use_grouped_convolutions(trainer.generator)
    default_layout(trainer)


def default_layout(trainer: Trainer) -> None:
    """Channels before rows and columns, as PyTorch lays pictures out by default."""
    for player in trainer.players.values():
        player.network.to(memory_format=torch.contiguous_format)
    draw = trainer.batches.draw
    trainer.batches.draw = lambda step, p: [dataclasses.replace(b, real=b.real.contiguous()) for b in draw(step, p)]


def plain_adam(trainer: Trainer) -> None:
    """Adam one weight at a time."""
    for player in trainer.players.values():
        for group in player.optimiser.param_groups:
            group["fused"] = False
            group["foreach"] = False


def compiled(trainer: Trainer) -> None:
    """Both networks through torch.compile in the main passes; the penalties need second derivatives, which it has not."""
    synthesis, judge = torch.compile(trainer.generator.synthesis), torch.compile(trainer.discriminator)
    trainer._judge = lambda images: judge(images)

    def generate(latents: object) -> tuple[torch.Tensor, torch.Tensor]:
        w = trainer._styles(latents)
        return synthesis(w, latents.noise), w

    trainer._generate = generate


VARIANTS: dict[str, tuple[Change | None, dict[str, object]]] = {
    "the trainer": (None, {}),
    "plain grouped convolutions, default layout": (plain_grouped, {}),
    "grouped convolutions, channels last": (lambda trainer: use_grouped_convolutions(trainer.generator), {}),
    "default layout": (default_layout, {}),
    "Adam without fusing": (plain_adam, {}),
    "bfloat16": (None, {"precision": "bfloat16"}),
    "penalties at every step": (None, {"r1_interval": 1, "path_interval": 1}),
    "augmentation bgc at p = 0.5": (None, {"augment": "bgc", "augment_p": 0.5, "augment_kimg": 0.0}),
}


def measure(config: TrainingBenchConfig, model: ModelConfig) -> dict[str, list[float]]:
    """Seconds of the processor for each counted turn of each variant."""
    images = np.random.default_rng(0).integers(0, 256, (512, 3, model.image_size, model.image_size), np.uint8)
    trainers = {}
    wanted = ("the trainer", *(config.variants or VARIANTS))
    variants = {name: value for name, value in VARIANTS.items() if name in wanted}
    variants |= {"torch.compile": (compiled, {})} if config.compiled else {}
    for name, (change, options) in variants.items():
        trainers[name] = Trainer(TrainConfig(model=model, batch=config.batch, **options), images)
        if change:
            change(trainers[name])
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in tqdm(range(config.turns), unit="turn"):
        for name, trainer in trainers.items():
            start = time.process_time()
            for _ in range(config.steps):
                trainer.train_step()
            seconds[name].append(time.process_time() - start)
    return {name: values[1:] for name, values in seconds.items()}


def report(config: TrainingBenchConfig, measured: dict[str, dict[str, list[float]]]) -> str:
    """Return this bench's part of RESULTS.md."""
    lines = [
        "## Avatar training on the CPU",
        f"{origin('bench.avatar_training')}; PyTorch {torch.__version__}, one thread.",
        f"Pictures a second of processor time: the median of {config.turns - 1} turns of {config.steps} steps with "
        f"{config.batch} pictures each, all variants in one run, turn by turn. Each variant changes one thing.",
    ]
    for network, seconds in measured.items():
        rates = {name: config.steps * config.batch / median(values) for name, values in seconds.items()}
        own = rates["the trainer"]
        rows = [f"| {name} | {rate:.1f} | {own / rate:.2f} |" for name, rate in rates.items()]
        head = f"| {network}, channels {' '.join(map(str, NETWORKS[network].channels))} | pictures/s | the trainer over it |"
        lines.append("\n".join([head, "| --- | ---: | ---: |", *rows]))
    return "\n\n".join(lines)


def main(config: TrainingBenchConfig) -> None:
    """Measure every network and write the results."""
    torch.set_num_threads(1)
    measured = {name: measure(config, NETWORKS[name]) for name in config.networks}
    write_part(config.out, "bench.avatar_training", report(config, measured))
    print(f"wrote {config.out}")


if __name__ == "__main__":
    main(tyro.cli(TrainingBenchConfig))
