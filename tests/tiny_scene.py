"""A tiny real scene bundle: tiles of 16 x 16 cells from 4 x 4 codes, whose graphs a test can compute itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import write_bundle

CODES = 16
OUTSIDE = CODES + 1
LEVELS = np.concatenate([np.linspace(-9.0, 36.0, CODES), [0.0, 2.0]])
"""Height of each code in metres; those of the mask and of outside are arbitrary."""

PRIOR = """
<ir_version: 10, opset_import: ["": 20]>
prior (int64[batch,8,8] tokens, int64[batch,4,4] painted, int64[batch] biome, float[batch] ruggedness, float[batch] water_share)
  => (float[batch,4,4,16] logits)
{
  features = Gather (likings, tokens)
  planes = Transpose <perm: ints = [0, 3, 1, 2]> (features)
  rows = MatMul (nearby, planes)
  around = MatMul (rows, nearby_turned)
  own = Transpose <perm: ints = [0, 2, 3, 1]> (around)
  one = Constant <value_ints: ints = [1]> ()
  painted_row = Add (painted, one)
  paint = Gather (paints, painted_row)
  biome_row = Add (biome, one)
  biome_vector = Gather (biomes, biome_row)
  axes = Constant <value_ints: ints = [1, 2]> ()
  last = Constant <value_ints: ints = [1, 2, 3]> ()
  biome_everywhere = Unsqueeze (biome_vector, axes)
  rugged = Unsqueeze (ruggedness, last)
  water = Unsqueeze (water_share, last)
  rugged_everywhere = Mul (rugged, ruggedness_vector)
  water_everywhere = Mul (water, water_vector)
  with_paint = Add (own, paint)
  with_biome = Add (with_paint, biome_everywhere)
  with_ruggedness = Add (with_biome, rugged_everywhere)
  logits = Add (with_ruggedness, water_everywhere)
}
"""

DECODER = """
<ir_version: 10, opset_import: ["": 20]>
decoder (int64[batch,6,6] codes) => (float[batch,17,17] height, float[batch,4,18,18] ground, float[batch,3,18,18] objects)
{
  levels_of = Gather (levels, codes)
  between_rows = MatMul (between, levels_of)
  height = MatMul (between_rows, between_turned)
  ground_features = Gather (grounds, codes)
  ground_planes = Transpose <perm: ints = [0, 3, 1, 2]> (ground_features)
  ground_rows = MatMul (cells, ground_planes)
  ground = MatMul (ground_rows, cells_turned)
  object_features = Gather (things, codes)
  object_planes = Transpose <perm: ints = [0, 3, 1, 2]> (object_features)
  object_rows = MatMul (cells, object_planes)
  objects = MatMul (object_rows, cells_turned)
}
"""

ENCODER = """
<ir_version: 10, opset_import: ["": 20]>
encoder (float[batch,17,17] height, int64[batch,16,16] ground, int64[batch,16,16] objects) => (int64[batch,4,4] codes)
{
  rows = MatMul (means, height)
  mean = MatMul (rows, means_turned)
  both = Add (ground, objects)
  numbers = Cast <to: int = 1> (both)
  number_rows = MatMul (sums, numbers)
  number = MatMul (number_rows, sums_turned)
  raised = Add (mean, number)
  axis = Constant <value_ints: ints = [3]> ()
  columns = Unsqueeze (raised, axis)
  difference = Sub (columns, levels)
  distance = Abs (difference)
  codes = ArgMin <axis: int = 3, keepdims: int = 0> (distance)
}
"""

SCENE_SPEC: dict[str, Any] = {
    "tile_cells": 16,
    "metres_per_cell": 2.0,
    "downsample": 4,
    "codebook_size": CODES,
    "prior_margin": 2,
    "decoder_margin": 1,
    "ground_classes": [
        {"name": "water", "colour": [70, 120, 180], "water": True},
        {"name": "sand", "colour": [222, 205, 150]},
        {"name": "grass", "colour": [150, 185, 95]},
        {"name": "rock", "colour": [140, 132, 124]},
    ],
    "object_classes": [
        {"name": "none", "spacing_metres": 0.0, "scale": {"low": 1.0, "high": 1.0}},
        {"name": "tree", "spacing_metres": 3.0, "scale": {"low": 0.5, "high": 1.5}},
        {"name": "house", "spacing_metres": 6.0, "scale": {"low": 1.0, "high": 1.0}, "yaw_steps": 4},
    ],
    "biomes": ["plains", "mountains"],
    "ruggedness": {"low": 0.0, "high": 1.0},
    "water_share": {"low": 0.0, "high": 0.5},
    "height": {"low": -10.0, "high": 40.0},
    "steps": 3,
    "choice_temperature": 2.0,
}


def write_scene(models: Path, name: str = "island", version: int = 1, **section: Any) -> Path:
    """Write a scene model, whose section of the card may have other values; return the bundle's folder."""
    weights = scene_weights(version)
    parts = {"prior": PRIOR, "decoder": DECODER, "encoder": ENCODER}
    graphs = {graph: (text, weights[graph]) for graph, text in parts.items()}
    return write_bundle(models, name, version, "scene", graphs, SCENE_SPEC | section)


