"""A training run that takes a second: its configuration, its pictures, and the comparison of two states."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from export.avatar.config import TrainConfig
from export.avatar.model import ModelConfig

TINY = ModelConfig(image_channels=3, latent_size=8, mapping_layers=2, channels=(4, 4, 4, 4))


def tiny_config(folder: Path, **changes: Any) -> TrainConfig:
    """Five steps an epoch, penalties every third and fourth step, all of it within a second or two."""
    config = TrainConfig(
        runs=folder / "runs",
        cache=folder.parent / "faces",
        faces=40,
        batch=8,
        kimg=0.184,
        model=TINY,
        r1_interval=4,
        path_interval=3,
        average_kimg=0.05,
        mirror=True,
        log_every=2,
    )
    return dataclasses.replace(config, **changes)


def noise_pictures(count: int = 24, channels: int = 3, size: int = 32) -> np.ndarray:
    """Pictures uint8 [count, channels, size, size] without any meaning."""
    return np.random.default_rng(3).integers(0, 256, (count, channels, size, size), np.uint8)


def assert_identical(first: Any, second: Any, where: str = "state") -> None:
    """Two states are equal bit for bit."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_identical(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_identical(*pair, f"{where}[{index}]")
    else:
        assert first == second, where


def assert_moved_alike(start: Any, one: Any, two: Any) -> None:
    """Weights that began as `start` moved by the same steps, but for rounding.

    Adam divides by the size of the gradient, so that where that is near zero rounding decides the sign of a step: single
    weights may differ, their mean may not.
    """
    for name, before in start.items():
        moved, apart = ((a - b).abs().mean().item() for a, b in ((one[name], before), (one[name], two[name])))
        assert apart <= 0.01 * moved + 1e-7, f"{name} moved by {moved} and is {apart} apart"
