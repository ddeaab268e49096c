"""What a user types, from a saved policy to actions: the command publishes it, the sidecar draws by the seed as in training."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_policies
import torch
from conftest import sidecar_in_thread

from bridge.client import Client, ClientError, Group
from bridge.v1 import npc_service_pb2 as pb
from export.npc.commands import main

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
CHOOSER = tiny_policies.CASES["maskable ppo, multi-discrete"]
MOVER = tiny_policies.CASES["ppo of a vector, continuous"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A masked policy of choices and one of continuous actions with its normalizer, published by the command."""
    folder = tmp_path_factory.mktemp("typed")
    chooser = tiny_policies.trained(CHOOSER)
    env, normaliser = tiny_policies.stacked(2, normalised_first=False)
    mover = tiny_policies.trained((MOVER[0], "MlpPolicy", env.observation_space, tiny_policies.MOVE, {}), env)
    normaliser.save(str(folder / "vecnormalize.pkl"))
    models = str(folder / "models")
    main(["onnx", "--from", str(tiny_policies.save(chooser, folder, "chooser")), "--name", "chooser", "--models", models])
    zipped = str(tiny_policies.save(mover, folder, "mover"))
    stack = ["--normalizer", str(folder / "vecnormalize.pkl"), "--frame-stack", "2", "--tick-seconds", "0.5"]
    main(["onnx", "--from", zipped, "--name", "mover", "--models", models, *stack])
    return folder, chooser


@pytest.fixture(scope="module")
def client(published):
    """A client of a sidecar that serves both."""
    with sidecar_in_thread(published[0] / "models") as sidecar, Client(f"127.0.0.1:{sidecar.port}") as connected:
        yield connected


def test_choices_are_drawn_with_the_probabilities_of_training_and_say_how_likely_they_were(published, client):
    _, chooser = published
    count = 4000
    seen = np.tile(np.linspace(-2, 3, 5, dtype=np.float32), (count, 1))
    mask = np.tile(np.array([1, 1, 0, 1, 1, 1, 1, 0, 1], bool), (count, 1))
    group = Group("chooser", range(count), {"observation": seen}, action_mask=mask, seeded=True)
    (answer,) = client.choose_actions([group], seed=11, tick=2)
    actions = answer.actions["action"]
    with torch.no_grad():
        tensors = torch.from_numpy(seen), torch.from_numpy(actions)
        _, expected, _ = chooser.policy.evaluate_actions(*tensors, action_masks=torch.from_numpy(mask))
        parts = chooser.policy.get_distribution(tensors[0][:1], action_masks=mask[:1]).distributions
    np.testing.assert_allclose(answer.log_probabilities, expected.numpy(), atol=1e-4)
    for column, part in enumerate(parts):
        shares = np.bincount(actions[:, column], minlength=part.probs.shape[1]) / count
        np.testing.assert_allclose(shares, part.probs[0].numpy(), atol=5 * np.sqrt(0.25 / count))
    (again,) = client.choose_actions([group], seed=11, tick=2)
    np.testing.assert_array_equal(again.actions["action"], actions)
    (other,) = client.choose_actions([group], seed=12, tick=2)
    assert not np.array_equal(other.actions["action"], actions)


def test_agents_of_both_policies_travel_in_one_call_and_each_keeps_its_frames(client):
    choosers = Group("chooser", [1, 2], {"observation": np.zeros((2, 5), np.float32)}, name="choosers")
    still = {"observation": np.ones((2, 3), np.float32)}
    first = client.choose_actions([choosers, Group("mover", [1, 2], still, episode_starts=[True, True])], session="both")
    second = client.choose_actions([choosers, Group("mover", [1, 2], still, episode_starts=[False, True])], session="both")
    assert [answer.model for answer in first] == ["chooser", "mover"]
    before, after = first[1].actions["action"], second[1].actions["action"]
    np.testing.assert_array_equal(after[1], before[1])
    assert not np.array_equal(after[0], before[0])
    np.testing.assert_array_equal(first[0].actions["action"], second[0].actions["action"])
    client.end_session("both")


def test_an_agent_that_sees_nonsense_is_named_with_the_field(client):
    seen = np.zeros((2, 3), np.float32)
    seen[1, 2] = np.nan
    group = Group("mover", [5, 6], {"observation": seen}, episode_starts=[True, True])
    (answer,) = client.choose_actions([group], session="nonsense")
    assert answer.statuses == [pb.AGENT_STATUS_OK, pb.AGENT_STATUS_INVALID_OBSERVATION]
    assert answer.failures == {6: 'agent 6: observation "observation", element 2 is NaN, expected a finite number'}
    with pytest.raises(ClientError, match=r"shape is \[2, 6\], expected \[2, 3\]"):
        client.choose_actions([Group("mover", [5, 6], {"observation": np.zeros((2, 6), np.float32)})], session="nonsense")
    client.end_session("nonsense")


def test_the_policy_says_what_it_takes(client):
    mover = client.describe_policy("mover")
    assert [list(part.shape) for part in mover.observations] == [[3]]
    assert [state.name for state in mover.states] == ["observation_frames"]
    assert list(mover.actions[0].low) == [-1.0, -2.0]
    assert (mover.is_stochastic, mover.has_log_probabilities, mover.tick_seconds) == (True, True, 0.5)
    assert client.describe_policy("chooser").mask_width == 9


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--from", "{folder}/nothing.zip"], "No such file"),
        (["--from", "{folder}/mover.zip", "--frame-stack", "5"], "no stack of 5 frames"),
        (["--from", "{folder}/mover.zip", "--image-layout", "xyz"], "expected hwc or chw"),
        (["--from", "{folder}/vecnormalize.pkl"], "checkpoint"),
    ],
)
def test_what_a_user_got_wrong_is_one_line(published, options, text):
    folder = published[0]
    filled = [option.format(folder=folder) for option in options]
    with pytest.raises(SystemExit, match=text) as caught:
        main(["onnx", *filled, "--name", "wrong", "--models", str(folder / "wrong")])
    assert "\n" not in str(caught.value)
    assert not (folder / "wrong" / "wrong").exists()
