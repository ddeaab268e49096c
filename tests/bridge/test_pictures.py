"""Pictures of callers: whatever a file holds becomes the same square of floats, or is refused before it costs anything."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from bridge import images, pictures
from bridge.errors import InvalidArgument, ResourceExhausted, ServiceError
from bridge.v1 import asset_pb2

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MOST = 1 << 24


def read(data, size_px=8, channels=4, most=MOST):
    return pictures.from_file(data, size_px, channels, max_pixels=most, field="file")


def file(picture, image_format="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def noise(width=8, height=8, mode="RGB", seed=0):
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return PillowImage.fromarray(pixels.squeeze())


def bytes_of(floats):
    """Return straight pixels uint8[H, W, C] of an encoder's picture."""
    return images.quantise(floats)[0]


def head_of_png(width, height, data=b""):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_of_the_contract_is_read(image_format):
    flat = PillowImage.new("RGB", (8, 8), (200, 100, 50))
    rgba = bytes_of(read(file(flat, image_format)))
    assert np.abs(rgba.astype(int) - (200, 100, 50, 255)).max() <= 3


def test_a_picture_of_the_right_size_is_taken_pixel_by_pixel():
    picture = noise()
    np.testing.assert_array_equal(bytes_of(read(file(picture), channels=3)), np.asarray(picture))


@given(st.integers(0, 1000))
def test_premultiplied_and_back_is_within_a_level_where_alpha_is_large(seed):
    pixels = np.asarray(noise(mode="RGBA", seed=seed)).copy()
    pixels[..., 3] |= 0x80
    back = bytes_of(read(file(PillowImage.fromarray(pixels))))
    assert np.abs(back.astype(int) - pixels).max() <= 1
    np.testing.assert_array_equal(back[..., 3], pixels[..., 3])


def test_transparent_is_nothing_in_rgba_and_white_in_rgb():
    data = file(PillowImage.new("RGBA", (8, 8), (200, 100, 50, 0)))
    assert (read(data) == -1).all()
    assert (read(data, channels=3) == 1).all()


def test_colours_never_exceed_alpha_after_resizing():
    pixels = np.zeros((19, 19, 4), np.uint8)
    pixels[4:15, 4:15] = 255
    floats = read(file(PillowImage.fromarray(pixels)))
    assert (floats[:, :3] <= floats[:, 3:]).all()


@pytest.mark.parametrize("size", [(24, 8), (8, 24), (32, 16)])
def test_the_square_in_the_middle_is_taken(size):
    picture = PillowImage.new("RGB", size, "red")
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    picture.paste((0, 0, 255), (left, top, left + side, top + side))
    assert (bytes_of(read(file(picture), channels=3)) == (0, 0, 255)).all()


@pytest.mark.parametrize("factor", [2, 16])
def test_pixel_art_that_was_enlarged_comes_back_as_it_was(factor):
    picture = noise(8, 8)
    large = picture.resize((8 * factor, 8 * factor), PillowImage.Resampling.NEAREST)
    np.testing.assert_array_equal(bytes_of(read(file(large), channels=3)), np.asarray(picture))
    np.testing.assert_array_equal(bytes_of(read(file(picture), 8 * factor, 3)), np.asarray(large))


def test_a_camera_held_sideways_is_turned_upright():
    picture = noise(8, 8)
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned = picture.transpose(PillowImage.Transpose.ROTATE_90)
    np.testing.assert_array_equal(bytes_of(read(file(turned, exif=exif), channels=3)), np.asarray(picture))


GREY = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (PillowImage.fromarray(GREY), np.repeat(np.round(GREY / 257)[..., None], 3, axis=2)),
        (PillowImage.new("CMYK", (8, 8), (0, 255, 255, 0)), (255, 0, 0)),
        (PillowImage.new("1", (8, 8), 1), (255, 255, 255)),
        (PillowImage.new("L", (8, 8), 77), (77, 77, 77)),
        (PillowImage.new("LA", (8, 8), (77, 255)), (77, 77, 77)),
        (PillowImage.new("RGB", (8, 8), (9, 99, 199)).quantize(4), (9, 99, 199)),
    ],
    ids=["16 bits", "CMYK", "1 bit", "grey", "grey with alpha", "palette"],
)
def test_other_pixels_than_rgb_are_read_in_full(picture, expected):
    image_format = "JPEG" if picture.mode == "CMYK" else "PNG"
    options = {"quality": 100} if image_format == "JPEG" else {}
    rgb = bytes_of(read(file(picture, image_format, **options), channels=3))
    assert np.abs(rgb.astype(int) - expected).max() <= (3 if image_format == "JPEG" else 0)


def test_a_transparent_colour_of_a_palette_is_transparent():
    picture = PillowImage.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.putpixel((0, 0), 0)
    rgba = bytes_of(read(file(picture, transparency=0)))
    assert rgba[0, 0].tolist() == [0, 0, 0, 0]
    assert rgba[1, 1].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_picture_counts(image_format):
    parts = [PillowImage.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = file(parts[0], image_format, save_all=True, append_images=parts[1:], **options)
    assert (bytes_of(read(data, channels=3)) == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@given(width=st.integers(8, 70), height=st.integers(8, 70), size_px=st.sampled_from([8, 32]), channels=st.sampled_from([3, 4]))
def test_any_size_gives_a_square_within_the_range(mode, width, height, size_px, channels):
    floats = read(file(noise(width, height, mode)), size_px, channels)
    assert (floats.shape, floats.dtype) == ((1, channels, size_px, size_px), np.float32)
    assert floats.min() >= -1
    assert floats.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (7, 8), (8, 7), (4000, 1)])
