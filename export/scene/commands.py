"""The commands of `python -m export scene`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from export.parity import ParityError
from export.run_log import picture_grid, save_picture
from export.scene import block
from export.scene.classes import BIOMES
from export.scene.compare_priors import ComparePriorsConfig
from export.scene.config import TrainConfig
from export.scene.data_command import DataConfig
from export.scene.default_command import DefaultConfig
from export.scene.evaluate import EvaluateConfig
from export.scene.loop import Diverged
from export.scene.picture_onnx import export_pictures
from export.scene.prior import Conditions
from export.scene.prior_config import PriorTrainConfig
from export.scene.reconstruction import decode
from export.scene.sample import CHOICE_TEMPERATURE, STEPS, draw_codes, free, of_worlds
from export.scene.tasks import rendered
from export.scene.to_onnx import export_scene
from export.scene.train import train
from export.scene.train_prior import train_prior
from export.scene.trained import open_pictures, open_trained

Source = Annotated[str, tyro.conf.arg(name="from")]


@dataclass(frozen=True)
class SampleConfig:
    """Draws tiles, or whole blocks of tiles that fit each other, as one PNG."""

    seed: int = 0
    """The first seed."""
    count: int = 32
    """Draw so many tiles, from the seed upwards."""
    source: Source = "default"
    """default, or the checkpoint file or run folder of a prior."""
    block: int = 0
    """Draw one block of so many tiles along a side instead, the tiles of the world `seed`."""
    biome: Literal["", "plains", "forest", "wetland", "hills", "mountains", "water"] = ""
    """Ask for a biome; what is not asked for comes from the climate of the seed's world."""
    ruggedness: float = -1.0
    """Ask for a mean slope, 0 to 1; -1 leaves it free."""
    water_share: float = -1.0
    """Ask for a share of water, 0 to 1; -1 leaves it free."""
    steps: int = STEPS
    """Refinement steps of a tile."""
    choice_temperature: float = CHOICE_TEMPERATURE
    """Weight of the noise by which the codes of a step are chosen."""
    enlarge: int = 2
    """Draw each cell as a square of so many pixels."""
    out: Path = Path("out/scenes.png")
    """The PNG file to write."""

    def run(self) -> None:
        """Writes the picture and prints its path."""
        if self.count < 1 or self.block < 0 or self.enlarge < 1 or self.steps < 1:
            given = f"count {self.count}, block {self.block}, enlarge {self.enlarge}, steps {self.steps}"
            raise ValueError(f"nothing to draw with {given}; block may be 0, the others must be above 0")
        for name in ("ruggedness", "water_share"):
            if getattr(self, name) != -1.0 and not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to 1, or -1 to leave it free")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        save_picture(self.picture(), self.out, enlarge=self.enlarge)
        print(self.out)

    def picture(self) -> np.ndarray:
        """The grid of tiles or the block, uint8 [H, W, 3]."""
        trained = open_trained(self.source)
        options: dict[str, Any] = {"steps": self.steps, "choice_temperature": self.choice_temperature}
        if self.block:
            asked = self.conditions(1, trained.prior.grid)
            world = block.grow(trained, [self.seed], self.block, asked=asked, **options)[0]
            return rendered(block.joined(world, self.block))[0].transpose(1, 2, 0)
        seeds = range(self.seed, self.seed + self.count)
        asked = of_worlds(trained, seeds, self.conditions(self.count, trained.prior.grid))
        codes = draw_codes(trained.prior, seeds, conditions=asked, **options)
        return picture_grid(rendered(decode(trained.vqvae, codes)), min(8, self.count))

    def conditions(self, count: int, grid: int) -> Conditions:
        """What is asked for, for each tile."""
        asked = free(count, grid)
        if self.biome:
            asked = asked._replace(biome=torch.full((count,), BIOMES.index(self.biome)))
        numbers = {name: torch.full((count,), getattr(self, name)) for name in ("ruggedness", "water_share")}
        return asked._replace(**numbers)


@dataclass(frozen=True)
class OnnxConfig:
    """Publishes a VQ-VAE and its prior, or one of pictures, as an ONNX bundle; ONNX Runtime must compute what PyTorch does."""

    source: Source = "default"
    """default, or the checkpoint file or run folder of a prior, or of a VQ-VAE of pictures."""
    name: str = "terrain"
    """Name of the model in the models folder."""
    models: Path = Path("models")
    """The models folder that the sidecar serves."""
    version: int = 0
    """Version to publish; 0 takes the next free one."""

    def run(self) -> None:
        """Publishes the bundle and prints its folder."""
        of_pictures = open_pictures(self.source)
        if of_pictures:
            print(export_pictures(*of_pictures, self.models, self.name, self.version or None))
        else:
            print(export_scene(open_trained(self.source), self.models, self.name, self.version or None))


COMMANDS: dict[str, Callable[..., Any]] = {
    "data": DataConfig,
    "train": TrainConfig,
    "prior": PriorTrainConfig,
    "sample": SampleConfig,
    "evaluate": EvaluateConfig,
    "compare-priors": ComparePriorsConfig,
    "onnx": OnnxConfig,
    "default": DefaultConfig,
}


def main(arguments: Sequence[str]) -> None:
    """Runs one command; what the user got wrong is printed in one line, with exit code 1."""
    config = tyro.extras.subcommand_cli_from_dict(COMMANDS, args=arguments, prog="python -m export scene")
    try:
        if isinstance(config, TrainConfig):
            print(train(config))
        elif isinstance(config, PriorTrainConfig):
            print(train_prior(config))
        else:
            config.run()
    except (ValueError, OSError, ParityError, Diverged) as error:
        sys.exit(f"error: {error}")
