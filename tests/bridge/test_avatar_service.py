"""Avatars: equal requests give equal pictures, in one message or in a stream of any size."""

from __future__ import annotations

import io

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

RGBA8 = asset_pb2.IMAGE_FORMAT_RGBA8


def spec(numbers=(), raw=True, **settings):
    image = settings.pop("image", {})
    if raw:
        image = {"format": RGBA8} | image
    return pb.AvatarSpec(seeds=numbers, image=asset_pb2.ImageSpec(**image), **settings)


def pictures(client, asked):
    return np.array([rgba(avatar.image) for avatar in client.generate_avatars("face", asked).avatars])


def psi(value):
    return pb.Truncation(psi=value)


def mixing(numbers, first, last=0):
    return pb.StyleMixing(seeds=numbers, first_layer=first, last_layer=last)


def expected(z, z_mix, layers, truncation, noise):
    """Compute what the tiny generator makes, from its weights, in float64."""
    generator = np.random.default_rng(1)
    image = (generator.normal(size=(8, 192)) / 2).astype(np.float32).astype(np.float64)
    grain = (generator.normal(size=(3, 192)) / 10).astype(np.float32).astype(np.float64)
    w = np.stack([z_mix if layer in layers else z for layer in (0, 1)], axis=1) * truncation
    floats = np.tanh(w.reshape(len(z), 8) @ image + noise @ grain).reshape(-1, 3, 8, 8)
    return ((floats + 1) * 127.5).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 1), (1, 2), (1, 0), (0, 2), (2, 2), (1, 1)])
def test_a_picture_is_what_the_graphs_make_of_the_seeds(client, first, last):
    numbers, others = [7, 0, 2**64 - 1], [8]
    made = pictures(client, spec(numbers, truncation=psi(0.9), style_mixing=mixing(others, first, last)))
    z, noise = seeds.latents(numbers, 4), seeds.avatar_noise(numbers, 3)
    exact = expected(z, np.repeat(seeds.latents(others, 4), 3, axis=0), range(first, last or 2), 0.9, noise)
    assert np.abs(made[..., :3] - exact).max() < 0.51


def test_an_unset_truncation_is_the_models(client):
    assert (pictures(client, spec([3])) == pictures(client, spec([3], truncation=psi(0.7)))).all()
    assert (pictures(client, spec([3])) != pictures(client, spec([3], truncation=psi(1.0)))).any()


def test_truncation_0_is_zero_and_not_unset(client):
    latents = tensors.from_array(seeds.latents([1, 2, 3], 4))
    average = pictures(client, spec(latents=latents, truncation=pb.Truncation()))
    assert (average == average[0]).all()
    assert (pictures(client, spec(latents=latents))[0] != average[0]).any()


def test_mixing_at_layer_0_is_the_other_seed_and_at_the_last_is_none(client):
    latents = tensors.from_array(seeds.latents([5], 4))
    own, other = (
        pictures(client, spec(latents=latents)),
        pictures(client, spec(latents=tensors.from_array(seeds.latents([6], 4)))),
    )
    assert (pictures(client, spec(latents=latents, style_mixing=mixing([6], 0))) == other).all()
    assert (pictures(client, spec(latents=latents, style_mixing=mixing([6], 2))) == own).all()
    between = pictures(client, spec(latents=latents, style_mixing=mixing([6], 1)))
    assert (between != own).any()
    assert (between != other).any()


def test_a_mixing_seed_an_avatar_is_taken_row_by_row(client):
    both = pictures(client, spec([1, 2], style_mixing=mixing([8, 9], 1)))
    for row, (seed, other) in enumerate([(1, 8), (2, 9)]):
        np.testing.assert_array_equal(both[row], pictures(client, spec([seed], style_mixing=mixing([other], 1)))[0])


def test_latents_drawn_from_a_seed_with_that_seed_give_the_seeds_picture(client):
    numbers = [4, 2**63]
    latents = tensors.from_array(seeds.latents(numbers, 4))
    np.testing.assert_array_equal(pictures(client, spec(numbers, latents=latents)), pictures(client, spec(numbers)))


