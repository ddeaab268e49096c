"""`python -m export scene default`: a trained prior with its VQ-VAE becomes files that the project carries."""

from __future__ import annotations

import dataclasses
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from export.curves import draw_curves, read_curve, read_events, run_folder
from export.scene.default_page import page
from export.scene.evaluate import PARTS, EvaluateConfig, Part
from export.scene.trained import DEFAULT_NAME, DEFAULTS, load_default, open_trained, write_default

CURVES = {"training": "loss/codes", "held-out worlds": "held-out/nats"}
SHEETS = ("generated", "reconstructions", "blocks", "histograms", "autoregressive")


@dataclass(frozen=True)
class DefaultConfig:
    """Turns a prior's checkpoint into a committed default: float16 weights, record, page and pictures."""

    source: Annotated[str, tyro.conf.arg(name="from")]
    """The prior's checkpoint file or run folder, or a default to measure again."""
    name: str = DEFAULT_NAME
    """Name of the default."""
    folder: Path = DEFAULTS
    """Folder to write to."""
    autoregressive: str = ""
    """The run folder of an autoregressive prior over the same codes, to compare with."""
    count: int = 2000
    """How many generated tiles to compare with as many of the data; 0 measures nothing and draws no pictures."""
    parts: tuple[Part, ...] = PARTS
    """What to measure; of a default that has been measured before, the other figures stay."""
    cache: Path = Path("data/scene")
    """Folder of worlds."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def run(self) -> None:
        """Writes <name>.safetensors, .json, .md and the pictures. The figures are those of the float16 weights."""
        path = write_default(open_trained(self.source), self.name, self.folder)
        trained = load_default(self.name, self.folder)
        if self.count:
            out = Path("out/scene-evaluation") / self.name
            config = EvaluateConfig(
                autoregressive=self.autoregressive,
                count=self.count,
                parts=self.parts,
                cache=self.cache,
                out=out,
                threads=self.threads,
            )
            metrics = trained.record["metrics"] | config.evaluate(trained)
            trained = dataclasses.replace(trained, record=trained.record | {"metrics": metrics})
            write_default(trained, self.name, self.folder)
            for sheet in SHEETS:
                if (out / f"{sheet}.png").is_file():
                    shutil.copyfile(out / f"{sheet}.png", self.folder / f"{self.name}-{sheet}.png")
        self._draw_curves()
        sheets = [file.name for file in self.folder.glob(f"{self.name}-*.png")]
        path.with_suffix(".md").write_text(page(self.name, trained, path.stat().st_size, sheets), "utf-8")
        print(f"{path}: {path.stat().st_size} bytes")

    def _draw_curves(self) -> None:
        """Draws what the last run logged where its folder holds it; else, as for a default, the picture stays."""
        folder = run_folder(self.source)
        if folder is None:
            return
        logged = read_events(folder).Tags()["scalars"]
        curves = {title: read_curve(folder, name) for title, name in CURVES.items() if name in logged}
        if not curves:
            return
        low = min(value for curve in curves.values() for _, value in curve)
        caption = "cross-entropy in nats a code over tiles shown in the last run"
        draw_curves(curves, caption, math.floor(low * 10) / 10).save(self.folder / f"{self.name}-curves.png")
