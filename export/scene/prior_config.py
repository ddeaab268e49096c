"""The shape of a prior and the options of its training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from export.scene.config import Limits, check, plain


@dataclass(frozen=True)
class PriorConfig:
    """A transformer over the code grid: `masked` draws all codes in a few steps, `autoregressive` one after the other."""

    kind: Literal["masked", "autoregressive"] = "masked"
    """masked is the prior that is served; autoregressive is the baseline that it is compared with."""
    margin: int = 4
    """Rows and columns of the neighbours' codes that it sees on each side."""
    patch: int = 2
    """The transformer works on squares of so many codes along a side; each code of a square has its own logits."""
    width: int = 160
    """Numbers of a token inside the transformer."""
    heads: int = 4
    """Attention heads."""
    layers: int = 6
    """Transformer blocks."""
    code_width: int = 64
    """Numbers that stand for a code outside the transformer."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        if self.margin < 0 or self.patch < 1 or self.margin % self.patch:
            raise ValueError(f"margin is {self.margin}; it must be 0 or a multiple of patch, {self.patch}")


@dataclass(frozen=True)
class PriorTrainConfig:
    """Trains a prior on the codes of a trained VQ-VAE: masked prediction, or the autoregressive baseline."""

    vqvae: str = "runs/scene/terrain"
    """The VQ-VAE: a default, run folder or checkpoint; its options say what worlds are used."""
    start_from: str = ""
    """Begin with the weights of another prior of the same shape over the same codes: a default, run folder or checkpoint."""
    run: str = "terrain-prior"
    """Name of the run: its folder is <runs>/scene/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    cache: Path = Path("data/scene")
    """Folder where worlds and their codes are kept."""
    windows: int = 24
    """Windows of 3 x 3 tiles drawn from each world, at any place and in any of eight symmetries."""
    minutes: float = 0.0
    """Stop after so many minutes of training in this session; 0 sets no limit."""
    ktiles: float = 0.0
    """Stop after so many thousand tiles shown in all; 0 sets no limit."""
    resume: bool = False
    """Go on exactly where the run's checkpoint stopped."""
    seed: int = 1
    """Seed of windows, weights, masks and dropped conditions."""
    batch: int = 32
    """Tiles in a step."""
    model: PriorConfig = field(default_factory=PriorConfig)
    """Shape of the transformer."""
    learning_rate: float = 1e-3
    """Learning rate of AdamW after the warm-up."""
    warm_up: int = 300
    """Steps in which the learning rate rises."""
    halve_ktiles: float = 80.0
    """Thousands of tiles in which the learning rate halves; 0 keeps it."""
    weight_decay: float = 0.02
    """Weight decay of AdamW."""
    label_smoothing: float = 0.05
    """Share of the target that is spread over all codes."""
    drop_condition: float = 0.3
    """Probability that each of biome, ruggedness and water share is free in a sample."""
    drop_painting: float = 0.6
    """Probability that no class is painted; else a random part of the tile is."""
    no_neighbours: float = 0.3
    """Probability that no neighbour is there; else each of the eight is, with a probability drawn for the sample."""
    inpainting: float = 0.2
    """Probability that the masks form a rectangle, as when a region is edited; else they are strewn."""
    average: float = 0.999
    """How slowly the averaged weights, which are the ones used, follow."""
    log_every: int = 50
    """Steps between two points of the curves."""
    save_minutes: float = 5.0
    """Minutes between two checkpoints with their sample sheets and held-out loss."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def __post_init__(self) -> None:
        check(self, LIMITS)

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


LIMITS: Limits = (
    ("batch windows log_every learning_rate warm_up", "be above 0", lambda value: value > 0),
    ("minutes ktiles halve_ktiles weight_decay save_minutes threads seed", "not be below 0", lambda value: value >= 0),
    (
        "drop_condition drop_painting no_neighbours inpainting label_smoothing average",
        "be from 0 to 1",
        lambda value: 0.0 <= value <= 1.0,
    ),
)
SESSION_FIELDS = {"run", "runs", "cache", "vqvae", "minutes", "ktiles", "resume", "log_every", "save_minutes", "threads"}
"""Fields that may differ between the sessions of one run; the VQ-VAE is checked by its weights."""
