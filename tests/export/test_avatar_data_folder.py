"""Rules of folders of pictures: every kind of picture is read as it looks, and what cannot be read is named and skipped."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from export.avatar import data, picture_folder
from export.avatar.data import Dataset
from export.avatar.picture_folder import prepare

ORIENTATION = 0x0112


def folder(path: Path, cache: Path, **changes: Any) -> Dataset:
    return data.load("folder", str(path), "CC0-1.0", **{"size": 32, "cache": cache, "minimum": 1} | changes)


def middle(path: Path, channels: int = 4) -> list[int]:
    """The colour in the middle of a file's picture, premultiplied."""
    return [int(value) for value in picture_folder.read(path, 32)[:channels, 16, 16]]


def near(colour: list[int], expected: tuple[int, ...], tolerance: int = 2) -> bool:
    return len(colour) == len(expected) and max(abs(a - b) for a, b in zip(colour, expected, strict=True)) <= tolerance


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG file written by hand, for what Pillow does not write: any size in the header, 16-bit colours."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_pictures_of_any_size_become_squares_of_one_size(tmp_path: Path) -> None:
    for name, size in {"wide.png": (100, 50), "high.jpg": (40, 90), "small.bmp": (16, 16), "deep/er.webp": (64, 64)}.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "red").save(tmp_path / "in" / name)
    dataset = folder(tmp_path / "in", tmp_path / "cache", size=64)
    assert dataset.images.shape == (4, 3, 64, 64)
    assert dataset.images.dtype == np.uint8
    assert np.abs(dataset.images.astype(int) - np.array([255, 0, 0])[:, None, None]).max() <= 2
    sheet = dataset.datasheet
    assert (dataset.name, dataset.licence, dataset.labels) == ("folder in", "CC0-1.0", [{}] * 4)
    assert (sheet.count, sheet.left_out, sheet.channels, sheet.redistributable) == (4, 0, 3, False)


def test_the_middle_of_a_picture_is_kept() -> None:
    picture = Image.new("RGB", (96, 32), "blue")
    picture.paste("white", (32, 0, 64, 32))
    assert prepare(picture, 32).min() == 255


def test_a_camera_that_was_held_sideways_is_turned_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 32), "white")
    picture.paste("red", (0, 0, 64, 16))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the top of the scene is at the right edge of the file
    picture.save(tmp_path / "a.png", exif=exif)
    image = picture_folder.read(tmp_path / "a.png", 32)
    assert image[:3, 16, 28].tolist() == [255, 0, 0]
    assert image[:3, 16, 4].tolist() == [255, 255, 255]


def save_palette(path: Path) -> None:
    Image.new("RGB", (32, 32), (10, 200, 30)).quantize(4).save(path)


def save_clear_palette(path: Path) -> None:
    picture = Image.new("P", (32, 32), 1)
    picture.putpalette([0, 0, 0, 10, 200, 30])
    picture.save(path, transparency=bytes([0, 128]))


def save_animated(path: Path) -> None:
    first, second = (Image.new("RGB", (32, 32), colour) for colour in ((10, 200, 30), (255, 0, 255)))
    first.save(path, save_all=True, append_images=[second], duration=100)


def save_colour_key(path: Path) -> None:
    Image.new("RGB", (32, 32), (10, 200, 30)).save(path, transparency=(10, 200, 30))


def save_grey16(path: Path) -> None:
    Image.fromarray(np.full((32, 32), 0x8080, np.uint16)).save(path)


def save_rgb16(path: Path) -> None:
    pixel = struct.pack(">HHH", 0x0A0A, 0xC8C8, 0x1E1E)
    path.write_bytes(png(32, 32, (b"\0" + pixel * 32) * 32, depth=16))


def save_rgba16(path: Path) -> None:
    pixel = struct.pack(">HHHH", 0x1414, 0xFFFF, 0x3C3C, 0x8080)
    path.write_bytes(png(32, 32, (b"\0" + pixel * 32) * 32, depth=16, colour=6))


def save_grey_alpha16(path: Path) -> None:
    pixel = struct.pack(">HH", 0xC8C8, 0x8080)
    path.write_bytes(png(32, 32, (b"\0" + pixel * 32) * 32, depth=16, colour=4))


def saver(mode: str, colour: Any) -> Callable[[Path], None]:
    return lambda path: Image.new(mode, (32, 32), colour).save(path)


