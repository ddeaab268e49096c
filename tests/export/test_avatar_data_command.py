"""Rules of `python -m export avatar data`: it says what is in the set, where it is, and shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.avatar.commands import main
from export.avatar.pictures import BACKDROP


def run(tmp_path: Path, *options: str) -> None:
    main(["data", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "sub" / "grid.png"), *options])


def test_a_style_is_drawn_described_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--style", "toon-head", "--count", "20", "--size-px", "64")
    output = capsys.readouterr().out
    for words in ("DiceBear toon-head", "CC-BY-4.0", "Johan Melin", "20 (train), 0 left out", "hairVariant", "64 x 64 x 4"):
        assert words in output
    folder = Path(output.split("pictures and labels: ")[1].splitlines()[0])
    images = np.load(folder / "images.npy")
    assert images.shape == (20, 4, 64, 64)
    with Image.open(tmp_path / "sub" / "grid.png") as grid:
        assert grid.size == (8 * 128, 3 * 128)
        assert grid.getpixel((0, 0)) == BACKDROP


def test_a_folder_is_read_with_what_was_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for index in range(3):
        Image.new("RGB", (50, 40), (60 * index, 0, 0)).save(tmp_path / "in" / f"{index}.png")
    (tmp_path / "in" / "empty.png").touch()
    run(tmp_path, "--source", "folder", str(tmp_path / "in"), "--minimum", "3", "--licence", "CC0-1.0")
    output = capsys.readouterr().out
    for words in ("read 3, skipped 1: empty.png (the file is empty)", "folder in", "CC0-1.0", "3 (train), 1 left out"):
        assert words in output
    with Image.open(tmp_path / "sub" / "grid.png") as grid:
        assert grid.size == (3 * 128, 128)
        assert grid.getpixel((3 * 128 - 1, 0)) == (120, 0, 0)
    with pytest.raises(SystemExit, match=r"error: .* gave 3 of at least 50 pictures"):
        run(tmp_path, "--source", "folder", str(tmp_path / "in"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--style", "mona-lisa"], '"mona-lisa" is not built in; use one of'),
        (["--count", "0"], "count is 0"),
        (["--size-px", "0"], "size is 0"),
        (["--size-px", "1000000"], "not enough memory: Unable to allocate .*; ask for fewer or smaller pictures"),
        (["--pixel-size", "3"], "size a multiple of pixel_size"),
        (["--source", "folder", "nowhere"], '"nowhere" is not a folder'),
    ],
)
def test_what_cannot_be_prepared_is_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        run(tmp_path, *options)
