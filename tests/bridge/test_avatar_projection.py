"""Projection: a picture of an avatar gives that avatar back, and every picture of a caller gives an avatar or a reason."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import tiny_models
from conftest import sidecar_in_thread
from PIL import Image as PillowImage

from bridge import seeds, tensors
from bridge.client import Client, ClientError, rgba
from bridge.config import Limits
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

RGBA8 = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)
WEIGHTS = tiny_models.portrait_weights()
NOISE = seeds.avatar_noise([5], 3)


def avatar(client, seed=5, psi=0.5, **settings):
    spec = pb.AvatarSpec(seeds=[seed], truncation=pb.Truncation(psi=psi), image=RGBA8, return_styles=True, **settings)
    return client.generate_avatars("portrait", spec).avatars[0]


def light(pixels):
    """Return the float picture [1, 4, 8, 8] in [-1, 1] of straight pixels, premultiplied in 8 bits as training pictures are."""
    values = pixels.astype(float)
    values[..., :3] = np.floor(values[..., :3] * values[..., 3:] / 255 + 0.5)
    return values.transpose(2, 0, 1)[None] / 127.5 - 1


def projected(target, steps):
    """Return the styles [1, 2, 4] and the distance that the encoder reaches, from the portrait's weights in float64."""
    w, best = np.zeros((1, 8)), (None, np.inf)
    for _ in range(steps):
        w = w + (target - tiny_models.portrait(WEIGHTS, w, NOISE)).reshape(1, 256) @ WEIGHTS["weights_encoder"].astype(float)
        distance = np.abs(target - tiny_models.portrait(WEIGHTS, w, NOISE)).mean() / 2
        best = min(best, (w.reshape(1, 2, 4), distance), key=lambda found: found[1])
    return best


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_it_is_what_the_encoder_reaches_in_so_many_steps(client, steps):
    pixels = rgba(avatar(client).image)
    answer = client.project_avatar("portrait", pixels, seed=5, refine_steps=steps)
    w, distance = projected(light(pixels), steps)
    np.testing.assert_allclose(tensors.to_array(answer.avatar.styles, "styles"), w, atol=2e-3)
    assert answer.pixel_distance == pytest.approx(distance, abs=1e-4)


def test_an_avatars_own_picture_gives_that_avatar_back(client):
    original = avatar(client)
    answer = client.project_avatar("portrait", rgba(original.image), seed=5, refine_steps=8, image=RGBA8)
    assert answer.pixel_distance < 0.005
    assert np.abs(rgba(answer.avatar.image).astype(int) - rgba(original.image)).mean() < 1
    found, sought = (tensors.to_array(a.styles, "styles") for a in (answer.avatar, original))
    assert np.abs(found - sought).max() < 0.05
    assert answer.model.name == "portrait"
    assert answer.avatar.seed == 5


def test_more_steps_are_never_worse(client):
    pixels = rgba(avatar(client, psi=0.6).image)
    distances = [client.project_avatar("portrait", pixels, seed=5, refine_steps=n).pixel_distance for n in range(1, 9)]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > distances[2]


def test_no_steps_are_the_models(client):
    pixels = rgba(avatar(client).image)
    assert client.project_avatar("portrait", pixels) == client.project_avatar("portrait", pixels, refine_steps=3)


def test_the_distance_is_that_of_the_picture_that_comes(client):
    pixels = rgba(avatar(client, seed=8, psi=1.0).image)
    answer = client.project_avatar("portrait", pixels, seed=5, image=RGBA8)
    exact = np.abs(light(pixels) - light(rgba(answer.avatar.image))).mean() / 2
    assert answer.pixel_distance == pytest.approx(exact, abs=2 / 255)


def test_controls_move_the_avatar_that_was_found(client):
    pixels = rgba(avatar(client).image)
    plain = client.project_avatar("portrait", pixels, seed=5, image=RGBA8)
    moved = client.project_avatar("portrait", pixels, seed=5, image=RGBA8, controls={"hair": -2.0})
    assert moved.avatar.styles == plain.avatar.styles
    assert moved.pixel_distance == plain.pixel_distance
    spec = pb.AvatarSpec(seeds=[5], styles=plain.avatar.styles, controls={"hair": -2.0}, image=RGBA8)
    np.testing.assert_array_equal(rgba(moved.avatar.image), rgba(client.generate_avatars("portrait", spec).avatars[0].image))


def file(picture, image_format="PNG"):
    stream = io.BytesIO()
    picture.save(stream, image_format)
    return stream.getvalue()


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_any_file_of_any_size_is_projected(client, image_format):
    answer = client.project_avatar("portrait", file(PillowImage.new("RGB", (301, 77), "tan"), image_format))
    assert 0 < answer.pixel_distance < 1
    assert np.isfinite(tensors.to_array(answer.avatar.styles, "styles")).all()
    assert answer.avatar.image.format == asset_pb2.IMAGE_FORMAT_PNG


def test_rgb_pixels_are_opaque(client):
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    opaque = np.concatenate([pixels, np.full((20, 30, 1), 255, np.uint8)], axis=2)
    assert client.project_avatar("portrait", pixels) == client.project_avatar("portrait", opaque)


def refused(call, code, field, text):
    with pytest.raises(ClientError, match=text) as caught:
        call()
    assert (caught.value.code.name, caught.value.field) == (code, field)


