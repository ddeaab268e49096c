"""Morphs: a smooth path exactly through the keys, at the client's pace, and nothing is made that nobody takes."""

from __future__ import annotations

import itertools
import threading
import time

import grpc
import httpx
import numpy as np
import pytest
import tiny_models
from conftest import sidecar_in_thread
from hypothesis import given
from hypothesis import strategies as st

from bridge import avatar_morph, seeds, tensors
from bridge.avatar_morph import Timing
from bridge.client import Client, ClientError, rgba, styles
from bridge.config import Limits
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb
from bridge.v1.model_service_pb2 import ModelSelector

RGBA8 = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)
AHEAD = 2 * avatar_morph.FRAMES_AT_ONCE


def timing(keys, frames_per_key=5, *, loop=False):
    return Timing(keys=keys, frames_per_key=frames_per_key, frame_rate=30.0, loop=loop, real_time=False)


def keys_of(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 2, 3)).astype(np.float32)


def whole(keys, times):
    return avatar_morph.path(keys, times, range(times.frame_count))


@given(st.integers(2, 9), st.integers(1, 40), st.booleans(), st.integers(0, 99))
def test_the_path_goes_exactly_through_the_keys(count, frames_per_key, loop, seed):
    keys, times = keys_of(count, seed), timing(count, frames_per_key, loop=loop)
    frames = whole(keys, times)
    assert len(frames) == times.frame_count == (count * frames_per_key if loop else (count - 1) * frames_per_key + 1)
    np.testing.assert_array_equal(frames[::frames_per_key], keys)


@given(st.integers(2, 9), st.booleans(), st.integers(0, 99))
def test_the_path_turns_smoothly_at_every_key(count, loop, seed):
    n = 2000
    keys, times = keys_of(count, seed).astype(np.float64), timing(count, n, loop=loop)
    for key in range(count) if loop else range(1, count - 1):
        around = [(key * n + step) % times.frame_count for step in (-2, -1, 0, 1, 2)]
        frames = np.concatenate([avatar_morph.path(keys, times, range(i, i + 1)) for i in around]).astype(np.float64)
        before, after = (frames[2] - frames[1]) * n, (frames[3] - frames[2]) * n
        tangent = (keys[(key + 1) % count] - keys[key - 1]) / 2
        np.testing.assert_allclose(before, tangent, atol=0.05)
        np.testing.assert_allclose(after, tangent, atol=0.05)


@given(st.integers(2, 9), st.booleans(), st.integers(1, 12), st.integers(0, 99))
def test_the_path_is_the_same_however_it_is_cut(count, loop, step, seed):
    keys, times = keys_of(count, seed), timing(count, loop=loop)
    starts = range(0, times.frame_count, step)
    parts = [avatar_morph.path(keys, times, range(i, min(i + step, times.frame_count))) for i in starts]
    np.testing.assert_array_equal(np.concatenate(parts), whole(keys, times))


def test_between_two_keys_the_path_is_straight_and_even():
    keys = keys_of(2)
    expected = keys[0] + np.linspace(0, 1, 6)[:, None, None] * (keys[1] - keys[0])
    np.testing.assert_allclose(whole(keys, timing(2)), expected, atol=1e-6)


@given(st.integers(2, 6), st.booleans(), st.integers(0, 99))
def test_a_shift_of_the_keys_is_a_shift_of_the_path(count, loop, seed):
    keys, times = keys_of(count, seed), timing(count, loop=loop)
    shift = keys_of(1, seed + 1)
    np.testing.assert_allclose(whole(keys + shift, times), whole(keys, times) + shift, atol=1e-5)


def spec(numbers=(), image=RGBA8, **settings):
    return pb.AvatarSpec(seeds=numbers, image=image, **settings)


def morph(client, asked, model="portrait", real_time=False, **settings):
    settings = {"seconds_per_key": 0.2, "real_time": real_time} | settings
    return list(client.morph_avatar(model, asked, **settings))


def pictures(frames):
    return np.array([rgba(frame.avatar.image) for frame in frames]).astype(int)


@pytest.mark.parametrize("loop", [False, True])
def test_each_key_is_a_frame_with_the_noise_of_the_first_seed(client, loop):
    frames = morph(client, spec([7, 8, 9]), loop=loop)
    assert [frame.frame_index for frame in frames] == list(range(18 if loop else 13))
    assert {frame.frame_count for frame in frames} == {len(frames)}
    assert {frame.avatar.seed for frame in frames} == {7}
    assert frames[0].model.name == "portrait"
    keys = pb.AvatarSpec(seeds=[7, 7, 7], latents=tensors.from_array(seeds.latents([7, 8, 9], 4)), image=RGBA8)
    expected = pictures([pb.MorphAvatarResponse(avatar=a) for a in client.generate_avatars("portrait", keys).avatars])
    assert np.abs(pictures(frames)[[0, 6, 12]] - expected).max() <= 1


