"""The Python client: arrays in, arrays out, and errors with their field."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from bridge.client import Client, ClientError, Group
from bridge.v1 import asset_pb2
from bridge.v1 import avatar_service_pb2 as pb


def test_it_waits_until_the_sidecar_serves(client):
    client.wait_until_serving(30)


def test_waiting_for_nobody_ends_with_a_timeout():
    with Client("127.0.0.1:1") as nobody, pytest.raises(TimeoutError, match=r"not serving after 0\.3 s"):
        nobody.wait_until_serving(0.3)


def test_a_call_to_nobody_is_unavailable():
    with Client("127.0.0.1:1", timeout=5) as nobody, pytest.raises(ClientError) as caught:
        nobody.models()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert caught.value.field == ""


def test_models_and_cards_are_listed(client):
    assert [(model.name, model.family) for model in client.models()] == [
        ("face", "avatar"),
        ("guard", "npc"),
        ("portrait", "avatar"),
    ]
    assert client.model("guard").model.version == 1
    assert '"family": "npc"' in client.model("guard", 1).card_json


def test_an_error_carries_code_message_and_field(client):
    with pytest.raises(ClientError, match=r"^NOT_FOUND: model\.name: there is no model \"toon\"") as caught:
        client.model("toon")
    assert (caught.value.code, caught.value.field) == (grpc.StatusCode.NOT_FOUND, "model.name")
    assert caught.value.message.startswith("model.name: there is no model")


def test_actions_come_as_arrays_by_name(client):
    place = np.zeros((2, 3), np.float32)
    (answer,) = client.choose_actions([Group("guard", [4, 5], {"position": place}, action_mask=np.ones((2, 5), bool))])
    assert {name: (array.dtype.name, array.shape) for name, array in answer.actions.items()} == {
        "move": ("float32", (2, 2)),
        "act": ("int64", (2, 2)),
    }
    assert (answer.model, answer.version, answer.provider) == ("guard", 1, "CPUExecutionProvider")


def test_a_streamed_avatar_is_put_together_from_its_chunks(client):
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, size_px=1024)
    avatars = list(client.stream_avatars("face", pb.AvatarSpec(seeds=[1, 2], image=image)))
    assert [len(avatar.image.data) for avatar in avatars] == [4 << 20] * 2


def test_a_stream_may_be_left_early(client):
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8, size_px=1024)
    stream = client.stream_avatars("face", pb.AvatarSpec(seeds=range(64), image=image))
    assert next(stream).seed == 0
    stream.close()
    assert len(client.models()) == 3


def test_an_error_in_a_stream_is_an_error_of_the_client(client):
    with pytest.raises(ClientError, match="no avatar is asked for"):
        next(client.stream_avatars("face", pb.AvatarSpec()))


def test_a_call_has_a_deadline(sidecar):
    image = asset_pb2.ImageSpec(size_px=4096)
    with Client(sidecar.address, timeout=0.2) as hasty, pytest.raises(ClientError) as caught:
        list(hasty.stream_avatars("face", pb.AvatarSpec(seeds=range(64), image=image)))
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
