"""The options of a training run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from export.avatar.model import ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """Trains an avatar generator and writes checkpoints, curves and sample grids to a run folder."""

    run: str = "pixel"
    """Name of the run: its folder is <runs>/avatar/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    source: Literal["pixel-art", "folder"] = "pixel-art"
    """The pictures: the built-in DiceBear faces or a folder of your own."""
    path: str = ""
    """The folder of pictures for --source folder, at any size; they are centre-cropped and resized."""
    licence: str = "unknown"
    """SPDX licence of the pictures in the folder; it goes into the model's card."""
    faces: int = 30_000
    """How many built-in faces to draw."""
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
    batch: int = 32
    """Pictures in a step."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Shape of both networks."""
    learning_rate: float = 0.0025
    """Learning rate of Adam for both networks."""
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
    mirror: bool = False
    """Show half of the pictures mirrored."""
    log_every: int = 50
    """Steps between two points of the curves."""
    grid_minutes: float = 5.0
    """Minutes between two checkpoints with their sample grids."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""
    device: str = "cpu"
    """PyTorch device, for example cpu or cuda."""

    def __post_init__(self) -> None:
        for name in ("faces", "batch", "r1_interval", "path_interval", "log_every", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("minutes", "kimg", "r1_gamma", "path_weight", "average_kimg", "grid_minutes", "threads", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be below 0")
        if not 0.0 <= self.mixing <= 1.0:
            raise ValueError(f"mixing is {self.mixing}; it must be from 0 to 1")

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / "avatar" / self.run

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return {key: str(v) if isinstance(v, Path) else v for key, v in dataclasses.asdict(self).items()}


SESSION_FIELDS = {"run", "runs", "cache", "minutes", "kimg", "resume", "log_every", "grid_minutes", "threads", "device"}
"""Fields that may differ between the sessions of one run; they change no weight."""