def test_a_time_is_the_index_over_the_rate(client):
    frames = morph(client, spec([1, 2]), frame_rate=24.0, seconds_per_key=0.5)
    np.testing.assert_allclose([frame.time_seconds for frame in frames], np.arange(13) / 24)


def test_seconds_are_rounded_to_whole_frames_and_have_defaults(client):
    assert len(morph(client, spec([1, 2, 3]), seconds_per_key=0.09, frame_rate=25)) == 2 * 2 + 1
    assert len(morph(client, spec([1, 2, 3]), seconds_per_key=1e-6)) == 3
    assert len(morph(client, spec([1, 2]), seconds_per_key=0)) == 31


def test_every_frame_carries_its_styles_when_they_are_asked_for(client):
    frames = morph(client, spec([1, 2, 3], return_styles=True, controls={"hair": -1.0}))
    w = tensors.to_array(styles([frame.avatar for frame in frames]), "styles")
    keys = np.repeat(seeds.latents([1, 2, 3], 4)[:, None], 2, axis=1) * np.float32(0.7)
    np.testing.assert_allclose(w, whole(keys, timing(3, 6)), atol=1e-6)
    for frame in frames[::5]:
        asked = spec([1], styles=frame.avatar.styles, controls={"hair": -1.0})
        (alone,) = client.generate_avatars("portrait", asked).avatars
        assert np.abs(rgba(alone.image).astype(int) - rgba(frame.avatar.image)).max() <= 1


def test_styles_are_keys_too(client):
    answer = client.generate_avatars("portrait", spec([1, 2], return_styles=True))
    frames = morph(client, spec([1, 1], styles=styles(answer.avatars)))
    np.testing.assert_array_equal(pictures(frames), pictures(morph(client, spec([1, 2]))))


@pytest.mark.parametrize("model", ["face", "portrait"])
def test_the_bytes_are_the_same_whatever_the_pacing_and_the_company(client, model):
    asked = spec([1, 2, 3], image=asset_pb2.ImageSpec(size_px=16))
    expected = morph(client, asked, model)
    assert morph(client, asked, model, real_time=True) == expected
    stop = threading.Event()

    def company():
        while not stop.is_set():
            client.generate_avatars(model, spec([5, 6, 7]))

    threads = [threading.Thread(target=company) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert morph(client, asked, model) == expected
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_frame_is_sent_no_earlier_than_its_time(client):
    arrivals = []
    for frame in client.morph_avatar("portrait", spec([1, 2]), seconds_per_key=0.5, frame_rate=20):
        arrivals.append((time.monotonic(), frame.time_seconds))
    # The first frame may have been held up on its way, so the last one measures the whole from the call's side.
    assert arrivals[-1][0] - arrivals[0][0] >= arrivals[-1][1] - 0.25
    assert arrivals[-1][1] == 0.5


def test_a_large_frame_comes_in_chunks(client):
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, size_px=1024)
    request = pb.MorphAvatarRequest(model=ModelSelector(name="face"), spec=spec([1, 2], image), seconds_per_key=0.05)
    messages = list(client._avatars.MorphAvatar(request, timeout=60))
    assert [(m.frame_index, m.chunk_index, m.chunk_count) for m in messages] == [(i, c, 4) for i in range(3) for c in range(4)]
    assert all(len(m.avatar.image.data) == 1 << 20 for m in messages)
    assert [len(frame.avatar.image.data) for frame in morph(client, spec([1, 2], image), "face", seconds_per_key=0.05)] == [
        4 << 20
    ] * 3


def made(sidecar, model="portrait"):
    return sum(sidecar.registry.served[model, 1].batchers["synthesis"].batch_sizes)


def settled(sidecar):
    """Return the number of frames made when no more are for a while."""
    for _ in range(200):
        before = made(sidecar)
        time.sleep(0.3)
        if made(sidecar) == before:
            return before
    raise AssertionError("the sidecar does not stop making frames")


def request(seconds=60.0, size_px=512, count=2):
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, size_px=size_px)
    return pb.MorphAvatarRequest(
        model=ModelSelector(name="portrait"),
        spec=spec(range(count), image),
        seconds_per_key=seconds,
        pacing=pb.PACING_UNPACED,
    )


@pytest.fixture
def own(tmp_path):
    """A sidecar in this process, whose batchers a test can count."""
    tiny_models.write_portrait(tmp_path)
    with sidecar_in_thread(tmp_path, drain_seconds=0.1) as sidecar:
        yield sidecar