def test_a_picture_is_the_same_alone_and_in_a_batch(client):
    numbers = list(range(40))
    batch = pictures(client, spec(numbers))
    for seed in (0, 15, 16, 39):
        assert np.abs(batch[seed].astype(int) - pictures(client, spec([seed]))[0]).max() <= 1


def test_seeds_are_named_and_are_0_when_there_were_none(client):
    answer = client.generate_avatars("face", spec([2**64 - 1, 0, 5, 5]))
    assert [avatar.seed for avatar in answer.avatars] == [2**64 - 1, 0, 5, 5]
    assert answer.avatars[2] == answer.avatars[3]
    latents = tensors.from_array(seeds.latents([1, 2], 4))
    assert [avatar.seed for avatar in client.generate_avatars("face", spec(latents=latents)).avatars] == [0, 0]


@pytest.mark.parametrize("size_px", [8, 16, 256])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_a_file_opens_in_the_size_that_was_asked_for(client, size_px, image_format):
    image = {"format": asset_pb2.ImageFormat.Value(f"IMAGE_FORMAT_{image_format}"), "size_px": size_px}
    (avatar,) = client.generate_avatars("face", spec([1], raw=False, image=image)).avatars
    with PillowImage.open(io.BytesIO(avatar.image.data)) as opened:
        assert (opened.format, opened.size) == (image_format, (size_px, size_px))


def test_a_png_has_the_pixels_of_rgba8_in_every_size(client):
    for size_px in (0, 8, 64):
        raw = pictures(client, spec([1], image={"size_px": size_px}))[0]
        (file,) = client.generate_avatars("face", spec([1], raw=False, image={"size_px": size_px})).avatars
        with PillowImage.open(io.BytesIO(file.image.data)) as opened:
            np.testing.assert_array_equal(np.asarray(opened.convert("RGBA")), raw)


def test_bottom_left_and_mip_levels_reach_the_caller(client):
    image = {"row_origin": asset_pb2.ROW_ORIGIN_BOTTOM_LEFT, "mip_levels": 4}
    (avatar,) = client.generate_avatars("face", spec([1], image=image)).avatars
    assert (avatar.image.mip_levels, len(avatar.image.data)) == (4, 4 * (64 + 16 + 4 + 1))
    np.testing.assert_array_equal(rgba(avatar.image)[::-1], pictures(client, spec([1]))[0])


LATENTS = tensors.from_array(np.zeros((2, 4), np.float32))
NAN = tensors.from_array(np.array([[0, 0, 0, 0], [0, 0, np.nan, 0]], np.float32))
HUGE = tensors.from_array(np.array([[0, 0, 0, 0], [np.inf, 0, 0, 0]], np.float32))


