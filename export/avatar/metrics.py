"""How close generated pictures come to the data, how varied they are, and whether they are copies.

The distances take features [N, D] of two sets (see `features.py`). Their scale depends on N: compare only figures that
were taken with equal numbers of pictures, and read them beside the distance between two halves of the data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CHUNK = 1024


class Estimate(NamedTuple):
    """A mean over blocks, with the standard deviation between the blocks."""

    mean: float
    deviation: float


class Neighbours(NamedTuple):
    """The nearest reference of each item: its index int64 [N] and its Euclidean distance float64 [N]."""

    index: npt.NDArray[np.int64]
    distance: Floats


def checked(*sets: np.ndarray, least: int = 2) -> list[Floats]:
    """Returns sets of features as float64; raises ValueError unless they are finite [N, D], equal in D, with N >= least."""
    for features in sets:
        if features.ndim != 2 or len(features) < least:
            raise ValueError(f"features have shape {list(features.shape)}; expected [N, D] with N of at least {least}")
        if features.shape[1] != sets[0].shape[1]:
            raise ValueError(f"features have widths {[part.shape[1] for part in sets]}; all must be equal")
        if not np.isfinite(features).all():
            raise ValueError(f"features hold {np.count_nonzero(~np.isfinite(features))} numbers that are not finite")
    return [features.astype(np.float64) for features in sets]


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    """The squared Fréchet distance of two Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500).

    |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)). The last trace is the sum of the singular values of
    S1^(1/2) S2^(1/2): real, never negative, and exact where a covariance is singular.
    """
    first, second = checked(real, fake)
    roots, traces = [], []
    for features in (first, second):
        covariance = np.cov(features, rowvar=False).reshape(features.shape[1], -1)
        values, vectors = np.linalg.eigh(covariance)
        roots.append((vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T)
        traces.append(np.trace(covariance))
    cross = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    shift = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
    return max(0.0, float(shift + traces[0] + traces[1] - 2.0 * cross))


def kernel_distance(real: np.ndarray, fake: np.ndarray, *, block: int = 1000, blocks: int = 50, seed: int = 0) -> Estimate:
    """The kernel distance of Binkowski et al. 2018 (arXiv:1801.01401), over random blocks drawn from both sets.

    The unbiased squared maximum mean discrepancy under (x . y / D + 1)^3: about 0, and as often below, for equal
    distributions. Blocks have at most `block` features of each set, without repetition.
    """
    first, second = checked(real, fake)
    size = min(block, len(first), len(second))
    rng = np.random.default_rng(seed)
    values = [
        squared_mmd(first[rng.choice(len(first), size, replace=False)], second[rng.choice(len(second), size, replace=False)])
        for _ in range(blocks)
    ]
    return Estimate(float(np.mean(values)), float(np.std(values)))


def squared_mmd(first: Floats, second: Floats) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy under the kernel (x . y / D + 1)^3."""

    def kernel(a: Floats, b: Floats) -> Floats:
        inner = a @ b.T / a.shape[1] + 1.0
        return inner * inner * inner

    within = 0.0
    for features in (first, second):
        gram = kernel(features, features)
        within += (gram.sum() - np.trace(gram)) / (len(features) * (len(features) - 1))
    return float(within - 2.0 * kernel(first, second).mean())


def precision_recall(real: np.ndarray, fake: np.ndarray, *, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991).

    A set's region is the union of balls around its features, each reaching to its k-th nearest neighbour in the set.
    Precision is the share of generated features in the region of the data, recall the share of the data's features in
    the region of the generated ones. Raises ValueError when a set has k features or fewer.
    """
    first, second = checked(real, fake, least=k + 1)
    return _share_inside(first, second, k), _share_inside(second, first, k)


def _share_inside(region: Floats, points: Floats, k: int) -> float:
    """The share of points that lie in a ball of the region."""
    radii = np.concatenate(
        # The nearest of all is the feature itself.
        [np.partition(squared_distances(part, region), k, axis=1)[:, k] for part in _chunks(region)]
    )
    inside = [(squared_distances(part, region) <= radii).any(axis=1) for part in _chunks(points)]
    return float(np.concatenate(inside).mean())


def nearest(items: np.ndarray, references: np.ndarray) -> Neighbours:
    """Finds the nearest of the references [M, D] for each item [N, D]; pictures may be given as uint8 [N, C, H, W]."""
    flat = [part.reshape(len(part), -1) for part in (items, references)]
    if not all(len(part) for part in flat) or flat[0].shape[1] != flat[1].shape[1]:
        raise ValueError(f"items {list(items.shape)} and references {list(references.shape)} differ in width or are empty")
    # A search in float32 is quick; the distance to what it finds is exact.
    middle = flat[1].mean(axis=0, dtype=np.float64).astype(np.float32)
    base = flat[1].astype(np.float32) - middle
    found = [squared_distances(part.astype(np.float32) - middle, base).argmin(axis=1) for part in _chunks(flat[0])]
    index = np.concatenate(found)
    distance = [
        np.linalg.norm(part.astype(np.float64) - flat[1][where], axis=1)
        for part, where in zip(_chunks(flat[0]), found, strict=True)
    ]
    return Neighbours(index, np.concatenate(distance))


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [N, M] of all pairs."""
    norms = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None, :]
    norms -= 2.0 * (first @ second.T)
    return np.maximum(norms, 0.0, out=norms)


def _chunks(items: np.ndarray) -> list[np.ndarray]:
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
