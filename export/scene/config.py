"""The options of a VQ-VAE's training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from export.scene.data import Sources
from export.scene.heightmap_file import Reading
from export.scene.vqvae_config import VQVAEConfig


@dataclass(frozen=True)
class TrainConfig:
    """Trains a VQ-VAE on tiles of terrain, or on pictures, and writes checkpoints, curves and sample sheets to a run folder."""

    run: str = "terrain"
    """Name of the run: its folder is <runs>/scene/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    source: Literal["built-in", "folder"] = "built-in"
    """The data: built-in worlds, or "folder" for your own height maps (or pictures, in image mode)."""
    path: str = ""
    """The folder for --source folder."""
    licence: str = "unknown"
    """SPDX licence of what is in the folder; it goes into the model's card."""
    reading: Reading = field(default_factory=Reading)
    """How samples of height maps become metres."""
    sources: Sources = field(default_factory=Sources)
    """How many built-in worlds of each kind."""
    cache: Path = Path("data/scene")
    """Folder where worlds are kept."""
    minutes: float = 0.0
    """Stop after so many minutes of training in this session; 0 sets no limit."""
    ktiles: float = 0.0
    """Stop after so many thousand tiles shown in all; 0 sets no limit."""
    resume: bool = False
    """Go on exactly where the run's checkpoint stopped."""
    seed: int = 1
    """Seed of worlds, weights, order of tiles and restarts of codes."""
    batch: int = 16
    """Tiles in a step."""
    start_from: str = ""
    """Go on with the VQ-VAE of another run or default: its encoder and codebook, and so its codes, stay as they are."""
    model: VQVAEConfig = field(default_factory=VQVAEConfig)
    """Shape of encoder, quantiser and decoder."""
    learning_rate: float = 6e-4
    """Learning rate of Adam at the start."""
    halve_ktiles: float = 120.0
    """Thousands of tiles in which the learning rate halves; 0 keeps it."""
    commitment: float = 0.25
    """Weight of the commitment loss."""
    decay: float = 0.99
    """How slowly the codebook follows its moving averages."""
    restart_share: float = 0.05
    """Codes chosen less often than this share of an even choice are moved to an encoder output; 0 leaves them."""
    restart_every: int = 10
    """Steps between two looks for such codes."""
    height_weight: float = 1.0
    """Weight of the Huber loss of heights."""
    slope_weight: float = 0.5
    """Weight of the Huber loss of slopes."""
    ground_weight: float = 3.0
    """Weight of the cross-entropy of ground classes."""
    objects_weight: float = 2.0
    """Weight of the cross-entropy of object classes."""
    adversarial_weight: float = 0.0
    """Weight of a patch discriminator's opinion of redrawn heights beside their other losses; for --start-from, 0 for none."""
    head_start_ktiles: float = 5.0
    """Thousands of tiles that only the patch discriminator learns from at first."""
    critic_rate: float = 4e-4
    """Learning rate of the patch discriminator."""
    r1_gamma: float = 0.1
    """Weight of its R1 penalty."""
    average: float = 0.998
    """With a patch discriminator: how slowly the averaged decoder, which is the one kept, follows."""
    log_every: int = 50
    """Steps between two points of the curves."""
    save_minutes: float = 5.0
    """Minutes between two checkpoints with their sample sheets and held-out figures."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def __post_init__(self) -> None:
        check(self, LIMITS)
        if self.adversarial_weight and (not self.start_from or self.model.mode != "tile"):
            raise ValueError("a patch discriminator sharpens a trained VQ-VAE of tiles: give --start-from with its run folder")

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / "scene" / self.run

    @property
    def items(self) -> float:
        """How many tiles the run shows in all; 0 for no limit."""
        return self.ktiles * 1000

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return plain(self)


Limits = tuple[tuple[str, str, Callable[[float], bool]], ...]

LIMITS: Limits = (
    ("batch restart_every log_every learning_rate critic_rate", "be above 0", lambda value: value > 0),
    (
        "minutes ktiles halve_ktiles commitment restart_share height_weight slope_weight ground_weight objects_weight "
        "adversarial_weight head_start_ktiles r1_gamma save_minutes threads seed",
        "not be below 0",
        lambda value: value >= 0,
    ),
    ("decay average", "be from 0 to below 1", lambda value: 0.0 <= value < 1.0),
)
"""Names of fields, what they must do, and whether a value does."""

SESSION_FIELDS = {"run", "runs", "cache", "minutes", "ktiles", "resume", "log_every", "save_minutes", "threads"}
"""Fields that may differ between the sessions of one run; they change no weight."""


def check(config: Any, limits: Limits) -> None:
    """Raises ValueError for the first field of a configuration that breaks its limit."""
    for names, least, allowed in limits:
        for name in names.split():
            if not allowed(getattr(config, name)):
                raise ValueError(f"{name} is {getattr(config, name)}; it must {least}")


def plain(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    return {key: str(v) if isinstance(v, Path) else v for key, v in dataclasses.asdict(config).items()}


def check_same(before: dict[str, Any], now: dict[str, Any], free: set[str]) -> None:
    """Raises ValueError when a configuration trains another model than the checkpoint's."""
    for key, value in now.items():
        if key not in free and before.get(key) != value:
            raise ValueError(f"the checkpoint was trained with {key} = {before.get(key)}, not {value}; use another --run name")
