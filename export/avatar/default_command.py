"""`python -m export avatar default`: a trained generator becomes files that the project carries."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from export.avatar import encoder_report
from export.avatar.comparison import training_curves
from export.avatar.control_commands import pictures_of, save_controls_sheet
from export.avatar.default_page import page
from export.avatar.evaluate import EvaluateConfig, load_pictures
from export.avatar.pictures import over
from export.avatar.sample import generate
from export.avatar.trained import DEFAULT_NAME, DEFAULTS, Trained, load_default, open_trained, write_default
from export.curves import draw_curves
from export.run_log import picture_grid, save_picture

SHEET_SEEDS = (7,)
PROJECTED = 32


@dataclass(frozen=True)
class DefaultConfig:
    """Turns a checkpoint into a committed default: float16 weights, record, page and pictures.

    Sliders and an encoder are taken along where `controls` and `encoder` have made them for the run.
    """

    source: Annotated[str, tyro.conf.arg(name="from")]
    """The checkpoint file or run folder, or the name of a default, whose page and pictures are made anew."""
    name: str = DEFAULT_NAME
    """Name of the default."""
    folder: Path = DEFAULTS
    """Folder to write to."""
    cache: Path = Path("data/avatar")
    """Folder of prepared pictures: the built-in faces to measure against."""
    compare: int = 5000
    """How many generated pictures to compare with as many of the data; 0 keeps the metrics that are recorded."""
    training: int = 0
    """Training pictures among which copies are looked for; 0 takes all."""

    def run(self) -> None:
        """Writes <name>.safetensors, .json, .md, .png, the curve and the sheets of neighbours, sliders and projections."""
        trained = open_trained(self.source)
        if self.compare:
            trained.record["metrics"] = self.measure(trained)
        path = write_default(trained, self.name, self.folder)
        trained = load_default(self.name, self.folder)
        self.draw(trained)
        text = page(self.name, trained, path.stat().st_size, [file.name for file in self.folder.glob(f"{self.name}-*.png")])
        path.with_suffix(".md").write_text(text, "utf-8")
        print(f"{path}: {path.stat().st_size} bytes")

    def draw(self, trained: Trained) -> None:
        """Draws the grid of seeds 0 to 63, the curve, one slider a row, and held-out pictures over what they become."""
        images = over(generate(trained.generator, range(64)))
        save_picture(picture_grid(images, 8), self.sheet(""), enlarge=max(1, 128 // images.shape[2]))
        curves = training_curves(self.source, trained.record["config"].get("start_from", ""))
        if curves:
            draw_curves(*curves).save(self.sheet("-curve"))
        if trained.controls:
            save_controls_sheet(trained.generator, trained.controls, SHEET_SEEDS, self.sheet("-controls"))
        unseen = pictures_of(trained, count=PROJECTED, split="held-out", cache=self.cache) if trained.projector else None
        if trained.projector and unseen:
            rng = np.random.default_rng(0)
            encoder, steps = trained.projector.encoder, trained.projector.steps
            avatars = encoder_report.projected(trained.generator, encoder, unseen.images, steps, rng)[-1]
            encoder_report.save_pairs(unseen.images, avatars, self.sheet("-projections"))

    def measure(self, trained: Trained) -> dict[str, Any]:
        """The report of `python -m export avatar evaluate`, whose sheet of neighbours becomes <name>-neighbours.png."""
        out = Path("out/evaluation") / self.name
        config = EvaluateConfig(source=self.source, count=self.compare, training=self.training, cache=self.cache, out=out)
        report = config.evaluate(trained, load_pictures(config, trained.record["config"]))
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / "neighbours.png", self.sheet("-neighbours"))
        return {key: value for key, value in report.items() if key != "from"}

    def sheet(self, suffix: str) -> Path:
        """The path of one of the default's pictures."""
        return self.folder / f"{self.name}{suffix}.png"
