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


def premultiplied(pixels):
    """Return the float32[1, 4, H, W] that a generator would give for straight pixels uint8[H, W, 4]."""
    light = pixels.astype(np.float64) / 255
    light[..., :3] *= light[..., 3:]
    return (light.transpose(2, 0, 1)[None] * 2 - 1).astype(np.float32)


def rgba_picture(size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 4), np.uint8)


@given(st.integers(0, 1000))
def test_straight_pixels_come_back_from_premultiplied_floats(seed):
    pixels = rgba_picture(seed=seed)
    back = images.quantise(premultiplied(pixels))[0]
    np.testing.assert_array_equal(back[..., 3], pixels[..., 3])
    seen = pixels[..., 3] > 0
    assert np.abs(back.astype(int) - pixels)[seen].max() <= 1


@given(st.lists(st.floats(-1.5, 1.5, width=32), min_size=16, max_size=16))
def test_a_pixel_whose_alpha_rounds_to_0_is_nothing(values):
    floats = np.array(values, np.float32).reshape(1, 4, 2, 2)
    rgba = images.quantise(floats)
    assert (rgba[rgba[..., 3] == 0] == 0).all()


@pytest.mark.parametrize("alpha", [-1.0, -1.5, -0.9961])
def test_a_colour_without_alpha_is_nothing(alpha):
    assert images.quantise(np.array([1, 1, 1, alpha], np.float32).reshape(1, 4, 1, 1)).ravel().tolist() == [0, 0, 0, 0]


@given(SIZES, st.integers(0, 1000))
def test_down_averages_rgba_as_premultiplied_light(size, seed):
    pixels = rgba_picture(64, seed)
    factor = 64 // size
    light = (premultiplied(pixels)[0].transpose(1, 2, 0).astype(np.float64) + 1) / 2
    exact = light.reshape(size, factor, size, factor, 4).mean(axis=(1, 3))
    sized = images.resize(pixels, size)
    assert np.abs(sized[..., 3] - exact[..., 3] * 255).max() <= 0.501
    seen = sized[..., 3] > 0
    straight = exact[..., :3][seen] / exact[..., 3:][seen] * 255
    assert np.abs(sized[..., :3][seen] - straight).max() <= 0.501


def test_the_edge_of_a_figure_keeps_its_colour_in_every_mip_level():
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :5] = (240, 180, 140, 255)
    for level in levels_of(encoded(pixels, format=RGBA8, mip_levels=5)):
        seen = level[..., 3] > 0
        assert (level[seen][:, :3] == (240, 180, 140)).all()
        assert (level[~seen] == 0).all()
    assert levels_of(encoded(pixels, format=RGBA8, mip_levels=5))[-1][0, 0].tolist() == [240, 180, 140, round(255 * 5 / 16)]


@given(SIZES, st.integers(0, 100))
def test_opaque_rgba_is_resized_as_rgb(size, seed):
    pixels = picture(64, seed)
    rgba = np.concatenate([pixels, np.full((64, 64, 1), 255, np.uint8)], axis=2)
    np.testing.assert_array_equal(images.resize(rgba, size)[..., :3], images.resize(pixels, size))


@pytest.mark.parametrize("size_px", [0, 16])
def test_a_png_keeps_alpha_as_rgba8_has_it(size_px):
    pixels = images.quantise(premultiplied(rgba_picture()))[0]
    png, raw = encoded(pixels, size_px=size_px), encoded(pixels, format=RGBA8, size_px=size_px)
    with PillowImage.open(io.BytesIO(png.data)) as opened:
        assert opened.mode == "RGBA"
        assert np.asarray(opened).tobytes() == raw.data


def test_a_jpeg_lies_on_white():
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[8:] = (0, 0, 0, 128)
    with PillowImage.open(io.BytesIO(encoded(pixels, format=JPEG).data)) as opened:
        assert opened.mode == "RGB"
        assert np.abs(np.asarray(opened)[:6].astype(int) - 255).max() <= 2
        assert np.abs(np.asarray(opened)[10:].astype(int) - 127).max() <= 2


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
