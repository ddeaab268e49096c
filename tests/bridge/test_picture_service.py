"""Pictures: codes of the nearest colours, images of codes, and errors that name what is wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import sidecar_in_thread
from picture_cases import png
from PIL import Image
from tiny_picture import colours, write_picture

from bridge import tensors
from bridge.client import Client, ClientError
from bridge.config import Limits
from bridge.images import quantise
from bridge.v1 import asset_pb2

RGBA = asset_pb2.IMAGE_FORMAT_RGBA8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("mosaics")
    write_picture(models)
    return models


@pytest.fixture(scope="module")
def mosaic(folder: Path):
    """A client of a sidecar with the tiny model, which takes four pictures in a call and messages of 64 kB."""
    limits = Limits(max_pictures=4, max_message_bytes=1 << 16)
    with sidecar_in_thread(folder, limits=limits) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        yield client


def drawn(codes: np.ndarray) -> np.ndarray:
    """Return what the tiny model makes of codes [N, 4, 4], uint8[N, 16, 16, 3]."""
    picture = colours()[codes].repeat(4, axis=1).repeat(4, axis=2)
    return quantise(picture.transpose(0, 3, 1, 2))


def some_codes(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, 8, (rows, 4, 4)).astype(np.uint16)


def test_codes_are_decoded_to_the_pictures_of_their_colours(mosaic: Client) -> None:
    answer = mosaic.decode_pictures("mosaic", some_codes())
    assert answer.model.name == "mosaic"
    for image, expected in zip(answer.images, drawn(some_codes()), strict=True):
        assert (image.width_px, image.height_px, image.format) == (16, 16, asset_pb2.IMAGE_FORMAT_PNG)
        with Image.open(io.BytesIO(image.data)) as picture:
            np.testing.assert_array_equal(np.asarray(picture), expected)


def test_pictures_of_codes_are_encoded_to_the_codes(mosaic: Client) -> None:
    files = [image.data for image in mosaic.decode_pictures("mosaic", some_codes()).images]
    answer = mosaic.encode_pictures("mosaic", files)
    np.testing.assert_array_equal(tensors.to_array(answer.codes, "codes"), some_codes())
    assert max(answer.pixel_distances) < 1 / 255


def test_distances_say_what_a_picture_loses(mosaic: Client) -> None:
    answer = mosaic.encode_pictures("mosaic", [png(1), png(2, side=64)])
    found = drawn(tensors.to_array(answer.codes, "codes")).astype(float)
    for file, picture, distance in zip([png(1), png(2)], found, answer.pixel_distances, strict=True):
        with Image.open(io.BytesIO(file)) as opened:
            assert np.abs(np.asarray(opened) - picture).mean() / 255 == pytest.approx(distance, abs=0.002)


def test_images_come_as_they_are_asked_for(mosaic: Client) -> None:
    spec = asset_pb2.ImageSpec(format=RGBA, row_origin=asset_pb2.ROW_ORIGIN_BOTTOM_LEFT, size_px=8, mip_levels=2)
    (image,) = mosaic.decode_pictures("mosaic", some_codes(1), image=spec).images
    assert len(image.data) == 4 * (64 + 16)
    pixels = np.frombuffer(image.data, np.uint8, 256).reshape(8, 8, 4)
    np.testing.assert_array_equal(pixels[::-1, :, :3], drawn(some_codes(1))[0, ::2, ::2])


def refused(call, code: str, field: str, text: str) -> None:
    with pytest.raises(ClientError) as error:
        call()
    assert (error.value.code.name, error.value.field) == (code, field)
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("files", "code", "field", "text"),
    [
        ([], "INVALID_ARGUMENT", "files", "is empty, expected 1 to 4 pictures"),
        ([png(1)] * 5, "RESOURCE_EXHAUSTED", "files", "5 pictures in one call, expected at most 4"),
        ([png(1), b""], "INVALID_ARGUMENT", "files[1]", "is empty, expected a file"),
        ([b"GIF89a"], "INVALID_ARGUMENT", "files[0]", "6 bytes are no picture that can be read"),
        ([png(1)[:60]], "INVALID_ARGUMENT", "files[0]", "are no picture that can be read"),
    ],
)
def test_what_is_no_picture_is_refused(mosaic: Client, files: list[bytes], code: str, field: str, text: str) -> None:
    refused(lambda: mosaic.encode_pictures("mosaic", files), code, field, text)


@pytest.mark.parametrize(
    ("codes", "code", "field", "text"),
    [
        (np.zeros((0, 4, 4), np.uint16), "INVALID_ARGUMENT", "codes", "is empty, expected 1 to 4 pictures"),
        (np.zeros((5, 4, 4), np.uint16), "RESOURCE_EXHAUSTED", "codes", "5 pictures in one call"),
        (np.zeros((1, 5, 4), np.uint16), "INVALID_ARGUMENT", "codes.shape", "expected [1, 4, 4]"),
        (np.zeros((4, 4), np.uint16), "INVALID_ARGUMENT", "codes.shape", "expected [1, 4, 4]"),
        (np.zeros((1, 4, 4), np.int64), "INVALID_ARGUMENT", "codes.dtype", "expected"),
        (np.full((1, 4, 4), 8, np.uint16), "INVALID_ARGUMENT", "codes", "holds code 8, the model's are 0 to 7"),
    ],
)
def test_what_are_no_codes_is_refused(mosaic: Client, codes: np.ndarray, code: str, field: str, text: str) -> None:
    refused(lambda: mosaic.decode_pictures("mosaic", codes), code, field, text)


def test_pictures_that_no_message_holds_are_refused_with_what_to_do(mosaic: Client) -> None:
    spec = asset_pb2.ImageSpec(format=RGBA, size_px=128)
    text = "3 pictures take 196608 bytes or more, one message holds 65536; ask for fewer or smaller ones"
    refused(lambda: mosaic.decode_pictures("mosaic", some_codes(), image=spec), "RESOURCE_EXHAUSTED", "codes", text)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("image_size", 24, "image_size is 24, expected a power of two"),
        ("downsample", 2, "downsample is 2, expected one of [4, 8]"),
        ("codebook_size", 1, "codebook_size is 1, expected 2 to 65536"),
        ("downsample", 8, "outputs of graph encoder are"),
    ],
)
def test_a_card_that_contradicts_itself_or_its_graphs_is_refused(tmp_path: Path, name: str, value: int, text: str) -> None:
    path = write_picture(tmp_path) / "card.json"
    card = json.loads(path.read_text("utf-8"))
    card["spec"][name] = value
    path.write_text(json.dumps(card), "utf-8")
    with sidecar_in_thread(tmp_path) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        refused(lambda: client.encode_pictures("mosaic", [png(1)]), "FAILED_PRECONDITION", "model", text)
