"""Images: one rounding rule, sizes by powers of two, and the same pixels in every format."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from bridge import images
from bridge.errors import InvalidArgument
from bridge.v1 import asset_pb2

RGBA8, PNG, JPEG = asset_pb2.IMAGE_FORMAT_RGBA8, asset_pb2.IMAGE_FORMAT_PNG, asset_pb2.IMAGE_FORMAT_JPEG
SIZES = st.sampled_from([8, 16, 32, 64])


def picture(size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def request(native=8, **spec):
    return images.check_spec(asset_pb2.ImageSpec(**spec), native, "spec.image")


def encoded(pixels, **spec):
    return images.encode(pixels, request(len(pixels), **spec))


def levels_of(image):
    """Cut RGBA8 data into its mip levels uint8[size, size, 4]."""
    levels, start = [], 0
    for level in range(image.mip_levels):
        size = image.width_px >> level
        levels.append(np.frombuffer(image.data, np.uint8, size * size * 4, start).reshape(size, size, 4))
        start += size * size * 4
    assert start == len(image.data)
    return levels


@pytest.mark.parametrize(
    ("value", "byte"),
    [(-1.0, 0), (1.0, 255), (0.0, 128), (-2.0, 0), (7.0, 255), (-1 + 1 / 127.5, 1), (1 - 1 / 127.5, 254), (-0.998, 0)],
)
def test_a_float_becomes_the_nearest_byte(value, byte):
    pixels = images.quantise(np.full((1, 3, 1, 1), value, np.float32))
    assert pixels.ravel().tolist() == [byte] * 3


@given(st.lists(st.floats(-1.5, 1.5, width=32), min_size=12, max_size=12))
def test_rounding_is_never_off_by_more_than_half(values):
    floats = np.array(values, np.float32).reshape(1, 3, 2, 2)
    exact = np.clip((floats.astype(np.float64) + 1) * 127.5, 0, 255).transpose(0, 2, 3, 1)
    assert np.abs(images.quantise(floats) - exact).max() <= 0.5 + 1e-4


def test_channels_come_last_and_rows_stay_in_order():
    floats = np.full((1, 3, 2, 2), -1, np.float32)
    floats[0, 0, 0, 1] = floats[0, 2, 1, 0] = 1
    assert images.quantise(floats).tolist() == [[[[0, 0, 0], [255, 0, 0]], [[0, 0, 255], [0, 0, 0]]]]


@given(SIZES, SIZES)
def test_up_repeats_pixels_and_down_undoes_it(small, large):
    pixels = picture(min(small, large))
    up = images.resize(pixels, max(small, large))
    factor = max(small, large) // min(small, large)
    assert (up[::factor, ::factor] == pixels).all()
    assert (up[factor - 1 :: factor, factor - 1 :: factor] == pixels).all()
    assert (images.resize(up, min(small, large)) == pixels).all()


@given(SIZES, st.integers(0, 1000))
def test_down_averages_and_rounds_to_the_nearest(size, seed):
    pixels = picture(64, seed)
    factor = 64 // size
    exact = pixels.astype(np.float64).reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    assert np.abs(images.resize(pixels, size) - exact).max() <= 0.5


@pytest.mark.parametrize("size_px", [0, 8, 16, 64, 512])
def test_a_png_holds_the_pixels_of_rgba8(size_px):
    pixels = picture()
    png = encoded(pixels, format=PNG, size_px=size_px)
    raw = encoded(pixels, format=RGBA8, size_px=size_px)
    with PillowImage.open(io.BytesIO(png.data)) as opened:
        assert opened.format == "PNG"
        assert np.asarray(opened.convert("RGBA")).tobytes() == raw.data
    assert (png.width_px, png.height_px) == (raw.width_px, raw.height_px) == (size_px or 8,) * 2


def test_a_jpeg_is_close_to_the_pixels():
    pixels = images.resize(picture(8), 64)
    jpeg = encoded(pixels, format=JPEG)
    with PillowImage.open(io.BytesIO(jpeg.data)) as opened:
        assert opened.format == "JPEG"
        assert np.abs(np.asarray(opened).astype(int) - pixels).mean() < 8


def test_alpha_is_opaque():
    assert (levels_of(encoded(picture(), format=RGBA8))[0][..., 3] == 255).all()


def test_nothing_set_is_a_png_of_the_models_size_with_the_top_row_first():
    image = encoded(picture(16))
    assert (image.format, image.row_origin, image.width_px, image.mip_levels) == (PNG, asset_pb2.ROW_ORIGIN_TOP_LEFT, 16, 1)


def test_bottom_left_turns_the_rows_of_every_level():
    top = levels_of(encoded(picture(), format=RGBA8, mip_levels=4))
    bottom = levels_of(encoded(picture(), format=RGBA8, mip_levels=4, row_origin=asset_pb2.ROW_ORIGIN_BOTTOM_LEFT))
    for upright, turned in zip(top, bottom, strict=True):
        assert (upright[::-1] == turned).all()


def test_mip_levels_halve_down_to_one_pixel_and_average_the_full_size():
    levels = levels_of(encoded(picture(16), format=RGBA8, mip_levels=5))
    assert [len(level) for level in levels] == [16, 8, 4, 2, 1]
    exact = levels[0].astype(np.float64).mean(axis=(0, 1))
    assert np.abs(levels[-1][0, 0] - exact).max() <= 0.5


@given(SIZES, st.integers(0, 7))
def test_the_announced_bytes_are_those_that_come(size, mip_levels):
    wanted = request(8, format=RGBA8, size_px=size, mip_levels=min(mip_levels, size.bit_length()))
    assert len(images.encode(picture(), wanted).data) == wanted.rgba_bytes()


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"size_px": 7}, "size_px", "size is 7 px, expected a power of two from 8 to 4096, or 0"),
        ({"size_px": 4}, "size_px", "size is 4 px"),
        ({"size_px": 8192}, "size_px", "size is 8192 px"),
        ({"size_px": 2**32 - 1}, "size_px", "size is 4294967295 px"),
        ({"format": 4}, "format", "format is 4, expected one of"),
        ({"format": -1}, "format", "format is -1"),
        ({"row_origin": 3}, "row_origin", "row origin is 3"),
        ({"row_origin": -1, "format": RGBA8}, "row_origin", "row origin is -1"),
        ({"row_origin": 2}, "row_origin", "bottom-left with RGBA8"),
        ({"row_origin": 2, "format": JPEG}, "row_origin", "bottom-left with RGBA8"),
        ({"mip_levels": 5, "format": RGBA8}, "mip_levels", "5 mip levels, expected at most 4 for 8 px"),
        ({"mip_levels": 2}, "mip_levels", "at most 1 .* use RGBA8"),
        ({"mip_levels": 2**32 - 1, "format": RGBA8}, "mip_levels", "expected at most 4"),
    ],
)
def test_what_cannot_be_is_refused_by_field(spec, field, message):
    with pytest.raises(InvalidArgument, match=message) as caught:
        request(8, **spec)
    assert caught.value.field == f"spec.image.{field}"
