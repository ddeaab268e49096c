"""`python -m export scene compare-priors`: masked against autoregressive decoding, over the same codes and equally trained."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from export.avatar import features
from export.avatar.metrics import frechet
from export.run_log import picture_grid, save_picture
from export.scene.classes import METRES_PER_CELL
from export.scene.code_windows import DRAWING
from export.scene.hillshade import shaded_grey
from export.scene.prior import MaskedPrior
from export.scene.reconstruction import decode
from export.scene.sample import CHOICE_TEMPERATURE, STEPS, draw_codes, of_worlds
from export.scene.tasks import HELD_OUT, rendered
from export.scene.tiles import TileSource
from export.scene.train import load_data
from export.scene.trained import Trained, open_trained, train_config, training_totals

SHOWN = 32
KINDS = ("masked", "autoregressive")


@dataclass(frozen=True)
class ComparePriorsConfig:
    """Compares a masked prior with an autoregressive one over the same VQ-VAE: speed on one thread, distance to the data."""

    source: Annotated[str, tyro.conf.arg(name="from")] = "default"
    """The masked prior: default, or its checkpoint file or run folder."""
    autoregressive: str = "runs/scene/terrain-ar"
    """The checkpoint file or run folder of the autoregressive prior."""
    count: int = 2000
    """Tiles that each draws, compared with as many held-out ones; figures of different counts do not compare."""
    alone: int = 16
    """Tiles that each draws one at a time, as the sidecar does, to time that too."""
    steps: int = STEPS
    """Refinement steps of a tile of the masked prior."""
    choice_temperature: float = CHOICE_TEMPERATURE
    """Weight of the noise by which the masked prior chooses the codes of a step."""
    cache: Path = Path("data/scene")
    """Folder of worlds and of features of their tiles."""
    out: Path = Path("out/scene-priors")
    """Folder to write report.json, report.md and pictures to."""

    def __post_init__(self) -> None:
        if self.count < 2 or self.alone < 1 or self.steps < 1:
            given = f"count is {self.count}, alone {self.alone}, steps {self.steps}"
            raise ValueError(f"{given}; count must be 2 or more, the others above 0")

    def run(self) -> None:
        """Writes the report and the pictures, and prints the table."""
        torch.set_num_threads(1)
        report = self.compare(open_trained(self.source), open_trained(self.autoregressive))
        (self.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        (self.out / "report.md").write_text(table(report), "utf-8")
        print(table(report))

    def compare(self, masked: Trained, autoregressive: Trained) -> dict[str, Any]:
        """Returns the report as plain JSON values; raises ValueError for priors that do not compare."""
        check_comparable(masked, autoregressive)
        # The same decoder draws both: that of one may have learnt more.
        autoregressive = dataclasses.replace(autoregressive, vqvae=masked.vqvae)
        self.out.mkdir(parents=True, exist_ok=True)
        config = train_config(masked.record["vqvae"]["config"], cache=self.cache)
        real = TileSource(load_data(config, "held-out").worlds).draw(self.count, HELD_OUT, 0)
        kept = features.cached(shaded_grey(real.height, METRES_PER_CELL), self.cache / "features")
        priors = {kind: self._measure(kind, one, kept) for kind, one in zip(KINDS, (masked, autoregressive), strict=True)}
        first, second = (priors[kind] for kind in KINDS)
        ratios = {name: first[name] / second[name] for name in ("tiles_per_second", "tiles_per_second_alone", "fd_vgg")}
        return {"count": self.count, "steps": self.steps, "batch": 32, "priors": priors, "masked_over_autoregressive": ratios}

    def _measure(self, kind: str, trained: Trained, kept: np.ndarray) -> dict[str, float]:
        options: dict[str, Any] = {"steps": self.steps, "choice_temperature": self.choice_temperature}
        draw = partial(draw_codes, trained.prior, **options)
        asked = of_worlds(trained, range(self.count))
        codes, seconds = timed(lambda: draw(range(self.count), conditions=asked))
        singly = [of_worlds(trained, [seed]) for seed in range(self.alone)]
        _, alone = timed(lambda: [draw([seed], conditions=one) for seed, one in enumerate(singly)])
        drawn = decode(trained.vqvae, codes)
        save_picture(picture_grid(rendered(drawn[:SHOWN]), 8), self.out / f"{kind}.png", enlarge=2)
        return {
            "parameters": sum(parameter.numel() for parameter in trained.prior.parameters()),
            **training_totals(trained.record["prior"]),
            "tiles_per_second": self.count / seconds,
            "tiles_per_second_alone": self.alone / alone,
            "fd_vgg": frechet(kept, features.extract(shaded_grey(drawn.height, METRES_PER_CELL), progress=kind)),
        }


def check_comparable(masked: Trained, autoregressive: Trained) -> None:
    """Raises ValueError unless the first prior is masked, the second is not, and both draw codes of one VQ-VAE."""
    for kind, one in zip(KINDS, (masked, autoregressive), strict=True):
        if isinstance(one.prior, MaskedPrior) != (kind == "masked"):
            raise ValueError(f"the {kind} prior is {one.prior.config.kind}; give one trained with --model.kind {kind}")
    weights, others = masked.vqvae.state_dict(), autoregressive.vqvae.state_dict()
    names = (weights.keys() | others.keys()) - {"quantiser.counts", "quantiser.sums"}
    names = {name for name in names if not name.startswith(DRAWING)}
    differing = sorted(name for name in names if not _alike(weights.get(name), others.get(name)))
    if differing:
        raise ValueError(
            f"the priors draw codes of different VQ-VAEs: {len(differing)} of their tensors differ, {differing[0]} for one; "
            "train both with the same --vqvae"
        )


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Returns what some work gives, and the seconds of processor time that it took: other programs do not count."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    priors, ratios = report["priors"], report["masked_over_autoregressive"]
    rows = [
        ("parameters", "parameters", "{:,.0f}"),
        ("tiles shown in training", "tiles_seen", "{:,.0f}"),
        ("hours of training", "hours", "{:.2f}"),
        (f"tiles/s, {report['batch']} at a time", "tiles_per_second", "{:.2f}"),
        ("tiles/s, one at a time", "tiles_per_second_alone", "{:.2f}"),
        (f"FD-VGG, {report['count']:,} against {report['count']:,}", "fd_vgg", "{:.4g}"),
    ]
    lines = [
        f"| {report['steps']} steps a tile, one thread | masked | autoregressive | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for label, name, form in rows:
        values = " | ".join(form.format(priors[kind][name]) for kind in KINDS)
        lines.append(f"| {label} | {values} | {f'{ratios[name]:.2f}' if name in ratios else ''} |")
    return "\n".join(lines) + "\n"


def _alike(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """Whether two weights are the same; those of defaults are rounded to float16."""
    if one is None or other is None or one.shape != other.shape:
        return False
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4)
