"""The shape of a VQ-VAE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from export.scene.classes import CELLS


@dataclass(frozen=True)
class VQVAEConfig:
    """Encoder, quantiser and decoder."""

    mode: Literal["tile", "image"] = "tile"
    """tile: heights and classes of 64 x 64 cells; image: RGB pictures."""
    image_size: int = 256
    """Height and width of pictures in image mode."""
    downsampling: int = 4
    """Cells or pixels along the side of a code: 4 or 8."""
    hidden: int = 128
    """Feature maps of the encoder and the decoder."""
    residual_layers: int = 2
    """Residual blocks of each."""
    residual_hidden: int = 32
    """Feature maps inside a residual block."""
    fine: int = 32
    """Feature maps of the decoder at full resolution."""
    quantiser: Literal["vq", "fsq"] = "vq"
    """vq learns a codebook; fsq rounds each number to fixed levels."""
    codebook: int = 512
    """Vectors of the codebook; for vq."""
    code_width: int = 32
    """Numbers of a codebook vector; for vq."""
    fsq_levels: tuple[int, ...] = (8, 8, 8)
    """Levels of each number of a code; for fsq: 8 x 8 x 8 = 512 codes."""

    def __post_init__(self) -> None:
        if self.downsampling not in (4, 8):
            raise ValueError(f"downsampling is {self.downsampling}; it must be 4 or 8")
        if self.mode == "image" and (self.image_size < 32 or self.image_size % self.downsampling):
            raise ValueError(f"image_size is {self.image_size}; it must be a multiple of {self.downsampling}, 32 or more")
        for name in ("hidden", "residual_layers", "residual_hidden", "fine", "code_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 2 <= self.codebook <= 65_536:
            raise ValueError(f"codebook is {self.codebook}; it must be from 2 to 65536")

    @property
    def size(self) -> int:
        """Cells or pixels along a side."""
        return CELLS if self.mode == "tile" else self.image_size

    @property
    def grid(self) -> int:
        """Codes along a side."""
        return self.size // self.downsampling

    @property
    def codes(self) -> int:
        """How many different codes there are."""
        return self.codebook if self.quantiser == "vq" else math.prod(self.fsq_levels)

    @property
    def quantised_width(self) -> int:
        """Numbers of a quantised vector."""
        return self.code_width if self.quantiser == "vq" else len(self.fsq_levels)
