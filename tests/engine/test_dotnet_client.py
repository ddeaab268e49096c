"""The client core on .NET 8: against a live sidecar over HTTP/2, and its parts that need none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dotnet_program
import numpy as np
import pytest
from bundles import AVATAR, NPC
from sidecar_process import SidecarProcess

from bridge.client import Client, Group, rgba
from bridge.v1.asset_pb2 import IMAGE_FORMAT_RGBA8, ROW_ORIGIN_BOTTOM_LEFT, ImageSpec
from bridge.v1.avatar_service_pb2 import AvatarSpec, Truncation
from export.npc.world.spec import MASK_SIZE, observation_space

pytestmark = pytest.mark.usefixtures("dotnet_client")
AGENTS = 5


@dataclass(frozen=True)
class Ran:
    """What the program reported, by name, and the folder of its files."""

    said: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def live(served: SidecarProcess, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run of all calls."""
    folder = tmp_path_factory.mktemp("dotnet")
    said = dotnet_program.run("live", folder, served.address, AVATAR, NPC)
    assert "error" not in said, said["error"]
    return Ran(said, folder)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One run of all checks without a server."""
    said = dotnet_program.run("offline", tmp_path_factory.mktemp("offline"))
    assert "error" not in said, said["error"]
    return said


def test_it_runs_on_dotnet_8(live: Ran) -> None:
    assert live.said["runtime"].startswith("8.")


def test_it_lists_the_models_and_reads_a_whole_card(live: Ran) -> None:
    assert live.said["models"] == f"{NPC}:1:Serving {AVATAR}:1:Serving"
    assert live.said["card"] == "whole"


@pytest.mark.parametrize("seed", [7, (1 << 64) - 1])
def test_its_avatars_have_the_pixels_of_pythons(served: SidecarProcess, live: Ran, seed: int) -> None:
    with Client(served.address) as client:
        image = ImageSpec(format=IMAGE_FORMAT_RGBA8, row_origin=ROW_ORIGIN_BOTTOM_LEFT)
        spec = AvatarSpec(seeds=[seed], truncation=Truncation(psi=0.7), image=image)
        expected = rgba(client.generate_avatars(AVATAR, spec).avatars[0].image)
    raw = np.fromfile(live.folder / f"avatar-{seed}.rgba", np.uint8)
    np.testing.assert_array_equal(raw.reshape(expected.shape), expected)


def test_a_stream_puts_large_avatars_together_from_their_chunks(live: Ran) -> None:
    size = sum(4 * (1024 >> level) ** 2 for level in range(11))
    assert live.said["stream"] == " ".join(f"{seed}:11:{size}" for seed in (1, 2, 3))


def test_its_actions_are_pythons(served: SidecarProcess, live: Ran) -> None:
    values = 0.125 * np.arange(1, AGENTS + 1, dtype=np.float32)
    observations = {
        name: np.broadcast_to(values.reshape(-1, *[1] * len(box.shape)), (AGENTS, *box.shape))
        for name, box in observation_space().items()
    }
    mask = np.ones((AGENTS, MASK_SIZE), bool)
    mask[:, -1] = False
    with Client(served.address) as client:
        group = Group(NPC, range(1, AGENTS + 1), observations, action_mask=mask)
        answer = client.choose_actions([group])[0]
    expected = answer.actions["action"]
    given = np.array(live.said["actions"].split(), np.int64).reshape(expected.shape)
    np.testing.assert_array_equal(given, expected)
    likely = np.array(live.said["log-probabilities"].split(), np.float32)
    np.testing.assert_allclose(likely, answer.log_probabilities, rtol=1e-6)
    assert live.said["statuses"] == " ".join(["Ok"] * AGENTS)
    assert live.said["ended"] == "True"


def test_one_bad_agent_fails_alone(live: Ran) -> None:
    assert live.said["one bad agent"] == "Ok InvalidObservation Fallback"
    assert "NaN" in live.said["failure"]


def test_a_policy_describes_itself(live: Ran) -> None:
    boxes = observation_space()
    shapes = {name: "x".join(map(str, box.shape)) for name, box in boxes.items()}
    assert sorted(live.said["described"].split(", ")) == sorted(f"{name} Float32 {shape}" for name, shape in shapes.items())


def test_an_action_that_the_model_has_not_is_named_with_those_it_has(live: Ran) -> None:
    assert live.said["unknown action"] == 'no continuous action "jump", the model has discrete action'


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("no agents", "InvalidArgument|groups[0].agent_ids|INVALID_ARGUMENT|"),
        ("unknown model", "NotFound|model.name|NOT_FOUND|"),
        ("bad size", "InvalidArgument|spec.image.size_px|INVALID_ARGUMENT|"),
        ("bad size in a stream", "InvalidArgument|spec.image.size_px|INVALID_ARGUMENT|"),
        ("callback throws", "FormatException|mine"),
        ("no server", "Unavailable|||Unavailable: no connection to http://127.0.0.1:9"),
        ("deadline", "DeadlineExceeded|"),
        ("cancelled", "OperationCanceledException|"),
    ],
)
def test_a_call_that_fails_says_how_and_where(live: Ran, call: str, expected: str) -> None:
    assert live.said[call].startswith(expected)


def test_the_sidecar_serves_on_after_all_these_failures(live: Ran) -> None:
    assert live.said["after"] == "2 models"


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("frames in pieces", "ok"),
        ("frame too large", "RpcException|ResourceExhausted: a message of 2147483647 bytes"),
        ("frame with a negative size", "RpcException|ResourceExhausted: a message of 4294967295 bytes"),
        ("compressed frame", "RpcException|Internal: the answer is compressed"),
        ("frame of no message", "RpcException|Internal: 1 bytes are no Tensor"),
        ("cut frame", "RpcException|Unavailable: the answer ends within a message"),
        ("too much unread", "RpcException|ResourceExhausted: 0 bytes wait to be read and 3145728 more arrive"),
        ("reads while a message is not taken", "none then 0,1,2,3 then OperationCanceledException"),
        ("a full buffer", "room room full early 1@10.5 room 1 left 11.5 empty"),
        ("chunks out of order", "Internal: chunk 2 of 3 arrives, expected chunk 1"),
        ("a message before there is a connection", "Unavailable"),
        ("a message on a cut connection", "Unavailable"),
        ("no status", "RpcException|Unavailable: the answer ends without a status"),
        ("unknown status", "RpcException|Unknown: so be it"),
        ("status that is no number", "RpcException|Unknown: "),
        ("broken details", "RpcException|InvalidArgument: "),
        ("http 503", "RpcException|Unavailable: the server answered with HTTP 503"),
        ("floats there and back", "ok"),
        ("floats of a wrong shape", "ArgumentException|3 values for shape [2, 2]"),
        ("tensor of a wrong type", "FormatException|action is of type Float32, expected Int64"),
        ("tensor with bytes missing", "FormatException|action has 5 bytes for shape [2] of Float32, expected 8"),
        ("bools", "01-00-01"),
        ("agents of different widths", 'ArgumentException|agent 2 gave 1 numbers for "a", expected 2 numbers'),
        (
            "observations of other types",
            'ArgumentException|"door" was observed as other numbers than Single before ArgumentException|3 values for an '
            "observation of shape [2, 2, 3] ArgumentException|agent 2 gave nothing for",
        ),
        ("timeouts", "1m 250m 86400000m 10000000S"),
        ("no timeout", "ArgumentOutOfRangeException|a timeout is longer than zero"),
    ],
)
def test_a_part_without_a_server_keeps_its_contract(offline: dict[str, str], check: str, expected: str) -> None:
    assert offline[check].startswith(expected)
