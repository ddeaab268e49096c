"""A tiny real picture bundle: 16 px pictures as 4 x 4 codes, the nearest of eight colours each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import write_bundle

SIDE, GRID, CODES = 16, 4, 8

ENCODER = """
<ir_version: 10, opset_import: ["": 20]>
encoder (float[batch,3,16,16] picture) => (int64[batch,4,4] codes)
{
  rows = MatMul (means, picture)
  mean = MatMul (rows, means_turned)
  colours_last = Transpose <perm: ints = [0, 2, 3, 1]> (mean)
  axis = Constant <value_ints: ints = [3]> ()
  last = Constant <value_ints: ints = [4]> ()
  each = Unsqueeze (colours_last, axis)
  difference = Sub (each, colours)
  squared = Mul (difference, difference)
  distance = ReduceSum <keepdims: int = 0> (squared, last)
  codes = ArgMin <axis: int = 3, keepdims: int = 0> (distance)
}
"""

DECODER = """
<ir_version: 10, opset_import: ["": 20]>
decoder (int64[batch,4,4] codes) => (float[batch,3,16,16] picture)
{
  found = Gather (colours, codes)
  planes = Transpose <perm: ints = [0, 3, 1, 2]> (found)
  rows = MatMul (spread, planes)
  picture = MatMul (rows, spread_turned)
}
"""

PICTURE_SPEC: dict[str, Any] = {"image_size": SIDE, "downsample": 4, "codebook_size": CODES}


def write_picture(models: Path, name: str = "mosaic", version: int = 1) -> Path:
    """Write a picture model; return the bundle's folder."""
    spread = np.repeat(np.eye(GRID), SIDE // GRID, axis=0)
    means = spread.T / (SIDE // GRID)
    found = colours(version)
    encoder = {"means": means, "means_turned": means.T, "colours": found}
    decoder = {"spread": spread, "spread_turned": spread.T, "colours": found}
    graphs = {"encoder": (ENCODER, encoder), "decoder": (DECODER, decoder)}
    return write_bundle(models, name, version, "picture", graphs, PICTURE_SPEC)


def colours(version: int = 1) -> np.ndarray:
    """Return the colour of each code, float[K, 3] from -1 to 1."""
    return np.random.default_rng(version).uniform(-1, 1, (CODES, 3)).astype(np.float32)