@pytest.mark.parametrize(
    ("name", "save", "expected"),
    [
        ("grey.png", saver("L", 128), (128, 128, 128, 255)),
        ("grey-alpha.png", saver("LA", (200, 128)), (100, 100, 100, 128)),
        ("alpha.png", saver("RGBA", (20, 255, 60, 128)), (10, 128, 30, 128)),
        ("clear.png", saver("RGBA", (255, 0, 0, 0)), (0, 0, 0, 0)),
        ("one-bit.png", saver("1", 1), (255, 255, 255, 255)),
        ("cmyk.jpg", saver("CMYK", (245, 55, 225, 0)), (10, 200, 30, 255)),
        ("camera.jfif", lambda path: Image.new("RGB", (32, 32), (10, 200, 30)).save(path, "JPEG"), (10, 200, 30, 255)),
        ("cmyk.tif", saver("CMYK", (245, 55, 225, 0)), (10, 200, 30, 255)),
        ("palette.png", save_palette, (10, 200, 30, 255)),
        ("clear-palette.png", save_clear_palette, (5, 100, 15, 128)),
        ("colour-key.png", save_colour_key, (0, 0, 0, 0)),
        ("animated.gif", save_animated, (10, 200, 30, 255)),
        ("animated.webp", save_animated, (10, 200, 30, 255)),
        ("animated.png", save_animated, (10, 200, 30, 255)),
        ("grey16.png", save_grey16, (128, 128, 128, 255)),
        ("grey16.tif", save_grey16, (128, 128, 128, 255)),
        ("rgb16.png", save_rgb16, (10, 200, 30, 255)),
        ("rgba16.png", save_rgba16, (10, 128, 30, 128)),
        ("grey-alpha16.png", save_grey_alpha16, (100, 100, 100, 128)),
    ],
)
def test_every_kind_of_file_is_read_as_it_looks(
    tmp_path: Path, name: str, save: Callable[[Path], None], expected: tuple[int, ...]
) -> None:
    save(tmp_path / name)
    assert near(middle(tmp_path / name), expected, tolerance=8 if name.endswith(("gif", "webp", "jpg", "jfif")) else 1)


def test_dark_and_bright_greys_of_16_bits_stay_apart(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 32).astype(np.uint16), (32, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    row = picture_folder.read(tmp_path / "ramp.png", 32)[0, 16].astype(int)
    assert np.abs(row - np.linspace(0, 255, 32)).max() <= 1


@given(st.binary(min_size=256, max_size=256), st.sampled_from([4, 8, 16]))
@settings(max_examples=40)
def test_no_colour_exceeds_its_alpha(pixels: bytes, size: int) -> None:
    picture = Image.frombytes("RGBA", (8, 8), pixels)
    image = prepare(picture, size)
    assert image.shape == (4, size, size)
    assert (image[:3] <= image[3:]).all()


def test_the_colour_of_clear_pixels_does_not_bleed(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (128, 128), (0, 255, 0, 0))  # clear, but green underneath
    picture.paste((255, 0, 0, 255), (32, 32, 96, 96))
    assert prepare(picture, 32)[1].max() == 0


def test_transparency_anywhere_decides_the_channels(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (32, 32), "red").save(tmp_path / "in" / "a.png")
    assert folder(tmp_path / "in", tmp_path / "cache").images.shape[1] == 3
    assert folder(tmp_path / "in", tmp_path / "cache", channels=4).images.shape[1] == 4
    Image.new("RGBA", (32, 32), (255, 0, 0, 128)).save(tmp_path / "in" / "b.png")
    dataset = folder(tmp_path / "in", tmp_path / "cache")
    assert [image[:, 9, 9].tolist() for image in dataset.images] == [[255, 0, 0, 255], [128, 0, 0, 128]]
    flat = folder(tmp_path / "in", tmp_path / "cache", channels=3)
    assert flat.images[1, :, 9, 9].tolist() == [255, 127, 127]


def test_enlarged_pixel_art_comes_back_exactly() -> None:
    cells = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for factor in (1, 3, 5):
        picture = Image.fromarray(cells.repeat(factor, axis=0).repeat(factor, axis=1))
        image = prepare(picture, 32, pixel_size=2)
        assert np.array_equal(image[:3], cells.transpose(2, 0, 1).repeat(2, axis=1).repeat(2, axis=2))
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8))
    assert data.uniform(prepare(photo, 32, pixel_size=2), 2)


def write_good(path: Path, count: int = 3) -> None:
    path.mkdir()
    for index in range(count):
        Image.new("RGB", (40, 40), (80 * index, 100, 50)).save(path / f"good-{index}.png")


