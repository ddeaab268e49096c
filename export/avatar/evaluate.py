"""The verdict on a generator: distances, precision and recall, path length and the copy check, beside the data's own."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from export.avatar import copies, data, features
from export.avatar.metrics import frechet, kernel_distance, nearest, precision_recall
from export.avatar.model import Generator
from export.avatar.path_length import path_length
from export.avatar.sample import generate
from export.avatar.trained import Trained, open_trained


class InLoopMetric:
    """Measures a generator again and again against the same pictures; what a training run keeps its best checkpoint by.

    Always draws seeds 0 to drawn - 1 without truncation and leaves PyTorch's and NumPy's random state alone. Figures
    depend on `count` and `drawn`: compare only those of equal numbers.
    """

    def __init__(self, images: np.ndarray, count: int, cache: Path, *, drawn: int = 0, pairs: int = 128) -> None:
        """Takes pictures that the training does not see, uint8 [N, C, S, S]; keeps their features in <cache>/features.

        count is how many of them are compared (at most N), drawn with how many generated ones (0: as many), pairs how many
        go into the path length (0: none).
        Raises ValueError when there are too few for precision and recall.
        """
        self.count, self.pairs = min(count, len(images)), pairs
        self.drawn = drawn or self.count
        check_count(min(self.count, self.drawn))
        self.real = features.cached(images[: self.count], cache / "features")

    def measure(self, generator: Generator) -> dict[str, float]:
        """Returns fd_vgg, kd_vgg, precision, recall (k = 3) and path_length."""
        device = str(generator.mapping.w_mean.device)
        fake = features.extract(generate(generator, range(self.drawn), truncation=1.0), device=device)
        measured = compare_features(self.real, fake)
        return measured | ({"path_length": path_length(generator, self.pairs)} if self.pairs else {})


def check_count(count: int, k: int = 3) -> None:
    """Raises ValueError when `count` pictures have no k-th nearest neighbour among themselves."""
    if k < 1 or count <= k:
        raise ValueError(f"cannot measure {count} pictures with k = {k}; k must be above 0 and the pictures more than k")


def compare_features(real: np.ndarray, fake: np.ndarray, *, k: int = 3) -> dict[str, float]:
    """The figures that need nothing but the features of two sets of pictures."""
    precision, recall = precision_recall(real, fake, k=k)
    kernel = kernel_distance(real, fake)
    return {
        "fd_vgg": frechet(real, fake),
        "kd_vgg": kernel.mean,
        "kd_vgg_deviation": kernel.deviation,
        "precision": precision,
        "recall": recall,
    }


def distance_of_halves(first: np.ndarray, second: np.ndarray, *, shuffles: int = 5) -> float:
    """FD-VGG between two disjoint halves of the data, the mean over this and other ways to halve the features [N, D] given."""
    both, half = np.concatenate([first, second]), len(first)
    orders = [np.random.default_rng(seed).permutation(len(both)) for seed in range(1, shuffles)]
    distances = [frechet(both[order[:half]], both[order[half:]]) for order in orders]
    return float(np.mean([frechet(first, second), *distances]))


@dataclass(frozen=True)
class Pictures:
    """What a generator is measured against: two disjoint sets of equal size, and pictures that it was trained on."""

    first: np.ndarray
    second: np.ndarray
    training: np.ndarray


@dataclass(frozen=True)
class EvaluateConfig:
    """Measures a generator against its data: FD-VGG, kernel distance, precision, recall, path length and copies."""

    source: Annotated[str, tyro.conf.arg(name="from")] = "default"
    """default, a checkpoint file or a run folder."""
    count: int = 5000
    """Generated pictures, compared with as many of the data; figures of different counts do not compare."""
    split: Literal["held-out", "train"] = "held-out"
    """Compare with pictures that were not trained on, or with the training pictures."""
    path: str = ""
    """The folder that the generator was trained on, where it was trained on a folder."""
    held_out_path: str = ""
    """A folder of pictures that were not trained on, where it was trained on a folder."""
    training: int = 10_000
    """Training pictures among which copies are looked for; 0 takes all."""
    pairs: int = 1000
    """Pairs of latents for the path length; 0 leaves it out."""
    k: int = 3
    """Which nearest neighbour sets the radius in precision and recall."""
    cache: Path = Path("data/avatar")
    """Folder of prepared pictures and their features."""
    out: Path = Path("out/evaluation")
    """Folder to write report.json and neighbours.png to."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def run(self) -> None:
        """Writes the report and the sheet of neighbours, and prints a table."""
        if self.threads:
            torch.set_num_threads(self.threads)
        trained = open_trained(self.source)
        report = self.evaluate(trained, load_pictures(self, trained.record["config"]))
        path = self.out / "report.json"
        path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        print(table(report))
        print(path)

    def evaluate(self, trained: Trained, pictures: Pictures) -> dict[str, Any]:
        """Returns the report as plain JSON values and writes the sheet of neighbours."""
        self.out.mkdir(parents=True, exist_ok=True)
        kept = self.cache / "features"
        first, second, training = (features.cached(part, kept) for part in dataclasses.astuple(pictures))
        generated = generate(trained.generator, range(len(pictures.first)), truncation=1.0)
        fake = features.extract(generated, progress="features of generated pictures")
        ours = compare_features(first, fake, k=self.k)
        if self.pairs:
            ours["path_length"] = path_length(trained.generator, self.pairs, progress="path length")
        halves = compare_features(first, second, k=self.k) | {"fd_vgg": distance_of_halves(first, second)}
        near, near_unseen = (copies.pixel_neighbours(part, pictures.training) for part in (generated, pictures.first))
        copies.write_sheet(self.out / "neighbours.png", generated, pictures.training, near)
        return {
            "from": self.source,
            "split": self.split,
            "count": len(generated),
            "k": self.k,
            "generated": _rounded(ours),
            "halves_of_the_data": _rounded(halves),
            "fd_vgg_ratio": round(ours["fd_vgg"] / halves["fd_vgg"], 3) if halves["fd_vgg"] else math.inf,
            "training_pictures": len(pictures.training),
            "nearest_in_pixels": copies.compare(near, near_unseen),
            "nearest_in_features": copies.compare(nearest(fake, training), nearest(first, training)),
        }