def test_a_client_that_takes_nothing_holds_the_sidecar_back(own):
    with Client(f"127.0.0.1:{own.port}") as client:
        call = client._avatars.MorphAvatar(request())
        taken = list(itertools.islice(call, 3))
        assert [m.frame_index for m in taken] == [0, 1, 2]
        waiting = settled(own)
        assert 3 <= waiting <= 3 + AHEAD + 16, "transport buffers hold a few MiB, the sidecar a few frames"
        more = list(itertools.islice(call, 50))
        assert more[-1].frame_index == 52
        assert made(own) > waiting
        call.cancel()


@pytest.mark.parametrize("protocol", ["grpc", "grpc-web"])
def test_a_client_that_goes_away_stops_the_work(own, protocol):
    if protocol == "grpc":
        with Client(f"127.0.0.1:{own.port}") as client:
            call = client._avatars.MorphAvatar(request(100.0, size_px=64))
            next(call)
            call.cancel()
    else:
        data = request(100.0, size_px=64).SerializeToString()
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        url = f"http://127.0.0.1:{own.web_port}/bridge.v1.AvatarService/MorphAvatar"
        body = b"\0" + len(data).to_bytes(4, "big") + data
        with httpx.Client(trust_env=False) as http, http.stream("POST", url, content=body, headers=headers) as answer:
            next(answer.iter_raw())
    assert settled(own) < 3000
    with Client(f"127.0.0.1:{own.port}") as client:
        assert len(client.generate_avatars("portrait", spec([1])).avatars) == 1


def test_a_real_time_morph_is_left_at_once(own):
    with Client(f"127.0.0.1:{own.port}") as client:
        frames = client.morph_avatar("portrait", spec([1, 2]), seconds_per_key=600, frame_rate=1)
        assert next(frames).frame_count == 601
        frames.close()
    assert settled(own) <= AHEAD


def refused(call, field, text, code=grpc.StatusCode.INVALID_ARGUMENT):
    with pytest.raises(ClientError, match=text) as caught:
        call()
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize(
    ("asked", "settings", "field", "text"),
    [
        (spec([1]), {}, "spec.seeds", "1 key, expected at least 2; GenerateAvatars makes a single avatar"),
        (spec(latents=tensors.from_array(np.zeros((1, 4), np.float32))), {}, "spec.latents", "1 key, expected at least 2"),
        (spec(), {}, "spec.seeds", "no avatar is asked for"),
        (spec([1, 2]), {"frame_rate": 0.5}, "frame_rate", "is 0.5, expected 1 to 120"),
        (spec([1, 2]), {"frame_rate": 121}, "frame_rate", "is 121"),
        (spec([1, 2]), {"frame_rate": float("nan")}, "frame_rate", "is nan"),
        (spec([1, 2]), {"seconds_per_key": -1}, "seconds_per_key", "is -1, expected more than 0"),
        (spec([1, 2]), {"seconds_per_key": float("inf")}, "seconds_per_key", "is inf"),
        (spec([1, 2]), {"seconds_per_key": float("nan")}, "seconds_per_key", "is nan"),
        (spec([1, 2], controls={"hat": 1}), {}, "spec.controls", "there is no control"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(client, asked, settings, field, text):
    refused(lambda: morph(client, asked, **settings), field, text)


def test_an_unknown_pacing_is_refused(client):
    asked = pb.MorphAvatarRequest(model=ModelSelector(name="face"), spec=spec([1, 2]), pacing=7)
    with pytest.raises(grpc.RpcError) as caught:
        list(client._avatars.MorphAvatar(asked, timeout=60))
    assert "pacing: is 7, expected one of" in caught.value.details()


@pytest.mark.parametrize("seconds", [2000.0, 3e38])
def test_too_many_frames_are_refused(client, seconds):
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    refused(lambda: morph(client, spec([1, 2]), seconds_per_key=seconds), "seconds_per_key", "than 36000 frames", code)


def test_the_limit_of_frames_is_the_operators(tmp_path):
    tiny_models.write_portrait(tmp_path)
    with sidecar_in_thread(tmp_path, limits=Limits(max_frames=7)) as sidecar, Client(f"127.0.0.1:{sidecar.port}") as client:
        assert len(morph(client, spec([1, 2]))) == 7
        with pytest.raises(ClientError, match="more than 7 frames"):
            morph(client, spec([1, 2]), loop=True)


def test_keys_too_large_for_a_picture_are_refused(client):
    huge = np.zeros((3, 4), np.float32)
    huge[1] = 3.4e38
    asked = spec(latents=tensors.from_array(huge), truncation=pb.Truncation(psi=2.0))
    refused(lambda: morph(client, asked), "spec.latents", "the path gives no picture")
