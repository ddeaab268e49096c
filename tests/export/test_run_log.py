"""Rules of run folders: curves, grids and configuration, and no doubled points after a resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from export.run_log import RunLog, picture_grid, save_picture, write_config


def read_curve(folder: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_curves_are_readable_by_tensorboard(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.scalars({"loss": 0.5}, 10)
        log.scalars({"loss": 0.25}, 20)
    assert read_curve(tmp_path, "loss") == [(10, 0.5), (20, 0.25)]


def test_a_resumed_run_replaces_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for step in (10, 20, 30):
            log.scalars({"loss": float(step)}, step)
    with RunLog(tmp_path, resumed_at=20) as log:
        log.scalars({"loss": 300.0}, 30)
    assert read_curve(tmp_path, "loss") == [(10, 10.0), (20, 20.0), (30, 300.0)]


def test_a_grid_goes_row_by_row_and_its_free_cells_are_white() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 2, 2), np.uint8)
    grid = picture_grid(images, columns=2)
    assert grid.shape == (4, 4, 3)
    assert grid[::2, ::2, 0].tolist() == [[0, 1], [2, 255]]


def test_enlarged_pictures_keep_hard_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    save_picture(picture, tmp_path / "p.png", enlarge=4)
    with Image.open(tmp_path / "p.png") as image:
        assert np.array_equal(np.asarray(image), picture.repeat(4, axis=0).repeat(4, axis=1))


def test_pictures_are_saved_beside_the_curves(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 8, 8), np.uint8)
    with RunLog(tmp_path) as log:
        path = log.pictures("samples", images, 1234, columns=2)
    assert path.name == "samples-000001234.png"
    with Image.open(path) as image:
        assert image.size == (16, 16)


def test_the_configuration_is_json(tmp_path: Path) -> None:
    write_config(tmp_path / "run", {"batch": 32, "model": {"channels": (1, 2)}})
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"batch": 32, "model": {"channels": [1, 2]}}
