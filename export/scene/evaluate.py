"""The verdict on a VQ-VAE and its prior: reconstruction, distances beside two baselines, histograms, seams, conditions."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from export.avatar import features
from export.avatar.metrics import frechet
from export.run_log import picture_grid, save_picture
from export.scene import baselines, block, histograms, obedience, reconstruction, seams
from export.scene.classes import METRES_PER_CELL
from export.scene.compare_priors import check_comparable
from export.scene.hillshade import shaded_grey
from export.scene.prior import Conditions
from export.scene.sample import CHOICE_TEMPERATURE, STEPS, draw_codes, of_worlds
from export.scene.tasks import HELD_OUT, interleaved, rendered
from export.scene.tiles import Tiles, TileSource
from export.scene.train import load_data
from export.scene.trained import Trained, open_trained, train_config

BLOCK = 3
SHOWN = 32
Part = Literal["tiles", "seams", "conditions"]
PARTS: tuple[Part, ...] = ("tiles", "seams", "conditions")


@dataclass(frozen=True)
class EvaluateConfig:
    """Measures a VQ-VAE and its prior on held-out worlds; compares with noise, shuffled codes and an autoregressive prior."""

    source: Annotated[str, tyro.conf.arg(name="from")] = "default"
    """default, or the checkpoint file or run folder of a prior."""
    autoregressive: str = ""
    """The run folder of an autoregressive prior over the same codes, to compare with."""
    count: int = 2000
    """Generated tiles, compared with as many of the data; figures of different counts do not compare."""
    blocks: int = 24
    """Blocks of 3 x 3 tiles that are grown to measure borders."""
    asked: int = 48
    """Tiles that are drawn for each condition to see what it does."""
    parts: tuple[Part, ...] = PARTS
    """What to measure: tiles (reconstruction, distances, histograms, speed), seams across borders, what conditions do."""
    steps: int = STEPS
    """Refinement steps of a tile."""
    choice_temperature: float = CHOICE_TEMPERATURE
    """Weight of the noise by which the codes of a step are chosen."""
    cache: Path = Path("data/scene")
    """Folder of worlds and of features of their tiles."""
    out: Path = Path("out/scene-evaluation")
    """Folder to write report.json and pictures to."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def __post_init__(self) -> None:
        if self.count < 2 or min(self.blocks, self.asked, self.steps) < 1 or not self.parts:
            given = f"count is {self.count}, blocks {self.blocks}, asked {self.asked}, steps {self.steps}, parts {self.parts}"
            raise ValueError(f"{given}; count must be 2 or more, the others above 0, parts at least one of {PARTS}")

    def run(self) -> None:
        """Writes the report and the pictures, and prints the figures."""
        if self.threads:
            torch.set_num_threads(self.threads)
        report = self.evaluate(open_trained(self.source))
        path = self.out / "report.json"
        path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        print(json.dumps(report, indent=2))
        print(path)

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """Returns the report as plain JSON values and writes the pictures."""
        self.out.mkdir(parents=True, exist_ok=True)
        config = train_config(trained.record["vqvae"]["config"], cache=self.cache)
        unseen = TileSource(load_data(config, "held-out").worlds)
        report: dict[str, Any] = {}
        if "tiles" in self.parts:
            report |= self._tiles(trained, unseen, TileSource(load_data(config, "train").worlds))
        if "seams" in self.parts:
            report["seams"] = self._seams(trained, unseen)
        if "conditions" in self.parts:
            report["conditions"] = self._conditions(trained)
        return rounded(report)

    @property
    def _options(self) -> dict[str, Any]:
        return {"steps": self.steps, "choice_temperature": self.choice_temperature}

    def _tiles(self, trained: Trained, unseen: TileSource, seen: TileSource) -> dict[str, Any]:
        """Figures of tiles by themselves, with the sheets and the autoregressive prior's."""
        real, other = (unseen.draw(self.count, HELD_OUT, number) for number in (0, 1))
        drawn, speed = self._generate(trained)
        report = {
            "count": self.count,
            "steps": self.steps,
            "reconstruction": reconstruction.measure(trained.vqvae, real),
            "fd_vgg": self._distances(trained, real, other, seen.draw(self.count, HELD_OUT), drawn),
            "tiles_per_second": {"masked": speed},
            "histograms_apart": {
                "generated": histograms.compare(real, drawn),
                "data_halves": histograms.compare(real, other),
                "noise": histograms.compare(real, baselines.noise_terrain(other)),
            },
        }
        if self.autoregressive:
            self._compare(trained, real, report)
        histograms.draw({"held-out data": real, "generated": drawn}, self.out / "histograms.png")
        self._sheets(trained, real, drawn)
        return report

    def _generate(self, trained: Trained) -> tuple[Tiles, float]:
        """Tiles of seeds 0 to count - 1 with nothing asked for, and how many tiles' codes were drawn in a second."""
        start = time.monotonic()
        codes = draw_codes(trained.prior, range(self.count), conditions=of_worlds(trained, range(self.count)), **self._options)
        speed = self.count / (time.monotonic() - start)
        return reconstruction.decode(trained.vqvae, codes), speed

    def _distances(self, trained: Trained, real: Tiles, other: Tiles, train: Tiles, drawn: Tiles) -> dict[str, float]:
        """FD-VGG of hillshades to held-out tiles: of generated ones, of the data and of the baselines."""
        codes = reconstruction.encode(trained.vqvae, other)
        kept = features.cached(_shaded(real), self.cache / "features")
        sets = {
            "generated": drawn,
            "held_out_halves": other,
            "training_data": train,
            "reconstructed": reconstruction.decode(trained.vqvae, codes),
            "noise_terrain": baselines.noise_terrain(other),
            "shuffled_codes": reconstruction.decode(trained.vqvae, baselines.shuffled_codes(codes)),
        }
        return {name: frechet(kept, features.extract(_shaded(tiles), progress=name)) for name, tiles in sets.items()}

    def _compare(self, trained: Trained, real: Tiles, report: dict[str, Any]) -> None:
        """Adds distance and speed of the autoregressive prior."""
        other = open_trained(self.autoregressive)
        check_comparable(trained, other)
        drawn, speed = self._generate(dataclasses.replace(other, vqvae=trained.vqvae))
        kept = features.cached(_shaded(real), self.cache / "features")
        report["fd_vgg"]["autoregressive"] = frechet(kept, features.extract(_shaded(drawn), progress="autoregressive"))
        report["tiles_per_second"]["autoregressive"] = speed
        report["tiles_per_second"]["ratio"] = report["tiles_per_second"]["masked"] / speed
        report["parameters"] = {
            "masked": sum(p.numel() for p in trained.prior.parameters()),
            "autoregressive": sum(p.numel() for p in other.prior.parameters()),
        }
        save_picture(picture_grid(rendered(drawn[:SHOWN]), 8), self.out / "autoregressive.png", enlarge=2)

    def _seams(self, trained: Trained, unseen: TileSource) -> dict[str, Any]:
        """Borders of grown blocks, and the same lines in the data."""
        worlds = block.grow(trained, range(self.blocks), BLOCK, **self._options)
        grown = [block.joined(world, BLOCK) for world in worlds]
        joined = Tiles(*(np.concatenate([getattr(part, name) for part in grown]) for name in ("height", "ground", "objects")))
        save_picture(picture_grid(rendered(joined[:4]), 2), self.out / "blocks.png", enlarge=2)
        whole = TileSource(unseen.worlds, BLOCK * unseen.cells).draw(self.blocks, HELD_OUT)
        return {"generated": seams.seam_figures(joined), "data": seams.seam_figures(whole)}

    def _conditions(self, trained: Trained) -> dict[str, Any]:
        """What tiles have that are asked for it; those of each condition are of the same seeds."""

        def draw(asked: Conditions) -> Tiles:
            conditions = of_worlds(trained, range(self.asked), asked)
            codes = draw_codes(trained.prior, range(self.asked), conditions=conditions, **self._options)
            return reconstruction.decode(trained.vqvae, codes)

        return obedience.measure(draw, self.asked, trained.prior.grid)

    def _sheets(self, trained: Trained, real: Tiles, drawn: Tiles) -> None:
        shown = real[:SHOWN]
        redrawn = reconstruction.reconstruct(trained.vqvae, shown)
        save_picture(picture_grid(rendered(drawn[:64]), 8), self.out / "generated.png", enlarge=2)
        sheet = interleaved(rendered(shown), rendered(redrawn))
        save_picture(picture_grid(sheet, 8), self.out / "reconstructions.png", enlarge=2)


def rounded(value: Any) -> Any:
    """Numbers of a report to five significant digits."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return float(f"{value:.5g}") if isinstance(value, (float, np.floating)) else value


def _shaded(tiles: Tiles) -> np.ndarray:
    return shaded_grey(tiles.height, METRES_PER_CELL)
