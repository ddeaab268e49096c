"""The copy check: how near generated pictures come to training pictures, beside pictures the training never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.avatar.metrics import Neighbours, nearest
from export.avatar.pictures import BACKDROP, over
from export.run_log import picture_grid, save_picture

PAIRS = 32


def pixel_neighbours(images: np.ndarray, training: np.ndarray) -> Neighbours:
    """Finds the nearest training picture of each picture; the distance is the root mean square difference in levels."""
    found = nearest(over(images), over(training))
    return Neighbours(found.index, found.distance / np.sqrt(3 * images.shape[2] * images.shape[3]))


def compare(generated: Neighbours, unseen: Neighbours) -> dict[str, Any]:
    """Sets the distances of generated pictures to the training pictures beside those of unseen pictures.

    copies counts distances of 0. too_near is the share of generated pictures nearer than all but 1 % of the unseen ones:
    about 0.01 for a generator that copies no more than chance does, 1 for one that only copies.
    """
    limit = np.percentile(unseen.distance, 1)
    return {
        "generated": _summary(generated),
        "held_out": _summary(unseen),
        "too_near": round(float((generated.distance < limit).mean()), 4),
    }


def _summary(found: Neighbours) -> dict[str, Any]:
    smallest, one_percent, median = np.percentile(found.distance, (0, 1, 50))
    return {
        "copies": int((found.distance == 0).sum()),
        "smallest": round(float(smallest), 3),
        "one_percent": round(float(one_percent), 3),
        "median": round(float(median), 3),
    }


def write_sheet(path: Path, generated: np.ndarray, training: np.ndarray, found: Neighbours, *, pairs: int = PAIRS) -> None:
    """Saves the pairs (generated, nearest training picture) that are closest, closest first, four pairs in a row."""
    order = np.argsort(found.distance, kind="stable")[:pairs]
    left, right = over(generated[order]), over(training[found.index[order]])
    size = left.shape[3]
    gap = np.broadcast_to(np.array(BACKDROP, np.uint8)[None, :, None, None], (len(order), 3, left.shape[2], 2))
    margin = np.full((len(order), 3, left.shape[2], 6), 255, np.uint8)
    cells = np.concatenate([left, gap, right, margin], axis=3)
    cells = np.pad(cells, ((0, 0), (0, 0), (0, 4), (0, 0)), constant_values=255)
    save_picture(picture_grid(cells, 4), path, enlarge=max(1, 96 // size))
