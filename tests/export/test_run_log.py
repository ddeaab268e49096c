"""Rules of run folders: curves, grids and configuration, and no doubled points after a resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from export.run_log import RunLog, picture_grid, save_picture, write_config, write_film


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


def test_free_cells_are_transparent_where_pictures_have_alpha() -> None:
    grid = picture_grid(np.full((3, 4, 2, 2), 9, np.uint8), columns=2)
    assert grid.shape == (4, 4, 4)
    assert grid[3, 3].tolist() == [0, 0, 0, 0]


def grids(folder: Path, count: int, size: int = 16) -> None:
    for step in range(count):
        save_picture(np.full((size, size, 3), 12 * step, np.uint8), folder / f"samples-{step:09d}.png")


def shades(film: Image.Image) -> list[int]:
    found = []
    for index in range(film.n_frames):
        film.seek(index)
        found.append(film.convert("RGB").getpixel((0, 0))[0])
    return found


def test_a_film_shows_a_runs_grids_in_their_order(tmp_path: Path) -> None:
    grids(tmp_path, 5)
    save_picture(np.zeros((4, 4, 3), np.uint8), tmp_path / "others-000000009.png")
    path = write_film(tmp_path, "samples", tmp_path / "progress.gif")
    assert path == tmp_path / "progress.gif"
    with Image.open(path) as film:
        assert shades(film) == [0, 12, 24, 36, 48]
        assert film.info["loop"] == 0


def test_a_film_is_bounded_in_frames_and_width_and_keeps_both_ends(tmp_path: Path) -> None:
    grids(tmp_path, 20, size=96)
    with Image.open(write_film(tmp_path, "samples", tmp_path / "p.gif", frames=4, width=50)) as film:
        assert film.size == (48, 48)
        assert shades(film)[0] == 0
        assert shades(film)[-1] == 228
        assert film.n_frames == 4


def test_transparent_grids_lie_on_a_pale_ground_in_a_film(tmp_path: Path) -> None:
    save_picture(np.zeros((8, 8, 4), np.uint8), tmp_path / "samples-000000000.png")
    with Image.open(write_film(tmp_path, "samples", tmp_path / "p.gif")) as film:
        assert film.convert("RGB").getpixel((0, 0)) == (190, 205, 220)


def test_no_grids_make_no_film(tmp_path: Path) -> None:
    assert write_film(tmp_path, "samples", tmp_path / "p.gif") is None
