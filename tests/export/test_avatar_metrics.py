"""Rules of the distance between pictures: it ranks what is closer to the data first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.avatar import data
from export.avatar.metrics import random_patches, sliced_wasserstein


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    cache: Path = tmp_path_factory.mktemp("faces")
    return data.load("pixel-art", "", "", size=32, count=512, seed=1, cache=cache).images


def test_other_faces_are_closest_then_damaged_ones_then_noise(faces: np.ndarray) -> None:
    real, other = faces[:256], faces[256:]
    rng = np.random.default_rng(0)
    grainy = np.clip(other + rng.normal(0.0, 20.0, other.shape), 0, 255).astype(np.uint8)
    noise = rng.integers(0, 256, other.shape, np.uint8)
    distances = [sliced_wasserstein(real, fake) for fake in (other, grainy, noise)]
    assert distances[0] < 0.7 * distances[1]
    assert distances[1] < 0.7 * distances[2]


def test_one_face_for_all_is_far_from_the_data(faces: np.ndarray) -> None:
    collapsed = np.repeat(faces[256:257], 256, axis=0)
    assert sliced_wasserstein(faces[:256], faces[256:]) < 0.5 * sliced_wasserstein(faces[:256], collapsed)


def test_the_distance_is_repeatable(faces: np.ndarray) -> None:
    assert sliced_wasserstein(faces[:64], faces[64:128]) == sliced_wasserstein(faces[:64], faces[64:128])


def test_patches_are_cut_from_the_pictures() -> None:
    images = np.arange(2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    patches = random_patches(images, 5, np.random.default_rng(0))
    assert patches.shape == (10, 3, 7, 7)
    assert (np.diff(patches, axis=3) == 1).all()
    assert (np.diff(patches, axis=2) == 32).all()
    assert (np.diff(patches, axis=1) == 1024).all()
    assert ((patches[:5] < 3 * 32 * 32) & (patches[5:] >= 3 * 32 * 32)).all()


def test_sets_of_different_size_are_refused(faces: np.ndarray) -> None:
    with pytest.raises(ValueError, match="both must be equal"):
        sliced_wasserstein(faces[:4], faces[:5])