def scene_weights(version: int) -> dict[str, dict[str, np.ndarray]]:
    """Return the weights of the three graphs by name."""
    generator = np.random.default_rng(version)
    between, cells, nearby = interpolation(17, 6), interpolation(16, 6, ring=1), nearby_matrix()
    means, sums = pooling(17), pooling(16)
    dry = LEVELS > 0
    grounds = np.stack([-LEVELS, 2 - LEVELS / 4, np.where(dry, 6.0, -9.0), LEVELS / 3 - 5], axis=1)
    things = np.stack([np.zeros(CODES + 2), *(generator.normal(size=CODES + 2) * 2 for _ in range(2))], axis=1)
    prior = {
        "likings": generator.normal(size=(CODES + 2, CODES)) * 3,
        "nearby": nearby,
        "nearby_turned": nearby.T,
        "paints": np.concatenate([np.zeros((1, CODES)), generator.normal(size=(4, CODES)) * 4]),
        "biomes": np.concatenate([np.zeros((1, CODES)), generator.normal(size=(2, CODES)) * 4]),
        "ruggedness_vector": generator.normal(size=CODES) * 4,
        "water_vector": generator.normal(size=CODES) * 4,
    }
    decoder = {
        "levels": LEVELS + version / 8,
        "between": between,
        "between_turned": between.T,
        "grounds": grounds,
        "things": things,
        "cells": cells,
        "cells_turned": cells.T,
    }
    encoder = {"means": means, "means_turned": means.T, "sums": sums, "sums_turned": sums.T, "levels": LEVELS[:CODES]}
    return {"prior": prior, "decoder": decoder, "encoder": encoder}


def interpolation(places: int, codes: int, ring: int = 0) -> np.ndarray:
    """Return weights [places + 2 ring, codes] of straight lines between the middles of codes, the outer two of them margins."""
    step = (codes - 2.0) / (places - 1)
    at = 0.5 + step * np.arange(-ring, places + ring)
    return np.maximum(0.0, 1 - np.abs(at[:, None] - np.arange(codes)))


def nearby_matrix() -> np.ndarray:
    """Return weights [4, 8] by which a code follows tokens up to two places away."""
    distance = np.abs(np.arange(4)[:, None] + 2 - np.arange(8))
    return np.array([0.6, 0.3, 0.1, 0, 0, 0, 0])[distance]


def pooling(places: int) -> np.ndarray:
    """Return weights [4, places] of means over a quarter each."""
    owner = np.minimum(np.arange(places) // 4, 3)
    weights = (owner == np.arange(4)[:, None]).astype(float)
    return weights / weights.sum(axis=1, keepdims=True)