def skipped(path: Path, cache: Path) -> dict[str, str]:
    """Reads a folder with three good pictures in it; returns the others with their reasons."""
    dataset = folder(path, cache)
    assert len(dataset.images) == 3
    assert dataset.datasheet.left_out == len(dataset.left_out)
    return dict(dataset.left_out)


def test_bad_files_are_named_with_their_reason_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in"
    write_good(path)
    (path / "words.png").write_bytes(b"no picture")
    (path / "empty.jpg").write_bytes(b"")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for suffix in ("png", "jpg", "webp", "bmp", "gif", "tif"):
        buffer = io.BytesIO()
        noise.save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
        (path / f"cut.{suffix}").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    Image.new("F", (40, 40), 0.5).save(path / "float.tif")
    Image.new("RGB", (1, 1)).save(path / "dot.png")
    Image.new("RGB", (400, 3)).save(path / "line.png")
    (path / "notes.txt").write_text("ignored")
    reasons = skipped(path, tmp_path / "cache")
    assert reasons.pop("words.png").startswith("not a picture in one of the formats PNG, JPEG")
    assert reasons.pop("empty.jpg") == "the file is empty"
    assert reasons.pop("dot.png") == "1 x 1 pixels are too few for 32; at least 8 are needed"
    assert reasons.pop("line.png").startswith("400 x 3 pixels are too few")
    assert "no defined white" in reasons.pop("float.tif")
    assert sorted(reasons) == sorted(f"cut.{suffix}" for suffix in ("png", "jpg", "webp", "bmp", "gif", "tif"))
    assert all(reasons.values())
    output = capsys.readouterr().out
    assert "skipped empty.jpg: the file is empty" in output
    assert "read 3, skipped 11: " in output
    assert "notes.txt" not in output


def test_pictures_with_other_suffixes_are_named_and_other_files_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in"
    write_good(path, 2)
    Image.new("RGB", (40, 40), "red").save(path / "also.JFIF", "JPEG")
    for name in ("phone.HEIC", "web.avif", "drawn.svg"):
        (path / name).write_bytes(b"whatever")
    for name, image_format in {"loaded": "PNG", "photo.tmp": "JPEG", "b": "WEBP", "c.dat": "GIF", "d.part": "TIFF"}.items():
        Image.new("RGB", (40, 40)).save(path / name, image_format)
    for name in ("README.txt", "LICENSE", ".DS_Store", "labels.csv", "empty"):
        (path / name).write_bytes(b"notes" if name != "empty" else b"")
    os.mkfifo(path / "pipe")
    (path / "gone").symlink_to(path / "nowhere")
    reasons = skipped(path, tmp_path / "cache")
    assert reasons == {
        "phone.HEIC": ".heic files are not read; save it as PNG or JPEG",
        "web.avif": ".avif files are not read; save it as PNG or JPEG",
        "drawn.svg": ".svg files are not read; save it as PNG or JPEG",
        "loaded": "a picture without a suffix; name it loaded.png or .jpg",
        "b": "a picture without a suffix; name it b.png or .jpg",
        "photo.tmp": "a picture with the suffix .tmp; name it photo.png or .jpg",
        "c.dat": "a picture with the suffix .dat; name it c.png or .jpg",
        "d.part": "a picture with the suffix .part; name it d.png or .jpg",
    }
    assert "read 3, skipped 8: " in capsys.readouterr().out


def test_a_folder_of_pictures_that_are_not_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "phone.heic").write_bytes(b"whatever")
    with pytest.raises(ValueError, match=r"holds no picture; .*; phone\.heic \(\.heic files are not read; save it as PNG"):
        folder(tmp_path, tmp_path / "cache")


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "in"
    write_good(path)
    (path / "huge.png").write_bytes(png(20_000, 20_000, b""))
    (path / "above-pillows-warning.png").write_bytes(png(10_000, 10_000, b""))
    (path / "above-the-limit.png").write_bytes(png(8_001, 8_000, b""))
    (path / "bomb.png").write_bytes(png(60_000, 60_000, bytes(1 << 20)))
    reasons = skipped(path, tmp_path / "cache")
    assert sorted(reasons) == ["above-pillows-warning.png", "above-the-limit.png", "bomb.png", "huge.png"]
    assert reasons["above-the-limit.png"] == "8001 x 8000 pixels are too many; at most 64,000,000 are decoded"
    assert reasons["huge.png"] == "more than 64,000,000 pixels"


