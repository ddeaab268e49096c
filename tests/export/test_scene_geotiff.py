"""Rules of GeoTIFF's tags: how far apart samples are, in which unit, and what is said of tags that cannot be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from export.scene.heightmap_file import Reading, read
from export.scene.heightmap_folder import read_all

SIDE = 100
METRES = (np.linspace(5.0, 40.0, SIDE)[:, None] + np.zeros(SIDE)).astype(np.float32)
INFINITE, NAN = float("inf"), float("nan")
ARC_SECOND = 111_320.0 / 3600.0
USER_DEFINED_UNIT = (1, 1, 0, 2, 3076, 0, 1, 32767, 3077, 34736, 1, 0)
Tag = tuple[object, ...]


def tagged(path: Path, *tags: Tag) -> Path:
    tifffile.imwrite(path, METRES, extratags=tags)
    return path


def doubles(code: int, *values: float) -> Tag:
    return (code, 12, len(values), values, True)


def scale(*values: float) -> Tag:
    return doubles(33550, *values)


def keys(*pairs: int) -> Tag:
    """A GeoKey directory of keys and their short values."""
    entries = [number for at in range(0, len(pairs), 2) for number in (pairs[at], 0, 1, pairs[at + 1])]
    return directory(1, 1, 0, len(pairs) // 2, *entries)


def directory(*numbers: int) -> Tag:
    return (34735, 3, len(numbers), numbers, True)


def transformation(a: float, b: float, c: float, d: float) -> Tag:
    """The matrix that gives x = a column + b row and y = c column + d row, moved by 500 and 800."""
    return doubles(34264, a, b, 0.0, 500.0, c, d, 0.0, 800.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def text(code: int, words: str) -> Tag:
    return (code, 2, len(words) + 1, words, True)


@pytest.mark.parametrize(
    ("tags", "cells"),
    [
        ([transformation(4.0, 0.0, 0.0, -4.0)], (198, 198)),
        ([transformation(0.0, 4.0, 4.0, 0.0)], (198, 198)),
        ([transformation(2.4, 3.2, 3.2, -2.4)], (198, 198)),
        ([transformation(4.0, 0.0, 0.0, -4.0), scale(4.0, 4.0, 0.0)], (198, 198)),
        ([scale(10.0, 2.0, 0.0)], (99, 495)),
        ([transformation(2.0, 0.0, 0.0, -10.0)], (495, 99)),
        ([scale(10.0, 10.0, 0.0), keys(1024, 1, 3076, 9002)], (150, 150)),
        ([scale(10.0, 10.0, 0.0), keys(1024, 1, 3076, 9003)], (150, 150)),
        ([scale(4.0, 4.0, 0.0), keys(1024, 1, 3076, 9001)], (198, 198)),
        ([scale(0.004, 0.004, 0.0), keys(1024, 1, 3076, 9036)], (198, 198)),
        ([scale(4.0 / ARC_SECOND, 4.0 / ARC_SECOND, 0.0), keys(1024, 2, 2054, 9104)], (198, 198)),
        ([scale(4.0, 4.0, 0.0), doubles(34736, 0.5), directory(*USER_DEFINED_UNIT)], (99, 99)),
    ],
)
def test_a_geotiff_says_it_by_matrix_by_axis_and_in_any_known_unit(
    tmp_path: Path, tags: list[Tag], cells: tuple[int, int]
) -> None:
    assert read(tagged(tmp_path / "a.tif", *tags), Reading()).cells == cells


def test_rows_and_columns_that_are_unequally_far_apart_keep_their_slopes(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.tif", scale(2.0, 10.0, 0.0))
    world = read(path, Reading())
    assert np.allclose(world.height[::5], METRES, atol=1e-3)


def test_heights_in_feet_become_metres(tmp_path: Path) -> None:
    world = read(tagged(tmp_path / "a.tif", keys(1024, 1, 4099, 9002)), Reading())
    assert np.allclose(world.height, METRES * 0.3048, atol=1e-4)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([text(42113, "none")], 'its value for missing heights (tag 42113) is "none"; expected a number'),
        ([scale(0.0, 0.0, 0.0)], "its pixel scale (tag 33550) is 0 x 0 x 0; expected two or three numbers above 0"),
        ([scale(INFINITE, INFINITE, INFINITE)], "its pixel scale (tag 33550) is inf x inf x inf; expected"),
        ([scale(2.0, -2.0, 0.0)], "its pixel scale (tag 33550) is 2 x -2 x 0; expected"),
        ([scale(NAN, NAN, NAN)], "its pixel scale (tag 33550) is nan x nan x nan; expected"),
        ([scale()], "its pixel scale (tag 33550) is empty; expected two or three"),
        ([scale(2.0)], "its pixel scale (tag 33550) is 2; expected two or three"),
        ([text(33550, "wide")], "its tag 33550 is 'wide'; expected numbers"),
        ([scale(1e300, 1e300, 0.0)], "covers 4.95e+301 x 4.95e+301 vertices 2 m apart; at most 67,108,864"),
        ([scale(1e305, 1e305, 0.0), keys(1024, 2)], "its samples are inf x inf metres apart; expected numbers above 0"),
        ([scale(1e-300, 1e-300, 0.0)], "covers 1 x 1 vertices 2 m apart; a tile needs 65 x 65"),
        ([transformation(2.0, 1.0, 0.0, -2.0)], "which are not square to each other; warp it to a straight grid first"),
        ([transformation(2.0, 0.0, 0.0, 0.0)], "rows (0, 0) and columns (2, 0), which are not square to each other"),
        ([doubles(34264, 2.0, 2.0)], "its model transformation (tag 34264) is 2 x 2; expected 16 finite numbers"),
        (
            [scale(2.0, 2.0, 0.0), transformation(4.0, 0.0, 0.0, -4.0)],
            "rows and columns are (2.0, 2.0) apart by its pixel scale, (4.0, 4.0) by its model transformation; remove one tag",
        ),
        (
            [scale(2.0, 2.0, 0.0), keys(1024, 1, 3076, 9005)],
            "its linear unit is 9005; known are 9001, 9002, 9003, 9036; convert it to metres",
        ),
        ([keys(1024, 1, 4099, 9014)], "its vertical unit is 9014; known are"),
        ([scale(2.0, 2.0, 0.0), keys(1024, 2, 2054, 9105)], "its angular unit is 9105; known are"),
        ([scale(2.0, 2.0, 0.0), keys(1024, 3)], "its model type is 3; known are 1 (projected) and 2 (degrees); reproject it"),
        ([directory(1, 1, 0, 9, 1024)], "its GeoKey directory (tag 34735) is cut short: 5 numbers"),
        ([directory()], "its GeoKey directory (tag 34735) is cut short: 0 numbers"),
        ([directory(1, 1, 0, 1, 3077, 34736, 1, 6)], "its GeoKey 3077 is number 6 of 0 doubles (tag 34736)"),
        ([directory(*USER_DEFINED_UNIT), doubles(34736, INFINITE)], "have numbers that are not finite"),
    ],
)
def test_a_map_with_tags_that_cannot_be_right_is_skipped_with_the_reason(tmp_path: Path, tags: list[Tag], words: str) -> None:
    tagged(tmp_path / "bad.tif", *tags)
    tagged(tmp_path / "good.tif", scale(2.0, 2.0, 0.0))
    folder = read_all(tmp_path, Reading())
    assert [world.name for world in folder.worlds] == ["good.tif"]
    ((found, reason),) = folder.left_out
    assert found == "bad.tif"
    assert words in reason