def test_a_picture_with_nothing_to_see_is_refused(size):
    with pytest.raises(InvalidArgument, match=f"has {size[0]} x {size[1]} px, expected at least 8 x 8"):
        read(file(PillowImage.new("RGB", size)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"hello",
        b"<svg/>" * 9,
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
    ],
)
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(InvalidArgument, match="expected a file of PNG, JPEG, WEBP, BMP or GIF") as caught:
        read(data)
    assert "BytesIO" not in str(caught.value)


def test_formats_that_are_not_offered_are_refused():
    for image_format in ("TIFF", "PPM", "ICO", "TGA"):
        with pytest.raises(InvalidArgument, match="no picture that can be read"):
            read(file(noise(), image_format))


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_file_that_is_cut_off_is_refused(image_format):
    data = file(noise(64, 64), image_format)
    with pytest.raises(InvalidArgument, match=f"{len(data) // 2} bytes are no picture"):
        read(data[: len(data) // 2])


@pytest.mark.parametrize("image_format", FORMATS)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8), kept=st.floats(0.1, 1))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(image_format, edits, kept):
    data = bytearray(file(noise(16, 16), image_format))
    for place, byte in edits:
        data[int(place * (len(data) - 1))] = byte
    try:
        floats = read(bytes(data[: int(kept * len(data))]), most=1 << 16)
    except ServiceError:
        return
    assert np.isfinite(floats).all()


@pytest.mark.parametrize("size", [(4097, 4096), (9_500, 9_500), (20_000, 20_000), (2**31 - 1, 2**31 - 1), (8, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_head_without_memory(size):
    zeros = zlib.compressobj(9)
    data = head_of_png(*size, zeros.compress(bytes(50 << 20)) + zeros.flush())
    tracemalloc.start()
    with pytest.raises(ResourceExhausted, match=f"expected at most {MOST} pixels|has more than {MOST} pixels"):
        read(data)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_large_photograph_is_read():
    assert read(file(PillowImage.new("RGB", (4096, 4096), "navy"), "JPEG"), 32, 3).shape == (1, 3, 32, 32)


def message(picture, **fields):
    width, height = picture.size
    image = {"format": asset_pb2.IMAGE_FORMAT_RGBA8, "width_px": width, "height_px": height}
    return asset_pb2.Image(**({"data": picture.convert("RGBA").tobytes()} | image | fields))


def from_image(image, channels=3):
    return pictures.from_image(image, 8, channels, max_pixels=MOST, field="pixels")


def test_pixels_files_and_both_row_orders_give_the_same_picture():
    picture = noise()
    expected = read(file(picture), channels=3)
    flipped = message(picture.transpose(PillowImage.Transpose.FLIP_TOP_BOTTOM), row_origin=asset_pb2.ROW_ORIGIN_BOTTOM_LEFT)
    png = asset_pb2.Image(format=asset_pb2.IMAGE_FORMAT_PNG, data=file(picture))
    for image in (message(picture), flipped, png):
        np.testing.assert_array_equal(from_image(image), expected)


@pytest.mark.parametrize(("size", "levels", "count"), [((9, 20), 5, 932), ((8, 8), 1 << 31, 340), ((8, 8), 3, 256)])
def test_declared_mip_levels_may_follow_the_full_size(size, levels, count):
    picture = noise(*size)
    full = picture.convert("RGBA").tobytes()
    with_mips = message(picture, data=full + bytes(count - len(full)), mip_levels=levels)
    np.testing.assert_array_equal(from_image(with_mips), from_image(message(picture)))


def test_an_answer_with_mip_levels_is_taken_by_its_full_size():
    wanted = images.check_spec(asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, mip_levels=4), 8, "image")
    answer = images.encode(np.asarray(noise()), wanted)
    np.testing.assert_array_equal(bytes_of(from_image(answer)), np.asarray(noise()))


@pytest.mark.parametrize(
    ("image", "field", "text"),
    [
        (message(noise(), format=0), "pixels.format", "expected RGBA8, PNG or JPEG"),
        (message(noise(), format=9), "pixels.format", "is 9"),
        (message(noise(), row_origin=7), "pixels.row_origin", "is 7"),
        (message(noise(), data=b"123"), "pixels.data", "3 bytes for 8 x 8 px of RGBA8, expected 256$"),
        (message(noise(), data=bytes(8 * 256)), "pixels.data", "2048 bytes for 8 x 8 px of RGBA8, expected 256$"),
        (message(noise(), data=bytes(257), mip_levels=1), "pixels.data", "257 bytes for 8 x 8 px of RGBA8, expected 256$"),
        (
            message(noise(), data=bytes(400), mip_levels=2),
            "pixels.data",
            "400 bytes for 8 x 8 px of RGBA8, expected 256, or 320 with 2 mip levels",
        ),
        (message(noise(), width_px=7), "pixels", "has 7 x 8 px"),
        (message(noise(), format=asset_pb2.IMAGE_FORMAT_JPEG, data=file(noise())), "pixels.data", "expected a file of JPEG"),
    ],
)
def test_an_image_that_contradicts_itself_is_refused_by_its_field(image, field, text):
    with pytest.raises(InvalidArgument, match=text) as caught:
        from_image(image)
    assert caught.value.field == field
