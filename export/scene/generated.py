"""Worlds from pyworldgen (MIT): composites of biomes, and river landscapes, with roads, trees, boulders and buildings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pyworldgen.biomes.landscape import generate_landscape
from pyworldgen.compose.world import compose_world
from pyworldgen.core.hash import fbm2
from pyworldgen.roads.generate import generate_roads
from pyworldgen.roads.network import RoadNetwork

from bridge.scene_rules import BEACH_SLOPE, ROCK_SLOPE, SNOW_LINE, SNOW_SLOPE, cell_mean, cell_slope
from export.scene import forests, objects
from export.scene.classes import FOREST, GRASS, METRES_PER_CELL, NOTHING, ROAD, ROCK, SAND, SNOW, WATER, WETLAND
from export.scene.world import World

Kind = Literal["composite", "landscape"]
CELLS = 224
"""Cells along a world's side: three tiles, and half a tile for the window to move in."""
SEA = 9.0
"""The lakes of composites lie at this height; it becomes 0, so that all sources share a water level."""
LANDSCAPE_BASE = 6.0
WET = 0.08
"""Metres of water from which a cell is water."""
SHORE = 4.0
"""Metres from the water within which gentle ground of a composite is sand."""
WOODED = 0.45
"""Tree density from which grass becomes forest ground."""
CAUSEWAY = 0.5
"""Metres by which a road through water lies above it."""
ROAD_WIDTH = 4.0


@dataclass(frozen=True)
class Draft:
    """What a generator gives before roads and objects: heights and water depth on vertices, the rest on cells."""

    height: np.ndarray
    depth: np.ndarray
    ground: np.ndarray
    trees: np.ndarray
    """Share of the forest's trees that are kept."""


def generate(kind: Kind, split: str, seed: int, number: int, cells: int = CELLS) -> World:
    """The world of an address: equal arguments give equal worlds; composites take three to ten seconds."""
    name = f"{split}-{kind}-{seed}-{number}"
    rng = np.random.default_rng([seed, number, kind == "composite", split == "train"])
    draft = (_composite if kind == "composite" else _landscape)(name, cells, rng)
    size = (cells + 1) * METRES_PER_CELL
    roads = generate_roads(
        draft.height,
        METRES_PER_CELL,
        seed=f"{name}-roads",
        domain_size=(size, size),
        water=draft.depth,
        params={"num_hubs": int(rng.integers(4, 9)), "mask_radius": 3, "width": ROAD_WIDTH},
    )
    return _finish(name, draft, roads, forests.pool(split, seed), rng)


def _composite(name: str, cells: int, rng: np.random.Generator) -> Draft:
    size = (cells + 1) * METRES_PER_CELL
    params = {
        "domain_size": (size, size),
        "resolution": METRES_PER_CELL,
        "num_regions": int(rng.integers(8, 44)),
        "blend_softness": float(rng.uniform(0.35, 0.65)),
        "add_forest": False,
        "add_roads": False,
    }
    world = compose_world(seed=name, params=params)
    height = world.height - SEA
    depth = np.maximum(-height, 0.0)  # a level lake: the depth that is blended from the biomes climbs up mountains
    slope, density = cell_slope(height, METRES_PER_CELL), cell_mean(world.tree_density)
    ground = np.where(density > WOODED, FOREST, GRASS).astype(np.uint8)
    ground[slope > ROCK_SLOPE] = ROCK
    ground[(cell_mean(world.weights["mountains"]) > 0.5) & (slope > 0.35)] = ROCK
    ground[(cell_mean(height) > SNOW_LINE) & (slope < SNOW_SLOPE)] = SNOW
    water = cell_mean(depth) > WET
    ground[(objects.distance_transform_edt(~water) * METRES_PER_CELL < SHORE) & (slope < BEACH_SLOPE)] = SAND
    ground[water] = WATER
    return Draft(height, depth, ground, density)


def _landscape(name: str, cells: int, rng: np.random.Generator) -> Draft:
    size = (cells + 1) * METRES_PER_CELL
    params = {
        "domain_size": (size, size),
        "resolution": METRES_PER_CELL,
        "north_south_drop": float(rng.uniform(4.0, 30.0)),
        "broad_noise_amp": float(rng.uniform(3.0, 14.0)),
        "detail_noise_amp": float(rng.uniform(0.8, 2.6)),
        "main_river_count": int(rng.integers(1, 4)),
        "pond_count": int(rng.integers(3, 14)),
    }
    world = generate_landscape(seed=name, params=params)
    height = world.height - LANDSCAPE_BASE
    materials = np.array([WATER, SAND, GRASS, WETLAND, ROCK, GRASS], np.uint8)[world.material[:-1, :-1]]
    x, y = np.meshgrid(world.x[:-1], world.y[:-1])
    woods = fbm2(x * 0.012, y * 0.012, 4, int(rng.integers(1 << 30)))
    ground = np.where((materials == GRASS) & (woods > 0.52), FOREST, materials).astype(np.uint8)
    slope = cell_slope(height, METRES_PER_CELL)
    ground[(ground == ROCK) & (slope < ROCK_SLOPE)] = GRASS  # the generator calls gentler slopes rocky than the rule does
    ground[(cell_mean(height) > SNOW_LINE) & (slope < SNOW_SLOPE) & (ground != WATER)] = SNOW
    ground[cell_mean(world.water_depth) > WET] = WATER
    return Draft(height, world.water_depth, ground, objects.tree_density(ground))


def _finish(name: str, draft: Draft, roads: RoadNetwork, plots: list[np.ndarray], rng: np.random.Generator) -> World:
    """Lays roads, raises them out of the water, then plants, scatters and builds."""
    height, ground, mask = draft.height.astype(np.float32), draft.ground.copy(), roads.road_mask
    height[mask] = np.where(draft.depth > 0.0, height + draft.depth + CAUSEWAY, height)[mask]
    ground[mask[:-1, :-1]] = ROAD
    placed = np.full(ground.shape, NOTHING, np.uint8)
    size = (ground.shape[1] * METRES_PER_CELL, ground.shape[0] * METRES_PER_CELL)
    objects.scatter_boulders(placed, ground, rng)
    objects.plant(placed, forests.cover(plots, size, rng), draft.trees, METRES_PER_CELL, rng)
    objects.clear_beside_roads(placed, ground)
    crossings = np.array([node.xy for node in roads.nodes]).reshape(-1, 2)
    objects.build_houses(placed, ground, cell_slope(height, METRES_PER_CELL), crossings, METRES_PER_CELL, rng)
    return World(name, height, ground, objects.settle(placed, ground))