def load_pictures(config: EvaluateConfig, record: dict[str, Any]) -> Pictures:
    """Loads or draws what a generator with this record's config is measured against.

    Raises ValueError where a folder is needed and not given, or where there is too little to compare.
    """
    shape, source = record["model"], record["source"]
    wanted: dict[str, Any] = {
        "size": shape["image_size"],
        "pixel_size": shape["pixel_size"],
        "channels": shape["image_channels"],
        "cache": config.cache,
    }
    if source == data.FOLDER:
        if not config.path:
            raise ValueError("this generator was trained on a folder; give it as --path")
        if config.split == "held-out" and not config.held_out_path:
            raise ValueError("a folder has no held-out pictures; give others as --held-out-path, or use --split train")
        wanted["minimum"] = 2 * (config.k + 1)
        training = data.load(source, config.path, **wanted).images
        real = training if config.split == "train" else data.load(source, config.held_out_path, **wanted).images
    else:
        wanted["seed"] = record["seed"]
        # A smaller set is the beginning of a larger one.
        least = max(config.training, 2 * config.count if config.split == "train" else 0) if config.training else math.inf
        training = data.load(source, count=min(record["faces"], least), **wanted).images
        real = training
        if config.split == "held-out":
            real = data.load(source, count=2 * config.count, split="held-out", **wanted).images
    half = min(config.count, len(real) // 2)
    check_count(half, config.k)
    shuffled = np.random.default_rng(0).permutation(len(real))
    return Pictures(real[shuffled[:half]], real[shuffled[half : 2 * half]], training[: config.training or None])


def table(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    rows = [f"{'':24}{'generated':>12}{'data halves':>12}"]
    for name, value in report["generated"].items():
        halves = report["halves_of_the_data"].get(name, "")
        rows.append(f"{name:24}{value:>12}{halves:>12}")
    rows.append(f"{'fd_vgg ratio':24}{report['fd_vgg_ratio']:>12}")
    for space in ("nearest_in_pixels", "nearest_in_features"):
        near = report[space]
        rows.append(f"{space.replace('_', ' '):24}{'generated':>12}{'held out':>12}")
        rows += [f"  {name:22}{near['generated'][name]:>12}{near['held_out'][name]:>12}" for name in near["generated"]]
        rows.append(f"  {'too near':22}{near['too_near']:>12}")
    rows.append(f"{report['count']} pictures against {report['count']} ({report['split']}); ")
    rows[-1] += f"neighbours among {report['training_pictures']} training pictures"
    return "\n".join(rows)


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
