"""The options of a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from export.avatar import picture_folder
from export.avatar.augment import Pipeline
from export.avatar.loss import Objective
from export.avatar.model import ModelConfig

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class TrainConfig:
    """Trains an avatar generator and writes checkpoints, curves and sample grids to a run folder."""

    run: str = "pixel"
    """Name of the run: its folder is <runs>/avatar/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    source: str = "pixel-art"
    """The pictures: a built-in DiceBear style (pixel-art, toon-head, avataaars and others) or "folder" for your own."""
    path: str = ""
    """The folder of pictures for --source folder, at any size; they are centre-cropped and resized."""
    licence: str = "unknown"
    """SPDX licence of the pictures in the folder; it goes into the model's card."""
    faces: int = 30_000
    """How many built-in faces to draw."""
    take: int = 0
    """For --source folder: train on so many of its pictures, chosen by the seed; 0 takes all."""
    minimum: int = picture_folder.MINIMUM
    """Stop with an error when a folder gives fewer pictures."""
    cache: Path = Path("data/avatar")
    """Folder where prepared pictures are kept."""
    minutes: float = 0.0
    """Stop after so many minutes of training in this session; 0 sets no limit."""
    kimg: float = 0.0
    """Stop after so many thousand pictures shown in all; 0 sets no limit."""
    resume: bool = False
    """Go on exactly where the run's checkpoint stopped."""
    seed: int = 1
    """Seed of weights, order of pictures, latents and noise."""
    start_from: str = ""
    """Begin with the networks of a default, a checkpoint or a run folder, which must have the same --model options."""
    freeze_discriminator_layers: int = 0
    """Blocks of the discriminator that keep their weights, the finest first; for --start-from (Freeze-D)."""
    freeze_mapping: bool = False
    """Keep the mapping network's weights; for --start-from."""
    batch: int = 32
    """Pictures in a step, over all processes."""
    accumulate: int = 1
    """Work a batch off in so many parts, one after the other: less memory, the same step."""
    precision: Precision = "float32"
    """Arithmetic of the networks; the mapping network and the penalties always use float32. float16 needs CUDA."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Shape of both networks."""
    draw_kimg: float = 0.0
    """Thousands of pictures that the generator draws again before the game begins, for --start-from and few pictures: each from
    styles whose drawings are near it."""
    draw_rate: float = 0.006
    """Learning rate of Adam while it draws; it falls along a quarter of a cosine."""
    head_start_kimg: float = 0.0
    """Thousands of pictures that only the discriminator learns from at the start of the game; for --start-from."""
    objective: Objective = "logistic"
    """The game: logistic (non-saturating), minimax (the original one) or hinge."""
    learning_rate: float = 0.0025
    """Learning rate of Adam for both networks."""
    decay_kimg: float = 0.0
    """Thousands of pictures in which the learning rates fall along a quarter of a cosine to a fiftieth; 0 keeps them."""
    mapping_rate: float = 1.0
    """The mapping network learns so many times as fast, on top of its layers' own factor of 0.01: more for short runs."""
    r1_gamma: float = 0.1
    """Weight of the R1 penalty; higher is steadier and slower."""
    r1_interval: int = 16
    """Steps between two R1 penalties."""
    path_weight: float = 2.0
    """Weight of the path-length penalty; 0 leaves it out."""
    path_interval: int = 8
    """Steps between two path-length penalties."""
    path_decay: float = 0.01
    """How fast the mean path length follows."""
    mixing: float = 0.9
    """Share of the pictures that take their styles from two latents."""
    average_kimg: float = 5.0
    """Half-life of the averaged generator in thousands of pictures."""
    palette_purity: float = 2.0
    """With a palette: weight of the penalty that drives each cell to one colour; 0 leaves it out."""
    mirror: bool = False
    """Show half of the pictures mirrored."""
    augment: Literal["auto"] | Pipeline = "auto"
    """What the discriminator sees changed, so that it does not learn few pictures by heart: none, blit (whole-pixel
    moves), bg (and general geometry) or bgc (and colour); auto is bgc for folders and none for built-in pictures."""
    augment_p: float = 0.0
    """Probability of each change at the start."""
    augment_target: float = 0.6
    """The share r_t of real pictures recognised, less those not, at which the probability is held."""
    augment_kimg: float = 500.0
    """Thousands of pictures in which the probability can go from 0 to 1; 0 keeps it as it starts."""
    augment_max: float = 0.85
    """Largest probability of a change; at 1 changes can leak into the generated pictures."""
    log_every: int = 50
    """Steps between two points of the curves."""
    grid_minutes: float = 5.0
    """Minutes between two checkpoints with their sample grids."""
    metric_minutes: float = 0.0
    """Minutes between two measurements of FD-VGG, which keep the best checkpoint as best.pt; 0 measures by kimg."""
    metric_kimg: float = 0.0
    """Thousands of pictures between two measurements; 0 measures by minutes. Both 0: no measurements."""
    metric_count: int = 1000
    """Pictures in a measurement: held-out ones of a built-in style, the training pictures of a folder."""
    metric_drawn: int = 0
    """Generated pictures in a measurement; 0 generates as many as there are real ones."""
    metric_pairs: int = 128
    """Pairs of pictures in the path length of a measurement; 0 leaves it out."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""
    device: str = "cpu"
    """PyTorch device, for example cpu or cuda."""

    def __post_init__(self) -> None:
        for names, least, allowed in LIMITS:
            for name in names.split():
                if not allowed(getattr(self, name)):
                    raise ValueError(f"{name} is {getattr(self, name)}; it must {least}")
        if self.batch % self.accumulate:
            raise ValueError(f"batch is {self.batch}; it must be a multiple of accumulate, {self.accumulate}")
        if self.precision == "float16" and not self.device.startswith("cuda"):
            raise ValueError(f"precision float16 needs CUDA, not device {self.device}; use float32 or bfloat16")
        if (self.freeze_discriminator_layers or self.freeze_mapping) and not self.start_from:
            raise ValueError("frozen layers would keep random weights; give --start-from as well")
        if self.draw_kimg and not self.start_from:
            raise ValueError("draw_kimg goes on from trained networks; give --start-from as well")
        blocks = len(self.model.resolutions) - 1
        if self.freeze_discriminator_layers > blocks:
            raise ValueError(f"freeze_discriminator_layers is {self.freeze_discriminator_layers}; there are {blocks} blocks")
        if self.metric_minutes and self.metric_kimg:
            raise ValueError("metric_minutes and metric_kimg are both given; choose one")

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / "avatar" / self.run

    @property
    def pipeline(self) -> Pipeline:
        """The augmentation, with "auto" decided."""
        if self.augment == "auto":
            return "bgc" if self.source == "folder" else "none"
        return self.augment

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return {key: str(v) if isinstance(v, Path) else v for key, v in dataclasses.asdict(self).items()}


_POSITIVE = (
    "faces minimum batch accumulate r1_interval path_interval log_every learning_rate draw_rate mapping_rate metric_count"
)
_NOT_NEGATIVE = (
    "minutes kimg take draw_kimg head_start_kimg decay_kimg r1_gamma path_weight palette_purity average_kimg grid_minutes "
    "threads seed metric_drawn metric_pairs metric_minutes metric_kimg augment_kimg freeze_discriminator_layers"
)
LIMITS: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    (_POSITIVE, "be above 0", lambda value: value > 0),
    (_NOT_NEGATIVE, "not be below 0", lambda value: value >= 0),
    ("mixing augment_p augment_max", "be from 0 to 1", lambda value: 0.0 <= value <= 1.0),
    ("augment_target", "be from -1 to 1", lambda value: -1.0 <= value <= 1.0),
)
"""Names of fields, what they must do, and whether a value does."""

SESSION_FIELDS = {
    *("run", "runs", "cache", "minimum", "minutes", "kimg", "resume", "log_every", "grid_minutes", "threads", "device"),
    *("accumulate", "metric_minutes", "metric_kimg", "metric_count", "metric_drawn", "metric_pairs"),
}
"""Fields that may differ between the sessions of one run; but for the order of summation they change no weight."""