@pytest.mark.parametrize(
    ("asked", "field", "text"),
    [
        (spec(), "spec.seeds", r"expected seeds, latents \[N, 4\] or styles \[N, 2, 4\]"),
        (spec([1, 2, 3], latents=LATENTS), "spec.seeds", "3 seeds with 2 latents, expected none or as many"),
        (spec(latents=NAN), "spec.latents", "row 1 holds NaN"),
        (spec(latents=HUGE), "spec.latents", "row 1 holds NaN or an infinity"),
        (spec([1], truncation=psi(-0.1)), "spec.truncation.psi", "expected 0 to 2"),
        (spec([1], truncation=psi(2.1)), "spec.truncation.psi", "expected 0 to 2"),
        (spec([1], truncation=psi(np.nan)), "spec.truncation.psi", "psi is nan"),
        (spec([1], style_mixing=mixing([1], 3)), "spec.style_mixing.first_layer", "is 3, expected 0 to 2"),
        (spec([1], style_mixing=mixing([1], 2, 1)), "spec.style_mixing.first_layer", "is 2, expected 0 to 1"),
        (spec([1], style_mixing=mixing([1], 0, 3)), "spec.style_mixing.last_layer", "is 3, expected 1 to 2, or 0"),
        (spec([1], style_mixing=mixing([], 1)), "spec.style_mixing.seeds", "0 seeds for 1 avatars"),
        (spec([1, 2], style_mixing=mixing([1, 2, 3], 1)), "spec.style_mixing.seeds", "expected 1 or 2"),
        (spec([1], image={"size_px": 12}), "spec.image.size_px", "expected a power of two"),
        (spec([1], image={"mip_levels": 9}), "spec.image.mip_levels", "expected at most 4"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field_in_both_calls(client, asked, field, text):
    with pytest.raises(ClientError, match=text) as caught:
        client.generate_avatars("face", asked)
    assert (caught.value.code, caught.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    with pytest.raises(ClientError, match=text) as streamed:
        list(client.stream_avatars("face", asked))
    assert (streamed.value.code, streamed.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


def test_latents_too_large_for_a_picture_are_refused_by_their_row(client):
    latents = np.zeros((3, 4), np.float32)
    latents[1] = 3.4e38
    with pytest.raises(ClientError, match="row 1 gives no picture") as caught:
        client.generate_avatars("face", spec(latents=tensors.from_array(latents), truncation=psi(2.0)))
    assert caught.value.field == "spec.latents"


def test_too_many_avatars_are_refused_by_their_number(client):
    with pytest.raises(ClientError, match="257 avatars in one call, expected at most 256") as caught:
        client.generate_avatars("face", spec(range(257)))
    assert (caught.value.code, caught.value.field) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "spec.seeds")


def too_large_for_one_message(client, asked):
    with pytest.raises(ClientError, match="call StreamAvatars") as caught:
        client.generate_avatars("face", asked)
    assert (caught.value.code, caught.value.field) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "spec")


def test_more_than_4_mib_are_refused_with_the_name_of_the_stream_and_the_stream_delivers_them(client):
    asked = spec([1, 2, 3], image={"size_px": 1024})
    too_large_for_one_message(client, asked)
    streamed = list(client.stream_avatars("face", asked))
    assert sum(len(avatar.image.data) for avatar in streamed) > 4 << 20
    for seed, avatar in zip([1, 2, 3], streamed, strict=True):
        assert avatar.seed == seed
        assert avatar == next(client.stream_avatars("face", spec([seed], image={"size_px": 1024})))


def test_files_whose_size_is_known_only_when_they_are_made_are_refused_too(tmp_path):
    tiny_models.write_avatar(tmp_path)
    limits = Limits(max_message_bytes=1 << 15)
    image = {"format": asset_pb2.IMAGE_FORMAT_JPEG, "size_px": 64}
    with sidecar_in_thread(tmp_path, limits=limits) as sidecar, Client(f"127.0.0.1:{sidecar.port}", timeout=60) as client:
        too_large_for_one_message(client, spec(range(100), raw=False, image=image))
        streamed = list(client.stream_avatars("face", spec(range(100), raw=False, image=image)))
        assert [avatar.seed for avatar in streamed] == list(range(100))
        assert len(client.generate_avatars("face", spec(range(2), raw=False, image=image)).avatars) == 2


def test_a_stream_gives_what_one_message_gives(client):
    asked = spec(range(40))
    assert list(client.stream_avatars("face", asked)) == list(client.generate_avatars("face", asked).avatars)


def chunks(client, asked):
    request = pb.StreamAvatarsRequest(model=ModelSelector(name="face"), spec=asked)
    return client._avatars.StreamAvatars(request, timeout=60)


def test_chunks_come_in_order_each_with_the_model_and_at_most_1_mib(client):
    messages = list(chunks(client, spec([1, 2], image={"size_px": 1024})))
    assert [(m.index, m.chunk_index, m.chunk_count) for m in messages] == [(i, c, 4) for i in range(2) for c in range(4)]
    assert {m.model.name for m in messages} == {"face"}
    assert all(len(m.avatar.image.data) == 1 << 20 for m in messages)
    assert all(m.ByteSize() < (1 << 20) + 200 for m in messages)


def test_a_stream_that_is_cancelled_ends_and_the_next_call_is_answered(client, sidecar):
    call = chunks(client, spec(range(64), image={"size_px": 2048}))
    for _ in range(3):
        next(call)
    call.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert len(pictures(client, spec([1]))) == 1
    assert sidecar.process.poll() is None


def test_a_stream_past_its_deadline_ends(client):
    request = pb.StreamAvatarsRequest(model=ModelSelector(name="face"), spec=spec(range(256), image={"size_px": 4096}))
    with pytest.raises(grpc.RpcError) as caught:
        list(client._avatars.StreamAvatars(request, timeout=0.3))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(pictures(client, spec([1]))) == 1
