"""Styles and controls: an identity can be kept and given back, and a slider moves every avatar by the same step."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
import tiny_models

from bridge import seeds, tensors
from bridge.client import ClientError, rgba, styles
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb

IMAGE = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)
WEIGHTS = tiny_models.portrait_weights()


def spec(numbers=(), **settings):
    return pb.AvatarSpec(seeds=numbers, image=IMAGE, **settings)


def generate(client, asked, model="portrait"):
    return client.generate_avatars(model, asked).avatars


def pictures(avatars):
    return np.array([rgba(avatar.image) for avatar in avatars]).astype(int)


def tensor(array):
    return tensors.from_array(np.asarray(array, np.float32))


def expected(w, numbers):
    """Return straight RGBA in float64 [N, 8, 8, 4] for styles and seeds, from the portrait's weights."""
    light = (tiny_models.portrait(WEIGHTS, np.asarray(w, float), seeds.avatar_noise(numbers, 3)) + 1) / 2
    light[:, :3] *= (light[:, 3:] * 255 >= 0.5) / light[:, 3:]
    return light.transpose(0, 2, 3, 1) * 255


def w_of(numbers, psi=0.7):
    return np.repeat(seeds.latents(numbers, 4)[:, None], 2, axis=1) * psi


def test_an_rgba_picture_is_what_the_graphs_make_of_the_seeds(client):
    made = pictures(generate(client, spec([3, 2**64 - 1])))
    assert np.abs(made - expected(w_of([3, 2**64 - 1]), [3, 2**64 - 1])).max() < 0.51


@pytest.mark.parametrize("values", [{"glasses": 1.0}, {"glasses": -0.25, "hair": 0.5}, {"hair": -2.0}])
def test_a_control_adds_its_direction_to_the_styles_of_every_avatar(client, values):
    made = pictures(generate(client, spec([3, 4], controls=values)))
    amounts = np.array([values.get("glasses", 0.0), values.get("hair", 0.0)])
    moved = w_of([3, 4]) + (amounts @ WEIGHTS["directions"].astype(float)).reshape(2, 4)
    assert np.abs(made - expected(moved, [3, 4])).max() < 0.51


def test_a_control_at_0_changes_nothing(client):
    plain = generate(client, spec([3, 4]))
    assert generate(client, spec([3, 4], controls={"glasses": 0.0, "hair": -0.0})) == plain
    assert generate(client, spec([3, 4], controls={})) == plain


def test_styles_come_only_when_they_are_asked_for(client):
    assert not generate(client, spec([3]))[0].HasField("styles")
    (avatar,) = generate(client, spec([3], return_styles=True))
    array = tensors.to_array(avatar.styles, "styles")
    np.testing.assert_allclose(array, w_of([3]), rtol=1e-6)


def test_styles_given_back_with_seed_and_controls_give_the_same_picture(client):
    controls, mixing = {"glasses": 0.5}, pb.StyleMixing(seeds=[9], first_layer=1)
    psi = pb.Truncation(psi=1.3)
    first = generate(client, spec([3, 4], controls=controls, style_mixing=mixing, truncation=psi, return_styles=True))
    back = generate(client, spec([3, 4], styles=styles(first), controls=controls, return_styles=True))
    assert back == first
    again = list(client.stream_avatars("portrait", spec([3, 4], styles=styles(first), controls=controls, return_styles=True)))
    assert again == list(first)


def test_truncation_leaves_styles_as_they_are(client):
    w = w_of([3], 1.0)
    plain = generate(client, spec([3], styles=tensor(w)))
    assert generate(client, spec([3], styles=tensor(w), truncation=pb.Truncation(psi=0.1))) == plain
    assert np.abs(pictures(plain) - expected(w, [3])).max() < 0.51


@pytest.mark.parametrize(("first", "last", "layers"), [(1, 2, [1]), (0, 1, [0]), (0, 0, [0, 1]), (1, 1, []), (2, 0, [])])
def test_styles_are_mixed_with_a_seed_in_the_range_of_layers(client, first, last, layers):
    w = w_of([3], 1.0)
    mixing = pb.StyleMixing(seeds=[9], first_layer=first, last_layer=last)
    asked = spec([3], styles=tensor(w), style_mixing=mixing, truncation=pb.Truncation(psi=0.5), return_styles=True)
    (avatar,) = generate(client, asked)
    w[:, layers] = w_of([9], 0.5)[:, layers]
    np.testing.assert_allclose(tensors.to_array(avatar.styles, "styles"), w, rtol=1e-6)
    assert np.abs(pictures([avatar]) - expected(w, [3])).max() < 0.51


def test_styles_without_seeds_have_the_noise_of_seed_0(client):
    w = w_of([3, 4])
    asked = generate(client, spec(styles=tensor(w)))
    assert [avatar.seed for avatar in asked] == [0, 0]
    assert np.abs(pictures(asked) - expected(w, [0, 0])).max() < 0.51


def test_more_avatars_than_a_batch_keep_their_styles(client):
    numbers = list(range(40))
    made = generate(client, spec(numbers, return_styles=True, controls={"hair": 0.5}))
    got = np.concatenate([tensors.to_array(avatar.styles, "styles") for avatar in made])
    np.testing.assert_allclose(got, w_of(numbers), rtol=1e-6)


def test_a_model_lists_its_controls(client):
    controls = client.model("portrait").controls
    assert [(control.name, control.low, control.high) for control in controls] == [("glasses", -1, 1), ("hair", -2, 0.5)]
    assert controls[1].description == "long hair"
    assert not client.model("face").controls
    assert not client.model("guard").controls


W, Z = tensor(np.zeros((2, 2, 4))), tensor(np.zeros((2, 4)))
NAN = tensor([[[0] * 4] * 2, [[0] * 4, [0, np.nan, 0, 0]]])


@pytest.mark.parametrize(
    ("asked", "field", "text"),
    [
        (spec(styles=W, latents=Z), "spec.styles", "beside latents"),
        (spec([1], styles=W), "spec.seeds", "1 seeds with 2 styles, expected none or as many"),
        (spec(styles=Z), "spec.styles.shape", r"shape is \[2, 4\], expected \[N, 2, 4\]"),
        (spec(styles=tensor(np.zeros((0, 2, 4)))), "spec.styles", "no avatar is asked for"),
        (spec(styles=NAN), "spec.styles", "row 1 holds NaN"),
        (spec([1], controls={"hat": 1.0}), "spec.controls", r"no control \"hat\", there are \['glasses', 'hair'\]"),
        (spec([1], controls={"": 0.0}), "spec.controls", 'no control ""'),
        (spec([1], controls={f"c{i}": 1.0 for i in range(1000)}), "spec.controls", "and 997 more, there are"),
        (spec([1], controls={"glasses": 1.01}), "spec.controls", '"glasses" is 1.01, expected -1 to 1'),
        (spec([1], controls={"hair": -2.01}), "spec.controls", '"hair" is -2.01, expected -2 to 0.5'),
        (spec([1], controls={"hair": np.nan}), "spec.controls", '"hair" is nan'),
        (spec([1], controls={"hair": -np.inf}), "spec.controls", '"hair" is -inf'),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(client, asked, field, text):
    with pytest.raises(ClientError, match=text) as caught:
        client.generate_avatars("portrait", asked)
    assert (caught.value.code, caught.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


def test_controls_of_a_model_without_any_are_refused(client):
    with pytest.raises(ClientError, match='the model has no controls, but "glasses" given') as caught:
        client.generate_avatars("face", spec([1], controls={"glasses": 0.5}))
    assert (caught.value.code, caught.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, "spec.controls")
