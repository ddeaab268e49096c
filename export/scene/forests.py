"""Tree sites of pyworldgen's forests, drawn once as a pool of small plots and laid out over a world."""

from __future__ import annotations

import functools

import numpy as np
from pyworldgen.biomes.forest import generate_forest

PLOT = 120.0
"""Metres along a plot's side."""
TREES = 190
POOL = 48
"""Plots of a split; train and held-out worlds draw from different ones."""


@functools.cache
def pool(split: str, seed: int) -> list[np.ndarray]:
    """The plots of a split: tree sites float64 [N, 3], x and y in metres within the plot and crown radius."""
    return [_plot(f"{split}-forest-{seed}-{number}") for number in range(POOL)]


def _plot(name: str) -> np.ndarray:
    params = {"domain_size": (PLOT, PLOT), "resolution": 2.0, "target_tree_count": TREES, "max_sampling_attempts": 1200}
    forest = generate_forest(seed=name, params=params, build_graphs=False)
    return np.array([(*site.xy, site.crown_radius) for site in forest.sites])


def cover(plots: list[np.ndarray], size: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Covers width x height metres with plots, each drawn and mirrored at random: sites [N, 3]."""
    parts = []
    for left in np.arange(0.0, size[0], PLOT):
        for top in np.arange(0.0, size[1], PLOT):
            sites = plots[rng.integers(len(plots))].copy()
            for axis in (0, 1):
                if rng.integers(2):
                    sites[:, axis] = PLOT - sites[:, axis]
            if rng.integers(2):
                sites[:, :2] = sites[:, 1::-1]
            parts.append(sites + np.array((left, top, 0.0)))
    sites = np.concatenate(parts)
    return sites[(sites[:, 0] < size[0]) & (sites[:, 1] < size[1])]
