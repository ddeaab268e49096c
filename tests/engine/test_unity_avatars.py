"""The avatar components inside a real Unity player, against a live sidecar: sliders, projection, morphs on a renderer."""

from __future__ import annotations

import numpy as np
import pytest
from avatar_calls import MODEL, Ran, in_unity, picture, rgba8, spec
from sidecar_process import SidecarProcess

from bridge.client import Client, rgba

pytestmark = pytest.mark.usefixtures("unity_player")
FRAMES = 18


@pytest.fixture(scope="module")
def played(portrait_sidecar: SidecarProcess, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run of all components."""
    return in_unity("avatars", portrait_sidecar, tmp_path_factory.mktemp("avatars"))


@pytest.fixture(scope="module")
def client(portrait_sidecar: SidecarProcess):
    with Client(portrait_sidecar.address) as connected:
        yield connected


def test_after_many_moves_the_texture_shows_the_last_one(client: Client, played: Ran) -> None:
    answer = client.generate_avatars(MODEL, spec([7], controls={"glasses": 0.75, "hair": -1.5}))
    np.testing.assert_array_equal(played.pixels("source.rgba")[0], rgba(answer.avatars[0].image))
    assert played.said["source"] == "fewer answers than moves -1.5"


@pytest.mark.parametrize(("name", "controls"), [("projected", {}), ("projected-moved", {"glasses": 0.5})])
def test_a_projected_texture_becomes_the_avatar_that_controls_move(
    client: Client, played: Ran, name: str, controls: dict[str, float]
) -> None:
    answer = client.project_avatar(MODEL, picture(), seed=7, controls=controls, image=rgba8())
    np.testing.assert_array_equal(played.pixels(f"source-{name}.rgba")[0], rgba(answer.avatar.image))
    assert np.float32(played.said["source distance"]) == np.float32(answer.pixel_distance)


def test_a_large_texture_is_averaged_in_blocks_weighted_with_alpha(client: Client, played: Ran) -> None:
    y, x = np.mgrid[:1028, :1030]
    large = np.stack([7 * x + 3 * y, x // 5, y // 5, x * y // 64], axis=2) % 256
    block, height, width = 3, 1028 // 3, 1030 // 3
    blocks = large[: block * height, : block * width].reshape(height, block, width, block, 4)
    alpha = blocks[..., 3:].sum(axis=(1, 3))
    colours = (blocks[..., :3] * blocks[..., 3:]).sum(axis=(1, 3))
    averages = np.concatenate([(colours + alpha // 2) // np.maximum(alpha, 1), (alpha + 4) // 9], axis=2)
    averages[alpha[..., 0] == 0] = 0
    answer = client.project_avatar(MODEL, averages[::-1].astype(np.uint8), seed=7, image=rgba8())
    np.testing.assert_array_equal(played.pixels("source-large.rgba")[0], rgba(answer.avatar.image))


def test_a_looping_morph_shows_pythons_frames_in_order_round_and_round(client: Client, played: Ran) -> None:
    asked = spec([1, 2, 3], controls={"glasses": 0.5})
    frames = client.morph_avatar(MODEL, asked, seconds_per_key=0.3, frame_rate=20.0, loop=True, real_time=False)
    expected = [rgba(frame.avatar.image) for frame in frames]
    assert len(expected) == FRAMES
    order = [int(index) for index in played.said["morph order"].split()]
    steps = np.diff(order) % FRAMES
    assert order[0] == 0
    assert len(order) > 2 * FRAMES
    assert ((steps >= 1) & (steps < FRAMES // 2)).all(), f"frames out of order: {order}"
    for index in set(order):
        np.testing.assert_array_equal(played.pixels(f"morph-{index}.rgba")[0], expected[index])


def test_a_morph_keeps_one_texture_and_shows_it_on_its_renderer(played: Ran) -> None:
    assert played.said["morph textures"] == "1"
    assert played.said["morph on the quad"] == "yes"


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_a_morph_holds_its_picture(played: Ran, state: str) -> None:
    assert played.said[f"morph {state}"] == "holds"


def test_an_open_morph_ends_at_its_last_key(played: Ran) -> None:
    assert played.said["open morph"] == "ended at 6 Connected"


def test_a_morph_with_an_unknown_control_says_so(played: Ran) -> None:
    expected = 'Failed InvalidArgument: spec.controls: there is no control "nose"'
    assert played.said["morph with an unknown control"].startswith(expected)
