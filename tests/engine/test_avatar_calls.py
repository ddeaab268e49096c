"""All that the C# avatar client has, over HTTP/2 on .NET 8 and over gRPC-Web in the Unity player, is as Python has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from avatar_calls import MODEL, NEEDS, PLACES, Ran, picture, rgba8, spec
from sidecar_process import SidecarProcess, sidecar

from bridge import tensors
from bridge.client import Client, rgba
from bridge.v1.avatar_service_pb2 import Avatar, StyleMixing

SEEDS = (7, (1 << 64) - 1)
MIXING = StyleMixing(seeds=[9, 10], first_layer=1, last_layer=2)


@pytest.fixture(scope="module")
def client(portrait_sidecar: SidecarProcess):
    with Client(portrait_sidecar.address) as connected:
        yield connected


@pytest.fixture(scope="module", params=PLACES)
def ran(request: pytest.FixtureRequest, portrait_sidecar: SidecarProcess, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run of all calls at each place."""
    request.getfixturevalue(NEEDS[request.param])
    return PLACES[request.param]("avatars", portrait_sidecar, tmp_path_factory.mktemp(request.param))


def pixels(avatars: list[Avatar]) -> np.ndarray:
    return np.stack([rgba(avatar.image) for avatar in avatars])


def pictures(ran: Ran, name: str) -> np.ndarray:
    return np.concatenate([ran.pixels(f"{name}-{seed}.rgba") for seed in SEEDS])


def test_controls_change_the_picture_as_they_do_for_python(client: Client, ran: Ran) -> None:
    plain = pixels(client.generate_avatars(MODEL, spec(SEEDS)).avatars)
    moved = pixels(client.generate_avatars(MODEL, spec(SEEDS, controls={"glasses": 0.75, "hair": -1.5})).avatars)
    assert np.abs(plain.astype(int) - moved).mean() > 1, "the controls hardly change anything"
    np.testing.assert_array_equal(pictures(ran, "plain"), plain)
    np.testing.assert_array_equal(pictures(ran, "moved"), moved)
    assert ran.said["styles unasked"] == "none"


def test_the_pixels_have_the_models_alpha_and_are_straight(ran: Ran) -> None:
    shown = pictures(ran, "plain")
    assert len(np.unique(shown[..., 3])) > 50
    assert (shown[..., :3].max(axis=3) > shown[..., 3]).any(), "no colour is brighter than its alpha: they are premultiplied"


def test_styles_of_a_range_of_layers_come_from_other_seeds(client: Client, ran: Ran) -> None:
    asked = spec(SEEDS, controls={"glasses": 0.75}, style_mixing=MIXING, return_styles=True)
    expected = client.generate_avatars(MODEL, asked).avatars
    np.testing.assert_array_equal(pictures(ran, "mixed"), pixels(expected))
    styles = np.concatenate([tensors.to_array(avatar.styles, "styles") for avatar in expected])
    np.testing.assert_array_equal(ran.styles("mixed.f32"), styles)


@pytest.mark.parametrize("call", ["again", "streamed"])
def test_styles_given_back_give_the_same_picture(ran: Ran, call: str) -> None:
    np.testing.assert_array_equal(pictures(ran, call), pictures(ran, "mixed"))


def test_a_projected_file_is_pythons_answer(client: Client, ran: Ran) -> None:
    file = (ran.folder / "picture.png").read_bytes()
    expected = client.project_avatar(MODEL, file, seed=5, refine_steps=2, image=rgba8())
    same_projection(ran, "file", expected)


def test_projected_pixels_are_pythons_answer(client: Client, ran: Ran) -> None:
    expected = client.project_avatar(MODEL, picture(), controls={"glasses": 0.5}, image=rgba8())
    same_projection(ran, "pixels", expected)


def same_projection(ran: Ran, name: str, expected) -> None:
    np.testing.assert_array_equal(ran.pixels(f"projected-{name}.rgba"), pixels([expected.avatar]))
    np.testing.assert_array_equal(ran.styles(f"projected-{name}.f32"), tensors.to_array(expected.avatar.styles, "styles"))
    assert np.float32(ran.said[f"distance {name}"]) == np.float32(expected.pixel_distance)
    assert 0 < expected.pixel_distance < 1


def test_a_morphs_frames_are_pythons_byte_for_byte(client: Client, ran: Ran) -> None:
    asked = spec([1, 2, 3], controls={"glasses": 0.5})
    frames = client.morph_avatar(MODEL, asked, seconds_per_key=0.3, frame_rate=24.0, loop=True, real_time=False)
    expected = list(frames)
    assert ran.said["morph"] == " ".join(f"{i}/21:{i / 24:.4f}" for i in range(21))
    np.testing.assert_array_equal(ran.pixels("morph.rgba"), pixels([frame.avatar for frame in expected]))


def test_large_frames_are_put_together_from_their_chunks(client: Client, ran: Ran) -> None:
    asked = spec([1, 2], image=rgba8(1024))
    expected = list(client.morph_avatar(MODEL, asked, seconds_per_key=0.1, real_time=False))
    assert expected[0].chunk_count == 4
    assert ran.said["large"] == " ".join(f"{i}/4:{i / 30:.4f}" for i in range(4))
    np.testing.assert_array_equal(ran.pixels("large.rgba", 1024), pixels([frame.avatar for frame in expected]))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            "unknown control",
            'InvalidArgument|spec.controls|InvalidArgument: spec.controls: there is no control "nose", there are',
        ),
        ("unknown control in a morph", "InvalidArgument|spec.controls|"),
        ("unknown control in a projection", "InvalidArgument|controls|"),
        (
            "control out of range",
            'InvalidArgument|spec.controls|InvalidArgument: spec.controls: "glasses" is 1.5, expected -1 to 1',
        ),
        ("one key", "InvalidArgument|spec.seeds|"),
        ("no picture", "InvalidArgument|file|InvalidArgument: file: 3 bytes are no picture"),
        ("no encoder", "FailedPrecondition|model|"),
        ("layer out of range", "InvalidArgument|spec.style_mixing.last_layer|"),
        ("no styles", "ArgumentException|no styles are given"),
        ("callback throws", "FormatException|mine"),
    ],
)
def test_a_call_that_fails_says_how_and_where(ran: Ran, call: str, expected: str) -> None:
    assert ran.said[call].startswith(expected)


@pytest.mark.parametrize("place", PLACES)
def test_a_morph_waits_for_its_callback_and_ends_in_the_sidecar_when_cancelled(
    request: pytest.FixtureRequest, portraits: Path, tmp_path: Path, place: str
) -> None:
    request.getfixturevalue(NEEDS[place])
    with sidecar(portraits, "--limits.max-concurrent-calls", "2") as full:
        said = PLACES[place]("cancelled", full, tmp_path).said
    assert said["while they run"].startswith("ResourceExhausted")
    assert said["frames given"] == "one each", "frames are handed out before the one before is taken"
    assert "CanceledException" in said["a cancelled one"]
    assert said["when they are cancelled"] == "nothing"
