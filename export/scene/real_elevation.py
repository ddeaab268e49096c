"""Worlds cut from the two real elevation grids that matplotlib carries, reduced to the metres of a cell.

The ground near Jacksboro, Tennessee, with a sample every 3 arc seconds, and land and sea floor around the Salish Sea with
one every 2.4 km. Samples are that far apart, so at true scale a tile would be a smooth slope. The worlds are models
instead, as a model railway is: plan and height are reduced by the scales in SURVEYS. Jacksboro keeps its slopes; the
sea chart is flat at its scale, so its heights are reduced less than its plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib import cbook
from scipy.ndimage import map_coordinates

from bridge.scene_rules import ground_classes
from export.scene import forests, objects
from export.scene.classes import GROUND, METRES_PER_CELL, NOTHING
from export.scene.world import World

METRES_PER_DEGREE = 111_320.0
GAP = 8
"""Cells left out between the ground of the training worlds and the held-out ground."""


@dataclass(frozen=True)
class Survey:
    """One grid: its file, by how much plan and height are reduced, what height becomes 0, and how it is split."""

    file: str
    plan_scale: float
    height_scale: float
    water_level: float
    """Metres of the survey that become 0: everything below is water."""
    held_out: float
    """Share of the columns, on the eastern side, whose ground no training world has."""

    def file_name(self, name: str) -> str:
        """The cache file, another one as soon as a number changes."""
        numbers = (self.plan_scale, self.height_scale, self.water_level, self.held_out)
        return f"{name}-{'-'.join(f'{number:g}' for number in numbers)}.npz"


SURVEYS = {
    "jacksboro": Survey("jacksboro_fault_dem.npz", 20.0, 20.0, 285.0, 0.28),
    "salish-sea": Survey("topobathy.npz", 400.0, 100.0, 0.0, 0.0),
}


def generate(name: str, split: str, seed: int) -> World:
    """The ground of a survey that belongs to a split, with classes by the rule; raises ValueError where it has none."""
    survey = SURVEYS[name]
    height = reduced(survey)
    held = round(height.shape[1] * survey.held_out)
    if split == "held-out":
        if not held:
            raise ValueError(f'survey "{name}" is too small to hold a part out; it is for training only')
        height = height[:, height.shape[1] - held :]
    elif held:
        height = height[:, : height.shape[1] - held - GAP]
    return populate(f"{split}-{name}", np.ascontiguousarray(height), split, seed)


def populate(name: str, height: np.ndarray, split: str, seed: int) -> World:
    """A world of heights on vertices: ground classes by the rule, trees and boulders by theirs."""
    rng = np.random.default_rng([seed, len(name), height.shape[0], split == "train"])
    ground = ground_classes(height, METRES_PER_CELL, GROUND)
    placed = np.full(ground.shape, NOTHING, np.uint8)
    size = (ground.shape[1] * METRES_PER_CELL, ground.shape[0] * METRES_PER_CELL)
    objects.scatter_boulders(placed, ground, rng)
    sites = forests.cover(forests.pool(split, seed), size, rng)
    objects.plant(placed, sites, objects.tree_density(ground), METRES_PER_CELL, rng)
    return World(name, height, ground, objects.settle(placed, ground))


def reduced(survey: Survey) -> np.ndarray:
    """Heights in metres of the model, float32 on vertices METRES_PER_CELL apart, by cubic interpolation; north is first."""
    data = cbook.get_sample_data(survey.file)
    heights, (south_north, west_east) = _grid(data)
    steps = METRES_PER_CELL * survey.plan_scale / south_north, METRES_PER_CELL * survey.plan_scale / west_east
    counts = [int((size - 1) / step) + 1 for size, step in zip(heights.shape, steps, strict=True)]
    at = np.meshgrid(*(np.arange(count) * step for count, step in zip(counts, steps, strict=True)), indexing="ij")
    fine = map_coordinates(heights, at, order=3, mode="nearest")
    return ((fine - survey.water_level) / survey.height_scale).astype(np.float32)


def _grid(data: np.lib.npyio.NpzFile) -> tuple[np.ndarray, tuple[float, float]]:
    """Heights with north in row 0, and the metres between samples from south to north and from west to east."""
    if "elevation" in data.files:
        latitude, step = float(data["ymin"] + data["ymax"]) / 2.0, (float(data["dy"]), float(data["dx"]))
        heights = data["elevation"].astype(np.float64)
    else:
        rows, columns = data["latitude"].astype(np.float64), data["longitude"].astype(np.float64)
        latitude, step = float(rows.mean()), (float(np.diff(rows).mean()), float(np.diff(columns).mean()))
        heights = data["topo"].astype(np.float64)[::-1]
    return heights, (step[0] * METRES_PER_DEGREE, step[1] * METRES_PER_DEGREE * math.cos(math.radians(latitude)))
