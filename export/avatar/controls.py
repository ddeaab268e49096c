"""Named sliders of a generator: directions in W and their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Slider:
    """One control: 0 changes nothing, 1 brings most faces from without to with what its name says."""

    name: str
    low: float
    high: float
    description: str
    measured: dict[str, float] = field(default_factory=dict)
    """What `control_report` found out about it."""

    def card(self) -> dict[str, Any]:
        """The part that a model card carries."""
        return {"name": self.name, "low": self.low, "high": self.high, "description": self.description}


@dataclass(frozen=True)
class Controls:
    """K sliders and their directions float32 [K, num_layers, L]: w + sum over k of value k times direction k."""

    sliders: tuple[Slider, ...]
    directions: Tensor

    def __post_init__(self) -> None:
        if self.directions.ndim != 3 or len(self.directions) != len(self.sliders) or not self.sliders:
            raise ValueError(f"{len(self.sliders)} sliders do not fit directions of shape {list(self.directions.shape)}")

    def values(self, given: Mapping[str, float]) -> np.ndarray:
        """Puts named values in order: float32 [K], 0 where none is given. Raises ValueError for a name or value not offered."""
        names = [slider.name for slider in self.sliders]
        values = np.zeros(len(names), np.float32)
        for name, value in given.items():
            if name not in names:
                raise ValueError(f'there is no control "{name}"; this generator has {names}')
            slider = self.sliders[names.index(name)]
            if not slider.low <= value <= slider.high:
                raise ValueError(f'control "{name}" is {value:g}; it must be from {slider.low:g} to {slider.high:g}')
            values[names.index(name)] = value
        return values

    def offset(self, given: Mapping[str, float]) -> Tensor:
        """What named values add to the styles of any avatar: [num_layers, L]. Raises what `values` raises."""
        return torch.einsum("k,kld->ld", torch.from_numpy(self.values(given)), self.directions)


def record_of(controls: Controls) -> list[dict[str, Any]]:
    """The sliders as plain JSON values."""
    return [asdict(slider) for slider in controls.sliders]


def from_record(record: list[dict[str, Any]], directions: Tensor) -> Controls:
    """Puts sliders from JSON and their directions together again."""
    return Controls(tuple(Slider(**entry) for entry in record), directions.float())
