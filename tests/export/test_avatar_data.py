"""Rules of the data sets: the same arguments give the same pictures, and a bad file never stops a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.avatar import data, dicebear_faces
from export.avatar.data import Dataset


def faces(cache: Path, seed: int = 1, count: int = 12) -> Dataset:
    return data.load("pixel-art", "", "", size=32, count=count, seed=seed, cache=cache)


def folder(path: Path, cache: Path, size: int = 32) -> Dataset:
    return data.load("folder", str(path), "CC0-1.0", size=size, count=0, seed=1, cache=cache)


def test_faces_depend_on_the_seed_alone(tmp_path: Path) -> None:
    first, again, other = faces(tmp_path / "a"), faces(tmp_path / "b"), faces(tmp_path / "a", seed=2)
    assert np.array_equal(first.images, again.images)
    assert first.labels == again.labels
    assert not np.array_equal(first.images, other.images)


def test_more_faces_begin_with_the_same_ones(tmp_path: Path) -> None:
    assert np.array_equal(faces(tmp_path, count=4).images, faces(tmp_path, count=12).images[:4])


def test_faces_come_from_the_cache_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = faces(tmp_path)
    monkeypatch.setattr(dicebear_faces, "draw", lambda *_: pytest.fail("drawn again"))
    second = faces(tmp_path)
    assert np.array_equal(first.images, second.images)
    assert first.labels == second.labels


def test_faces_are_drawn_on_their_pixel_grid(tmp_path: Path) -> None:
    blocks = faces(tmp_path).images.reshape(12, 3, 16, 2, 16, 2)
    flat = (blocks.max(axis=(3, 5)) == blocks.min(axis=(3, 5))).mean()
    assert flat > 0.99


def test_labels_say_what_the_picture_shows(tmp_path: Path) -> None:
    dataset = faces(tmp_path)
    assert (dataset.name, dataset.licence) == ("DiceBear pixel-art", "CC0-1.0")
    for image, label in zip(dataset.images, dataset.labels, strict=True):
        assert {"skinColor", "eyesVariant", "mouthVariant", "clothesVariant"} <= label.keys()
        expected = bytes.fromhex(label["backgroundColor"].removeprefix("#"))
        corners = {tuple(image[:, y, x].tolist()) for y, x in ((0, 0), (0, -1))}
        assert tuple(expected) in corners


def test_an_unknown_style_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='"toon" is not built in; use one of'):
        data.load("toon", "", "", size=32, count=1, seed=1, cache=tmp_path)


def write_pictures(path: Path) -> None:
    path.mkdir()
    Image.new("RGB", (100, 50), "red").save(path / "a-wide.png")
    Image.new("L", (20, 90), 128).save(path / "b-grey.jpg")
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(path / "c-clear.png")
    (path / "deeper").mkdir()
    Image.new("P", (8, 8), 0).save(path / "deeper" / "d-palette.gif")


def test_a_folder_gives_square_pictures_of_one_size(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in")
    dataset = folder(tmp_path / "in", tmp_path / "cache", size=64)
    assert dataset.images.shape == (4, 3, 64, 64)
    assert dataset.images.dtype == np.uint8
    assert dataset.images[0, :, 32, 32].tolist() == [255, 0, 0]
    assert abs(int(dataset.images[1, 0, 32, 32]) - 128) <= 2
    assert dataset.images[2].min() == 255
    assert (dataset.name, dataset.licence, len(dataset.labels)) == ("folder in", "CC0-1.0", 4)


def test_the_middle_of_a_picture_is_kept() -> None:
    picture = Image.new("RGB", (96, 32), "blue")
    picture.paste("white", (32, 0, 64, 32))
    assert data.centre_crop(picture, 32).min() == 255


def test_bad_files_are_named_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "in")
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "in" / "empty.jpg").write_bytes(b"")
    whole = (tmp_path / "in" / "a-wide.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "notes.txt").write_text("ignored")
    dataset = folder(tmp_path / "in", tmp_path / "cache")
    assert len(dataset.images) == 4
    output = capsys.readouterr().out
    for name in ("bad.png", "empty.jpg", "cut.png"):
        assert f"{name}:" in output
    assert "notes.txt" not in output


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in")
    assert len(folder(tmp_path / "in", tmp_path / "cache").images) == 4
    Image.new("RGB", (40, 40), "green").save(tmp_path / "in" / "e.png")
    assert len(folder(tmp_path / "in", tmp_path / "cache").images) == 5


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no picture; expected a folder with files"):
        folder(tmp_path, tmp_path / "cache")
    with pytest.raises(ValueError, match="holds no picture"):
        folder(tmp_path / "missing", tmp_path / "cache")
    (tmp_path / "bad.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="none of the 1 files"):
        folder(tmp_path, tmp_path / "cache")
