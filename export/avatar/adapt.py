"""`python -m export avatar adapt`: few-shot transfer of a trained generator to pictures of another kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from export.avatar import data
from export.avatar.augment import Pipeline
from export.avatar.companions import write_controls
from export.avatar.comparison import check_measured, rest_of, write_comparison
from export.avatar.config import TrainConfig
from export.avatar.dicebear_faces import STYLES, styles_like
from export.avatar.train import CHECKPOINT, Stopped, train
from export.avatar.trained import open_trained

FEW = 100
"""Pictures of a built-in style that are adapted to unless a number is given."""
MINIMUM = 10
"""Pictures that a folder must hold, unless the caller asks for fewer."""


@dataclass(frozen=True)
class AdaptConfig:
    """Adapts a trained generator to a few pictures.

    The synthesis network learns to draw the pictures, each from styles whose drawings are near. With --kimg above --draw-kimg
    both networks then play the game over pictures: the finest blocks of the discriminator stay as they are (Freeze-D, Mo et
    al. 2020, arXiv:2002.10964), and adaptive augmentation keeps it from learning the pictures by heart (Karras et al. 2020,
    arXiv:2006.06676). The mapping network stays, unless told otherwise, which keeps the directions of the controls.
    """

    data: str
    """A built-in style, or the path of a folder of pictures."""
    source: Annotated[str, tyro.conf.arg(name="from")] = "default"
    """Where to start: a default's name, a checkpoint file or a run folder."""
    run_name: Annotated[str, tyro.conf.arg(name="run")] = "adapted"
    """Name of the new run: its folder is <runs>/avatar/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    count: int = 0
    """Pictures to adapt to; 0 takes 100 of a built-in style and all of a folder."""
    minimum: int = MINIMUM
    """Stop with an error when a folder gives fewer pictures."""
    licence: str = "unknown"
    """SPDX licence of the pictures in the folder; it goes into the model's card."""
    kimg: float = 4.8
    """Thousands of pictures to show: those that are drawn again, and then those of the game."""
    draw_kimg: float = 4.8
    """Thousands of pictures, the first ones, that the generator draws again, all of --kimg at most; 0 leaves the game alone."""
    draw_rate: float = 0.006
    """Learning rate of Adam while it draws."""
    minutes: float = 0.0
    """Stop after so many minutes; 0 sets no limit."""
    freeze_discriminator_layers: int = 1
    """Blocks of the discriminator that keep their weights, the finest first."""
    freeze_mapping: bool = True
    """Keep the mapping network's weights."""
    head_start_kimg: float = 0.8
    """Thousands of pictures at the start of the game that only the discriminator learns from."""
    learning_rate: float = 0.0002
    """Learning rate of Adam for both networks in the game; less than in training from scratch."""
    average_kimg: float = 0.5
    """Half-life of the averaged generator in thousands of pictures: a longer one still draws the source after a short run."""
    augment: Pipeline = "bg"
    """none, blit, bg or bgc: see `train --help`. Colour changes can leak into so few pictures."""
    augment_kimg: float = 20.0
    """Thousands of pictures in which the probability of a change can go from 0 to 1: few, as the run is short."""
    compare_scratch: bool = False
    """Train from scratch for the same number of pictures as well, and write curves and grids side by side."""
    metric_kimg: float = 2.0
    """Thousands of pictures between two measurements of FD-VGG, when comparing."""
    metric_count: int = 2000
    """Real pictures in a measurement: held-out ones of a built-in style."""
    metric_drawn: int = 0
    """Generated pictures in a measurement; 0 generates as many."""
    cache: Path = Path("data/avatar")
    """Folder where prepared pictures are kept."""
    batch: int = 16
    """Pictures in a step."""
    device: str = "cpu"
    """PyTorch device, for example cpu or cuda."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""
    seed: int = 1
    """Seed of the order of pictures, latents and noise."""
    resume: bool = False
    """Go on exactly where the run's checkpoint stopped; of a comparison, with what is left of both runs."""

    def adapt(self) -> Path:
        """Trains and gives the run the source's controls, where the mapping they move in stayed; returns the checkpoint.

        A run that a signal stops gets them as well. Raises ValueError when there is no run to resume.
        """
        config = self.training(adapted=True)
        path = config.folder / CHECKPOINT
        if self.resume and not path.exists():
            raise ValueError(f'no run to go on with at "{path}"; begin it without --resume, or give the --run that was begun')
        try:
            train(rest_of(config) if self.resume and self.compare_scratch else config)
        except Stopped as stopped:
            if stopped.path:
                self._give_controls(stopped.path)
            raise
        self._give_controls(path)
        return path

    def _give_controls(self, path: Path) -> None:
        controls = open_trained(self.source).controls
        if controls is not None and self.freeze_mapping:
            write_controls(controls, path.parent, open_trained(str(path)).generator)

    def training(self, *, adapted: bool) -> TrainConfig:
        """The options of the run; those of one from scratch on the same pictures where `adapted` is False.

        Raises ValueError when `data` is neither a style nor a folder.
        """
        if self.data not in STYLES and not Path(self.data).is_dir():
            raise ValueError(f'"{self.data}" is neither a folder nor a built-in style; the styles are {styles_like(self.data)}')
        config = open_trained(self.source)
        shape = config.generator.config
        fresh: dict[str, Any] = {
            "run": self.run_name if adapted else f"{self.run_name}-scratch",
            "runs": self.runs,
            "source": self.data if self.data in STYLES else data.FOLDER,
            "path": "" if self.data in STYLES else self.data,
            "licence": self.licence,
            "faces": self.count or FEW,
            "minimum": self.minimum,
            "take": 0 if self.data in STYLES else self.count,
            "kimg": self.kimg,
            "minutes": self.minutes,
            "model": shape,
            "augment": self.augment,
            "augment_kimg": self.augment_kimg,
            "metric_kimg": self.metric_kimg if self.compare_scratch else 0.0,
            "metric_count": self.metric_count,
            "metric_drawn": self.metric_drawn,
            "metric_pairs": 0,
            "path_weight": 0.0,
            "mixing": config.record["config"]["mixing"],
            "r1_gamma": config.record["config"]["r1_gamma"],
            "cache": self.cache,
            "batch": self.batch,
            "device": self.device,
            "threads": self.threads,
            "seed": self.seed,
            "resume": self.resume,
        }
        transfer = {
            "start_from": self.source,
            "draw_kimg": min(self.draw_kimg, self.kimg) if self.kimg else self.draw_kimg,
            "head_start_kimg": self.head_start_kimg,
            "draw_rate": self.draw_rate,
            "learning_rate": self.learning_rate,
            "average_kimg": self.average_kimg,
            "freeze_discriminator_layers": self.freeze_discriminator_layers,
            "freeze_mapping": self.freeze_mapping,
        }
        return TrainConfig(**fresh | (transfer if adapted else {}))

    def run(self) -> None:
        """Adapts, and with --compare-scratch shows what the start from a trained generator is worth."""
        if self.compare_scratch:
            self._check_comparison()
        path = self.adapt()
        print(path)
        if self.compare_scratch:
            check_measured(rest_of(self.training(adapted=True)))  # minutes may have ended before the first measurement
            scratch = train(rest_of(self.training(adapted=False)))
            runs = {f"adapted from {self.source}": path.parent, "from scratch": scratch.parent}
            print(write_comparison(runs, path.parent / "comparison"))

    def _check_comparison(self) -> None:
        """Raises ValueError for what would come out only after one of the runs."""
        for adapted in (True, False):
            config = self.training(adapted=adapted)
            path = config.folder / CHECKPOINT
            if path.exists() and not self.resume:
                raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
            check_measured(rest_of(config))
