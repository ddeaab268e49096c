"""Rules of the user's height maps: formats, masks, units, and what is said of files that cannot be used."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from bridge.scene_rules import ground_classes
from export.scene import data, heightmap_file
from export.scene.classes import GROUND, METRES_PER_CELL, NOTHING
from export.scene.heightmap_file import Reading, read, resample
from export.scene.heightmap_folder import check_minimum, read_all, split_of

SIDE = 100
RAMP = np.linspace(0, 65535, SIDE * SIDE).reshape(SIDE, SIDE).round().astype(np.uint16)
METRES = (np.linspace(5.0, 40.0, SIDE)[:, None] + np.zeros(SIDE)).astype(np.float32)
GEOGRAPHIC = (1, 1, 0, 1, 1024, 0, 1, 2)
PROJECTED = (1, 1, 0, 1, 1024, 0, 1, 1)


def png(path: Path, samples: np.ndarray = RAMP) -> Path:
    Image.fromarray(samples).save(path)
    return path


def tiff(path: Path, samples: np.ndarray = METRES, scale: float = 0.0, keys: tuple[int, ...] = (), nodata: str = "") -> Path:
    tags = [(33550, 12, 3, (scale, scale, 0.0), True)] if scale else []
    tags += [(34735, 3, len(keys), keys, True)] if keys else []
    tags += [(42113, 2, len(nodata) + 1, nodata, True)] if nodata else []
    tifffile.imwrite(path, samples, extratags=tags)
    return path


def enormous_png(path: Path, side: int = 13_400, depth: int = 16) -> Path:
    """A grey PNG whose header promises so many pixels; those that it has are none."""
    header = struct.pack(">IIBBBBB", side, side, depth, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def lengthened(path: Path) -> None:
    """A TIFF that promises a million rows."""
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(1_000_000)


def test_a_png_of_16_bits_spans_low_to_high(tmp_path: Path) -> None:
    world = read(png(tmp_path / "ramp.png"), Reading(low=-10.0, high=90.0))
    assert world.cells == (SIDE - 1, SIDE - 1)
    assert world.height[0, 0] == pytest.approx(-10.0)
    assert world.height[-1, -1] == pytest.approx(90.0)


@pytest.mark.parametrize("suffix", [".raw", ".r16"])
def test_a_raw16_file_is_a_square_of_little_endian_samples(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"land{suffix}"
    path.write_bytes(RAMP.astype("<u2").tobytes())
    assert np.array_equal(read(path, Reading()).height, read(png(tmp_path / "ramp.png"), Reading()).height)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_a_tiff_holds_metres(tmp_path: Path, dtype: type) -> None:
    world = read(tiff(tmp_path / "dem.tif", METRES.astype(dtype)), Reading())
    assert np.allclose(world.height, METRES.astype(dtype), atol=1e-4)


def test_a_geotiff_says_how_far_its_samples_are_apart(tmp_path: Path) -> None:
    projected = read(tiff(tmp_path / "a.tif", scale=4.0, keys=PROJECTED), Reading())
    assert projected.cells == (198, 198)
    degrees = read(tiff(tmp_path / "b.tif", scale=4.0 / 111_320.0, keys=GEOGRAPHIC), Reading())
    assert degrees.cells == projected.cells


def test_reducing_keeps_the_slopes(tmp_path: Path) -> None:
    path = tiff(tmp_path / "dem.tif", METRES, scale=40.0, keys=PROJECTED)
    world = read(path, Reading(reduce=20.0))
    assert world.cells == (99, 99)
    assert np.allclose(world.height, METRES / 20.0, atol=1e-4)


def test_resampling_a_plane_gives_the_plane() -> None:
    plane = np.add.outer(np.arange(50.0), 2.0 * np.arange(60.0))
    fine = resample(plane, (0.5, 0.5))
    assert fine.shape == (99, 119)
    inner = np.s_[10:-10, 10:-10]
    assert np.allclose(fine[inner], np.add.outer(np.arange(99) * 0.5, np.arange(119.0))[inner], atol=1e-3)
    coarse = resample(plane, (2.0, 2.0))[5:-5, 5:-5]
    assert np.allclose(coarse, np.add.outer(np.arange(25) * 2.0, np.arange(30) * 4.0)[5:-5, 5:-5], atol=0.01)


def test_ground_comes_from_the_rule_and_objects_are_none_without_masks(tmp_path: Path) -> None:
    world = read(tiff(tmp_path / "dem.tif", METRES - 20.0), Reading())
    assert np.array_equal(world.ground, ground_classes(world.height, METRES_PER_CELL, GROUND))
    assert set(np.unique(world.objects)) == {NOTHING}


def test_masks_give_the_classes(tmp_path: Path) -> None:
    path = png(tmp_path / "ramp.png")
    ground = np.zeros((SIDE, SIDE), np.uint8)
    ground[:, 50:] = 5
    objects = np.full((SIDE - 1, SIDE - 1), 3, np.uint8)
    png(tmp_path / "ramp.ground.png", ground)
    png(tmp_path / "ramp.objects.png", objects)
    world = read(path, Reading())
    assert (world.ground[:, :49] == 0).all()
    assert (world.ground[:, 51:] == 5).all()
    assert (world.objects == 3).all()


def holed() -> np.ndarray:
    samples = METRES.copy()
    samples[3, 4] = -9999.0
    return samples


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("empty.png", lambda path: path.write_bytes(b""), "the file is empty"),
        ("text.png", lambda path: path.write_bytes(b"no picture at all"), "not a readable PNG"),
        ("eight.png", lambda path: png(path, RAMP.astype(np.uint8)), "mode L; height maps are 16-bit grey"),
        ("odd.raw", lambda path: path.write_bytes(b"x" * 1002), "1002 bytes are not a square of 16-bit samples"),
        ("cut.tif", lambda path: path.write_bytes(tiff(path).read_bytes()[:300]), "not a readable TIFF"),
        ("junk.tif", lambda path: path.write_bytes(b"II*\0" + b"\xff" * 60), "not a readable TIFF"),
        (
            "far.tif",
            lambda path: path.write_bytes(b"II*\0\xfe\xff\xff\xfe" + b"\0" * 60),
            "not a readable TIFF: it holds no picture",
        ),
        ("rgb.tif", lambda path: tiff(path, np.zeros((70, 70, 3), np.uint8)), "expected one channel"),
        ("hole.tif", lambda path: tiff(path, holed(), nodata="-9999"), "1 heights are missing"),
        ("nan.tif", lambda path: tiff(path, np.full((70, 70), np.nan, np.float32)), "4,900 heights are missing"),
        ("feet.tif", lambda path: tiff(path, METRES * 1000.0), r"heights from 5000 to 40000 metres; expected -12000 to 9000"),
        ("tiny.tif", lambda path: tiff(path, METRES[:30]), "covers 30 x 100 vertices 2 m apart; a tile needs 65 x 65"),
        ("bomb.png", enormous_png, "more than the 67,108,864 samples that are read; cut it into parts"),
        (
            "large.png",
            lambda path: enormous_png(path, side=8_200),
            "8,200 x 8,200 samples; 2 x 2 to 67,108,864 in all are read",
        ),
        ("large.raw", lambda path: sparse(path, 2 * 8_200**2), "8,200 x 8,200 samples; 2 x 2 to 67,108,864 in all are read"),
        (
            "large.tif",
            lambda path: lengthened(tiff(path)),
            "a TIFF of [1000000, 100] samples; 2 x 2 to 67,108,864 in all are read",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_reason_and_skipped(tmp_path: Path, name: str, write: object, words: str) -> None:
    write(tmp_path / name)
    png(tmp_path / "good.png")
    folder = read_all(tmp_path, Reading())
    assert [world.name for world in folder.worlds] == ["good.png"]
    ((found, reason),) = folder.left_out
    assert found == name
    assert words in reason


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((50, 50), np.uint8), r"has \(50, 50\) pixels, the heights \(100, 100\)"),
        (np.full((SIDE, SIDE), 8, np.uint8), "has class 8; known are 0 to 7: water, sand"),
        (np.zeros((SIDE, SIDE, 3), np.uint8), "has mode RGB; expected 8-bit grey"),
    ],
)
def test_a_bad_mask_is_refused(tmp_path: Path, mask: np.ndarray, words: str) -> None:
    path = png(tmp_path / "ramp.png")
    png(tmp_path / "ramp.ground.png", mask)
    with pytest.raises(ValueError, match=words):
        read(path, Reading())


def test_an_enormous_or_damaged_mask_skips_its_file_and_no_other(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        png(tmp_path / f"{name}.png")
    enormous_png(tmp_path / "a.ground.png", depth=8)
    (tmp_path / "b.objects.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    folder = read_all(tmp_path, Reading())
    assert [world.name for world in folder.worlds] == ["c.png"]
    (first, why), (second, because) = folder.left_out
    assert (first, second) == ("a.png", "b.png")
    assert why.startswith("a.ground.png: more than the 67,108,864")
    assert because.startswith("b.objects.png")


def test_a_map_that_would_become_too_large_is_refused_with_the_reduction_that_does(tmp_path: Path) -> None:
    """A map in degrees of this size would be 300 million vertices; nothing of that is allocated."""
    path = tiff(tmp_path / "srtm.tif", np.tile(METRES, (2, 2)), scale=1.0 / 640.0, keys=GEOGRAPHIC)
    with pytest.raises(ValueError, match=r"covers 17307 x 17307 .* give --reading\.reduce 2\.2, or cut it") as refused:
        read(path, Reading())
    reduce = float(str(refused.value).split("--reading.reduce ")[1].split(",")[0])
    assert heightmap_file.MAX_SAMPLES * 0.8 < (17307 / reduce) ** 2 < heightmap_file.MAX_SAMPLES
    assert read(path, Reading(reduce=100.0)).cells == (173, 173)


def test_too_few_height_maps_stop_with_the_reasons(tmp_path: Path) -> None:
    png(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"gave 1 of at least 2 height maps; 1 were skipped \(bad.png \(the file is empty\)\)"):
        data.load("folder", str(tmp_path))
    with pytest.raises(ValueError, match="gave 0 of at least 1"):
        check_minimum(tmp_path, 0, [], 0)


def test_a_folder_without_height_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no height map"):
        read_all(tmp_path, Reading())
    with pytest.raises(ValueError, match="is not a folder"):
        read_all(tmp_path / "none", Reading())


def test_files_are_split_by_name_and_a_single_one_by_its_columns(tmp_path: Path) -> None:
    for number in range(7):
        png(tmp_path / f"{number}.png")
    worlds = read_all(tmp_path, Reading()).worlds
    assert [world.name for world in split_of(worlds, "held-out")] == ["6.png"]
    assert [world.name for world in split_of(worlds, "train")] == [f"{number}.png" for number in range(6)]
    wide = read(png(tmp_path / "wide.png", np.tile(RAMP, (1, 3))), Reading())
    train, held_out = (split_of([wide], split)[0] for split in ("train", "held-out"))
    assert train.cells[1] + 8 + held_out.cells[1] == wide.cells[1]
    assert np.array_equal(held_out.height, wide.height[:, -held_out.height.shape[1] :])
    with pytest.raises(ValueError, match="to hold a part out it needs 136 columns"):
        split_of(worlds[:1], "train")


def test_a_folder_becomes_a_data_set(tmp_path: Path) -> None:
    for number in range(3):
        png(tmp_path / f"{number}.png")
    train, held_out = (data.load("folder", str(tmp_path), "CC0-1.0", split=split) for split in ("train", "held-out"))
    assert (len(train.worlds), len(held_out.worlds)) == (2, 1)
    assert train.datasheet.licence == "CC0-1.0"
    assert not train.datasheet.redistributable


@pytest.mark.parametrize(
    "options", [{"metres_per_sample": 0.0}, {"reduce": -1.0}, {"low": 5.0, "high": 5.0}, {"reduce": float("inf")}]
)
def test_an_impossible_reading_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0 and low below high"):
        Reading(**options)
