"""Rules of the attribute predictor: it reads what is in a picture, also what is rare, and says how well."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from export.avatar.classifier import AttributePredictor, balanced, corrupt, fit_predictor, predict, read_held_out

NAMES = ("bright", "dot")


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures whose lower half has a brightness, one in ten of them with a white dot of 8 x 8 pixels on top."""
    rng = np.random.default_rng(seed)
    table = np.stack([rng.random(count), rng.random(count) < 0.1], axis=1).astype(np.float32)
    images = np.zeros((count, 4, 32, 32), np.uint8)
    images[:, :, 16:] = (table[:, 0] * 255).astype(np.uint8)[:, None, None, None]
    images[table[:, 1] > 0, :, 4:12, 12:20] = 255
    return images, table


@pytest.mark.parametrize("pixel_size", [1, 2])
def test_attributes_are_read_off_new_pictures(pixel_size: int) -> None:
    predictor = fit_predictor(*with_names(pictures(600, 0)), pixel_size=pixel_size, shown=4000)
    images, table = pictures(200, 1)
    readings = read_held_out(predictor, images, table)
    assert list(readings) == list(NAMES)
    assert readings["dot"].accuracy >= 0.98
    assert readings["bright"].accuracy >= 0.9
    assert min(reading.r2 for reading in readings.values()) > 0.8


def with_names(data: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    return data[0], NAMES, data[1]


def test_the_same_seed_gives_the_same_predictor() -> None:
    images, table = pictures(100, 0)
    one, two, other = (fit_predictor(images, NAMES, table, shown=256, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(predict(one, images), predict(two, images))
    assert not np.array_equal(predict(one, images), predict(other, images))


def test_numbers_and_bytes_are_read_alike() -> None:
    predictor = AttributePredictor(NAMES, 4, 32).eval()
    images, _ = pictures(20, 2)
    floats = torch.from_numpy(images) / 127.5 - 1.0
    with torch.no_grad():
        assert np.allclose(predict(predictor, images), predict(predictor, floats))
    assert predict(predictor, images[:0]).shape == (0, 2)


def test_some_of_the_attributes_can_be_kept() -> None:
    predictor = AttributePredictor(NAMES, 4, 32).eval()
    images, _ = pictures(20, 2)
    assert np.allclose(predict(predictor.only(["dot"]), images), predict(predictor, images)[:, 1:], atol=1e-6)
    assert predictor.only(["dot", "bright"]).names == ("dot", "bright")


def test_half_of_a_batch_shows_rare_attributes_as_often_as_not() -> None:
    table = np.zeros((1000, 1), np.float32)
    table[:20] = 1.0
    rows = balanced(table, np.random.default_rng(0), 2000)
    assert 0.2 < (table[rows] > 0.5).mean() < 0.32


def test_a_corrupted_picture_differs_in_few_whole_cells() -> None:
    images = torch.rand(64, 3, 16, 16)
    changed = (corrupt(images, 4, np.random.default_rng(0)) != images).any(dim=1)
    cells = changed.unflatten(1, (4, 4)).unflatten(3, (4, 4)).float().mean(dim=(2, 4))
    assert set(cells.unique().tolist()) == {0.0, 1.0}
    assert 0.0 < cells.mean() < 0.1


def test_an_attribute_that_never_varies_has_no_r2() -> None:
    predictor = AttributePredictor(NAMES, 4, 32).eval()
    images, table = pictures(20, 2)
    assert math.isnan(read_held_out(predictor, images, np.zeros_like(table))["dot"].r2)


def test_pictures_and_attributes_must_fit() -> None:
    images, table = pictures(20, 2)
    with pytest.raises(ValueError, match=r"20 pictures, attributes \[19, 2\] and 2 names do not fit together"):
        fit_predictor(images, NAMES, table[:19])