def test_large_jpegs_are_decoded_at_a_reduced_size(tmp_path: Path) -> None:
    Image.new("RGB", (4096, 2048), (10, 200, 30)).save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as picture:
        assert near([int(v) for v in prepare(picture, 32)[:3, 16, 16]], (10, 200, 30))
        assert picture.size == (512, 256)


def test_folders_links_and_pipes_that_look_like_pictures_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "in"
    write_good(path, 2)
    (path / "album.png").mkdir()
    Image.new("RGB", (40, 40)).save(path / "album.png" / "inside.png")
    (path / "loop.png").symlink_to(path / "loop.png")
    (path / "broken.png").symlink_to(path / "gone.png")
    (path / "again").symlink_to(path, target_is_directory=True)
    os.mkfifo(path / "pipe.png")
    reasons = skipped(path, tmp_path / "cache")
    assert reasons == {
        "album.png": "a folder, not a picture; the pictures in it are read",
        "again": "a link to a folder, which is not followed",
        "broken.png": "No such file or directory",
        "loop.png": "Too many levels of symbolic links",
        "pipe.png": "not a regular file",
    }


@contextmanager
def as_nobody() -> Iterator[None]:
    """Runs without root's right to read everything; another user stays who they are."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_unreadable_files_and_folders_are_skipped() -> None:
    Image.init()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "in"
        Path(name).chmod(0o777)
        write_good(path)
        for file in path.iterdir():
            file.chmod(0o644)
        Image.new("RGB", (40, 40)).save(path / "secret.png")
        (path / "secret.png").chmod(0)
        (path / "closed").mkdir(mode=0)
        path.chmod(0o755)
        with as_nobody():
            reasons = skipped(path, Path(name) / "cache")
        assert reasons == {"secret.png": "Permission denied", "closed": "the folder cannot be read: Permission denied"}
        (path / "secret.png").chmod(0o644)
        assert len(folder(path, Path(name) / "cache2").images) == 4


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    write_good(tmp_path / "in")
    assert len(folder(tmp_path / "in", tmp_path / "cache").images) == 3
    Image.new("RGB", (40, 40), "green").save(tmp_path / "in" / "more.png")
    assert len(folder(tmp_path / "in", tmp_path / "cache").images) == 4


def test_an_unchanged_folder_comes_from_the_cache_with_its_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_good(tmp_path / "in")
    (tmp_path / "in" / "empty.png").touch()
    first = folder(tmp_path / "in", tmp_path / "cache")
    monkeypatch.setattr(picture_folder, "read", lambda *_: pytest.fail("read again"))
    capsys.readouterr()
    second = folder(tmp_path / "in", tmp_path / "cache")
    assert np.array_equal(first.images, second.images)
    assert second.left_out == [("empty.png", "the file is empty")]
    assert "read 3, skipped 1: empty.png (the file is empty)" in capsys.readouterr().out


def test_too_few_pictures_are_an_error_with_the_reasons(tmp_path: Path) -> None:
    write_good(tmp_path / "in")
    (tmp_path / "in" / "empty.png").touch()
    with pytest.raises(
        ValueError,
        match=r'in" gave 3 of at least 50 pictures; 1 were skipped \(empty.png \(the file is empty\)\); '
        "add pictures; `data`, `pretrain`, `train` and `adapt` take so few with --minimum 3$",
    ):
        data.load("folder", str(tmp_path / "in"), size=32, cache=tmp_path / "cache")
    for file in (tmp_path / "in").glob("good-*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"gave 0 of at least 1 pictures; 1 were skipped .*; add pictures$"):
        folder(tmp_path / "in", tmp_path / "cache")


def test_many_skipped_files_are_listed_in_brief() -> None:
    text = picture_folder.summary(5, [(f"{index}.png", "the file is empty") for index in range(100)])
    assert text.startswith("read 5, skipped 100: 0.png (the file is empty)")
    assert text.endswith("and 90 more: 90 x the file is empty")


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no picture; expected files ending in"):
        folder(tmp_path, tmp_path / "cache")
    with pytest.raises(ValueError, match="is not a folder; expected a folder with files"):
        folder(tmp_path / "missing", tmp_path / "cache")
    (tmp_path / "album.png").mkdir()
    with pytest.raises(ValueError, match=r"holds no picture; .* album\.png \(a folder, not a picture"):
        folder(tmp_path, tmp_path / "cache")
    with pytest.raises(ValueError, match="a folder has no held-out pictures"):
        folder(tmp_path, tmp_path / "cache", split="held-out")