@pytest.mark.parametrize(
    ("settings", "field", "text"),
    [
        ({"refine_steps": 9}, "refine_steps", "is 9, expected 1 to 8, or 0 for 3"),
        ({"controls": {"hat": 1.0}}, "controls", "there are \\['glasses', 'hair'\\]"),
        ({"controls": {"glasses": 2.0}}, "controls", "expected -1 to 1"),
        ({"image": asset_pb2.ImageSpec(size_px=9)}, "image.size_px", "expected a power of two"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(client, settings, field, text):
    pixels = np.zeros((8, 8, 4), np.uint8)
    refused(lambda: client.project_avatar("portrait", pixels, **settings), "INVALID_ARGUMENT", field, text)


@pytest.mark.parametrize(
    ("picture", "field", "text"),
    [
        (b"", "file", "is empty, expected a picture"),
        (b"GIF89a", "file", "6 bytes are no picture"),
        (file(PillowImage.new("RGB", (1, 1))), "file", "has 1 x 1 px, expected at least 8 x 8"),
        (np.zeros((1, 1, 4), np.uint8), "pixels", "has 1 x 1 px"),
    ],
)
def test_what_is_no_picture_is_refused(client, picture, field, text):
    refused(lambda: client.project_avatar("portrait", picture), "INVALID_ARGUMENT", field, text)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_file_may_come_in_any_kind_of_bytes(client, kind):
    data = file(PillowImage.new("RGB", (16, 16), "tan"))
    assert client.project_avatar("portrait", kind(data)) == client.project_avatar("portrait", data)


@pytest.mark.parametrize(
    ("picture", "error", "text"),
    [
        (np.zeros((8, 8, 4), np.int64), TypeError, r"are int64, expected uint8\[height, width, 3 or 4\] .*; use astype"),
        (
            np.zeros((8, 8, 4)),
            TypeError,
            "are float64, expected .*; scale values from 0 to 1 by 255, round them and use astype",
        ),
        (np.zeros((8, 8, 4), bool), TypeError, "are bool, expected uint8"),
        (np.zeros((8, 8), np.uint8), ValueError, r"shape \[8, 8\], expected uint8.*; repeat grey pixels"),
        (np.zeros((8, 8, 1), np.uint8), ValueError, r"shape \[8, 8, 1\], expected uint8.*; repeat grey pixels"),
        (np.zeros((3, 8, 8), np.uint8), ValueError, r"shape \[3, 8, 8\], expected uint8\[height, width, 3 or 4\]$"),
        (np.zeros((1, 8, 8, 4), np.uint8), ValueError, r"shape \[1, 8, 8, 4\], expected"),
        (Path("me.png"), TypeError, r"is a \w*Path, expected the bytes of a file or an array .*read_bytes"),
        (PillowImage.new("RGB", (8, 8)), TypeError, "is a Image, expected .* np.asarray"),
    ],
)
def test_what_is_no_array_of_bytes_is_never_sent(client, picture, error, text):
    with pytest.raises(error, match=text):
        client.project_avatar("portrait", picture)


def test_grey_pixels_are_sent_as_the_error_says(client):
    grey = np.random.default_rng(2).integers(0, 256, (16, 16), np.uint8)
    same = client.project_avatar("portrait", file(PillowImage.fromarray(grey)))
    for pixels in (grey, grey[..., None]):
        assert client.project_avatar("portrait", np.dstack([pixels] * 3)) == same


def test_a_file_and_pixels_at_once_are_refused(client):
    request = pb.ProjectAvatarRequest(model=ModelSelector(name="portrait"), file=b"x", pixels=asset_pb2.Image())
    refused(lambda: client._call(client._avatars.ProjectAvatar, request), "INVALID_ARGUMENT", "file", "beside pixels")


def test_a_model_without_an_encoder_says_so(client):
    picture = np.zeros((8, 8, 4), np.uint8)
    text = '"face" version 1 has no encoder; train one'
    refused(lambda: client.project_avatar("face", picture), "FAILED_PRECONDITION", "model", text)


def test_a_bomb_is_refused_and_one_of_50_mb_does_not_even_arrive(client, sidecar):
    bomb = file(PillowImage.new("1", (20_000, 20_000)))
    assert len(bomb) < 1 << 20
    before = memory(sidecar.process.pid)
    refused(lambda: client.project_avatar("portrait", bomb), "RESOURCE_EXHAUSTED", "file", "make it smaller")
    refused(lambda: client.project_avatar("portrait", bytes(50 << 20)), "RESOURCE_EXHAUSTED", "", "larger than max")
    assert memory(sidecar.process.pid) - before < 64 << 20
    assert len(client.models()) == 3


def memory(pid):
    """Return the largest resident memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def test_a_picture_too_large_for_one_message_is_refused_by_its_bytes(client):
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, size_px=2048)
    pixels = np.zeros((8, 8, 4), np.uint8)
    text = "one message holds 4194304; ask for a smaller one"
    refused(lambda: client.project_avatar("portrait", pixels, image=image), "RESOURCE_EXHAUSTED", "image", text)


def test_the_limit_of_pixels_is_the_operators(tmp_path):
    tiny_models.write_portrait(tmp_path)
    limits = Limits(max_picture_pixels=100)
    with sidecar_in_thread(tmp_path, limits=limits) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        assert client.project_avatar("portrait", np.zeros((10, 10, 4), np.uint8)).pixel_distance > 0
        with pytest.raises(ClientError, match="has 11 x 10 px, expected at most 100 pixels") as caught:
            client.project_avatar("portrait", np.zeros((10, 11, 4), np.uint8))
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_many_at_once_are_answered_as_one_alone(client):
    pictures = [np.random.default_rng(seed).integers(0, 256, (16, 16, 4), np.uint8) for seed in range(24)]
    alone = [client.project_avatar("portrait", picture, image=RGBA8) for picture in pictures]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda picture: client.project_avatar("portrait", picture, image=RGBA8), pictures))
    for one, other in zip(alone, together, strict=True):
        assert one.pixel_distance == pytest.approx(other.pixel_distance, abs=1e-5)
        assert np.abs(rgba(one.avatar.image).astype(int) - rgba(other.avatar.image)).max() <= 1
