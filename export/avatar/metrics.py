"""How close generated pictures come to the data, without a network trained elsewhere."""

from __future__ import annotations

import numpy as np

PATCH = 7


def sliced_wasserstein(real: np.ndarray, fake: np.ndarray, *, patches: int = 32, directions: int = 256) -> float:
    """The sliced Wasserstein distance of 7 x 7 patches, times 1000, as Karras et al. 2018 (arXiv:1710.10196) take it.

    Takes two sets uint8 [N, 3, H, W] of equal size. Zero for equal sets; what two halves of the data give is the
    best that a generator can reach. Only the full resolution counts here, not a pyramid.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real pictures have shape {real.shape}, generated ones {fake.shape}; both must be equal")
    rng = np.random.default_rng(0)
    sets = [normalised(random_patches(images, patches, rng)) for images in (real, fake)]
    total = 0.0
    for _ in range(directions // 32):
        axes = rng.standard_normal((sets[0].shape[1], 32), np.float32)
        axes /= np.linalg.norm(axes, axis=0)
        first, second = (np.sort(descriptors @ axes, axis=0) for descriptors in sets)
        total += float(np.abs(first - second).mean())
    return 1000.0 * total / (directions // 32)


def random_patches(images: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Cuts `count` patches out of each picture: float32 [N * count, 3, 7, 7]."""
    number, channels, height, width = images.shape
    top = rng.integers(0, height - PATCH + 1, (number, count, 1, 1))
    left = rng.integers(0, width - PATCH + 1, (number, count, 1, 1))
    rows, columns = top + np.arange(PATCH)[:, None], left + np.arange(PATCH)[None, :]
    index = np.arange(number)[:, None, None, None]
    cut = images.transpose(0, 2, 3, 1)[index, rows, columns]
    return cut.reshape(-1, PATCH, PATCH, channels).transpose(0, 3, 1, 2).astype(np.float32)


def normalised(patches: np.ndarray) -> np.ndarray:
    """Gives every colour channel of a set of patches mean 0 and deviation 1, and flattens the patches."""
    mean = patches.mean(axis=(0, 2, 3), keepdims=True)
    deviation = patches.std(axis=(0, 2, 3), keepdims=True)
    return ((patches - mean) / np.maximum(deviation, 1e-8)).reshape(len(patches), -1)
