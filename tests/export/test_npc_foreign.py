"""Rules of publishing policies that others made: they act as their file does and draw by the seed, or they are refused."""

from __future__ import annotations

import json

import ml_agents_files
import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from ml_agents_files import Behaviour
from torch import nn

from bridge import seeds
from bridge.model_card import read_card
from bridge.npc_card import Spec
from export.npc.spec_file import policy_spec
from export.npc.to_onnx import export_policy
from export.onnx_model import ParityError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
BEHAVIOURS = {
    "continuous": Behaviour(continuous=2),
    "discrete, masked": Behaviour(branches=(4, 3)),
    "hybrid, with a picture and a memory": Behaviour((3, 4), (3, 12, 10), continuous=2, branches=(3, 2), memory=8),
    "squashed, as of SAC": Behaviour(continuous=3, squashed=True, memory=4),
}


def open_bundle(bundle):
    card = read_card(bundle / "card.json")
    spec = msgspec.convert(card.spec, Spec)
    spec.check(card)
    session = onnxruntime.InferenceSession(str(bundle / "policy.onnx"), providers=["CPUExecutionProvider"])
    return card, spec, session


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_what_ml_agents_exported_acts_as_it_did(tmp_path, name):
    behaviour = BEHAVIOURS[name]
    ml_agents_files.write(behaviour, tmp_path / "agent.onnx")
    card, spec, session = open_bundle(export_policy(str(tmp_path / "agent.onnx"), tmp_path / "models", "agent"))
    assert [action.name for action in spec.actions] == [
        *(["continuous_actions"] if behaviour.continuous else []),
        *(["discrete_actions"] if behaviour.branches else []),
    ]
    assert spec.mask_size == sum(behaviour.branches)
    assert [(state.name, state.shape) for state in spec.states] == (
        [("recurrent_in", [1, behaviour.memory])] if behaviour.memory else []
    )
    assert [(part.kind, part.size) for part in spec.noise] == [
        *([("normal", behaviour.continuous)] if behaviour.continuous else []),
        *(("gumbel", size) for size in behaviour.branches),
    ]
    assert {node.name for node in session.get_outputs()} == {*(action.name for action in spec.actions)} | (
        {"recurrent_out"} if behaviour.memory else set()
    )
    report = card.graph("policy").parity_report
    assert set(report["errors"]) == {node.name for node in session.get_outputs()}
    assert report.get("episode_steps", 0) == (1600 if behaviour.memory else 0)


def test_what_ml_agents_drew_in_the_graph_is_drawn_by_the_seed_with_the_same_probabilities(tmp_path):
    actor = ml_agents_files.write(Behaviour(continuous=1, branches=(3,)), tmp_path / "agent.onnx")
    _, _, session = open_bundle(export_policy(str(tmp_path / "agent.onnx"), tmp_path / "models", "agent"))
    count = 20_000
    observation = np.tile(np.linspace(-1, 1, 6, dtype=np.float32), (count, 1))
    normal = seeds.action_normals(3, range(count), 0, 1)
    gumbel = seeds.action_gumbels(3, range(count), 0, 4)[:, 1:]
    feeds = {"obs_0": observation, "noise": np.concatenate([normal, gumbel], axis=1), "action_mask": np.ones((count, 3), bool)}
    move, choice = session.run(["continuous_actions", "discrete_actions"], feeds)
    with torch.no_grad():
        encoded = torch.tanh(actor.body(torch.from_numpy(observation[:1])))
        mean, deviation = actor.mu(encoded).item(), actor.log_sigma.exp().item()
        shares = torch.softmax(actor.heads[0](encoded), dim=1)[0].numpy()
    np.testing.assert_allclose(move, np.clip(mean + deviation * normal, -3, 3) / 3, atol=1e-5)
    np.testing.assert_allclose(np.bincount(choice[:, 0], minlength=3) / count, shares, atol=5 * np.sqrt(0.25 / count))


def test_forbidden_actions_are_not_drawn(tmp_path):
    ml_agents_files.write(Behaviour(branches=(4,)), tmp_path / "agent.onnx")
    _, _, session = open_bundle(export_policy(str(tmp_path / "agent.onnx"), tmp_path / "models", "agent"))
    mask = np.tile([False, True, False, True], (500, 1))
    feeds = {
        "obs_0": np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32),
        "noise": seeds.action_gumbels(1, range(500), 0, 4),
        "action_mask": mask,
    }
    (choice,) = session.run(["discrete_actions"], feeds)
    assert set(choice[:, 0].tolist()) == {1, 3}


def damaged(tmp_path, change):
    ml_agents_files.write(Behaviour(continuous=2), tmp_path / "agent.onnx")
    model = onnx.load(tmp_path / "agent.onnx")
    change(model)
    onnx.save(model, tmp_path / "changed.onnx")
    return str(tmp_path / "changed.onnx")


def old_version(model):
    for weight in model.graph.initializer:
        if onnx.numpy_helper.to_array(weight).tolist() == [3.0]:
            weight.CopyFrom(onnx.numpy_helper.from_array(np.array([2.0], np.float32), weight.name))


def uniform_noise(model):
    for node in model.graph.node:
        if node.op_type == "RandomNormalLike":
            node.op_type = "RandomUniformLike"


@pytest.mark.parametrize(
    ("change", "text"),
    [(old_version, "version_number is 2, expected 3"), (uniform_noise, 'draws by "RandomUniformLike", which no seed controls')],
)
def test_what_is_not_understood_is_refused_in_words(tmp_path, change, text):
    with pytest.raises(ValueError, match=text):
        export_policy(damaged(tmp_path, change), tmp_path / "models", "changed")
    assert not (tmp_path / "models" / "changed" / "1").exists()


def test_a_file_that_is_no_model_is_refused_in_words(tmp_path):
    (tmp_path / "text.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="no ONNX model with its weights inside"):
        export_policy(str(tmp_path / "text.onnx"), tmp_path / "models", "text")


class Hybrid(nn.Module):
    """Continuous and discrete actions, a memory and a mask: what Stable-Baselines3 trains none of."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.GRUCell(5, 8)
        self.move, self.act = nn.Linear(8, 2), nn.Linear(8, 3)

    def forward(self, place, door, memory, noise, action_mask):
        seen = torch.cat([place, nn.functional.one_hot(door, 2).float()], dim=1)
        memory = self.body(seen, memory)
        move = torch.tanh(self.move(memory) + 0.3 * noise[:, :2])
        scores = torch.where(action_mask, self.act(memory), -1e8)
        act = torch.argmax(scores + noise[:, 2:], dim=1, keepdim=True)
        log_probability = torch.log_softmax(scores, dim=1).gather(1, act)[:, 0] - 0.5 * noise[:, :2].square().sum(dim=1)
        return move, act, memory, log_probability


SPEC = {
    "observations": [
        {"name": "place", "shape": [3], "elements": ["x", "y", "z"], "units": "m"},
        {"name": "door", "shape": [], "low": [0], "high": [1], "dtype": "int64"},
    ],
    "actions": [
        {"name": "move", "kind": "continuous", "size": 2, "low": [-1, -1], "high": [1, 1], "units": "m/s"},
        {"name": "act", "kind": "discrete", "size": 1, "branches": [3]},
    ],
    "states": [{"name": "memory", "output": "next_memory", "shape": [8]}],
    "noise": [{"kind": "normal", "size": 2}, {"kind": "gumbel", "size": 3}],
    "mask_size": 3,
    "log_probability": True,
    "tick_seconds": 0.1,
}


@pytest.fixture
def spec_path(tmp_path):
    """The spec of `Hybrid` in a file."""
    path = tmp_path / "hybrid.json"
    path.write_text(json.dumps(SPEC))
    return path


def hybrid_feeds():
    rng = np.random.default_rng(0)
    return {
        "place": rng.normal(size=(6, 3)).astype(np.float32),
        "door": rng.integers(0, 2, 6),
        "memory": rng.normal(size=(6, 8)).astype(np.float32),
        "noise": rng.normal(size=(6, 5)).astype(np.float32),
        "action_mask": np.tile([True, False, True], (6, 1)),
    }


def test_a_module_with_hybrid_actions_is_published_from_a_function_and_from_a_program(tmp_path, spec_path, monkeypatch):
    module = Hybrid().eval()
    feeds = hybrid_feeds()
    tensors = tuple(torch.from_numpy(array) for array in feeds.values())
    axes = tuple({0: torch.export.Dim("batch")} for _ in tensors)
    torch.export.save(torch.export.export(module, tensors, dynamic_shapes=axes), tmp_path / "hybrid.pt2")
    monkeypatch.setitem(__import__("sys").modules, "their_policies", type("Module", (), {"make": staticmethod(Hybrid)}))
    with torch.no_grad():
        expected = [part.numpy() for part in module(*tensors)]
    for source in (str(tmp_path / "hybrid.pt2"), "their_policies:make"):
        card, _, session = open_bundle(export_policy(source, tmp_path / "models", "hybrid", spec=spec_path))
        report = card.graph("policy").parity_report
        assert set(report["errors"]) == {"move", "act", "next_memory", "log_probability"}
        assert report["episode_steps"] == 1600
        values = session.run(["move", "act", "next_memory", "log_probability"], feeds)
        for want, got in zip(expected, values, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)
        assert card.spec["observations"][0]["elements"] == ["x", "y", "z"]


def test_a_bare_onnx_file_is_published_under_a_spec(tmp_path, spec_path):
    module, feeds = Hybrid().eval(), hybrid_feeds()
    names = ["move", "act", "next_memory", "log_probability"]
    torch.onnx.export(
        module,
        tuple(torch.from_numpy(array) for array in feeds.values()),
        str(tmp_path / "bare.onnx"),
        dynamo=False,
        input_names=list(feeds),
        output_names=names,
        dynamic_axes={name: {0: "agents"} for name in (*feeds, *names)},
    )
    card, _, session = open_bundle(export_policy(str(tmp_path / "bare.onnx"), tmp_path / "models", "bare", spec=spec_path))
    assert card.provenance.config == {"file": "bare.onnx"}
    with torch.no_grad():
        expected = module(*(torch.from_numpy(array) for array in feeds.values()))
    np.testing.assert_allclose(session.run(["move"], feeds)[0], expected[0].numpy(), atol=1e-5)
    wrong = SPEC | {"actions": [SPEC["actions"][0] | {"name": "walk"}, SPEC["actions"][1]]}
    spec_path.write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match=r"the graph has .*its spec says \['walk', 'act'"):
        export_policy(str(tmp_path / "bare.onnx"), tmp_path / "models", "wrong", spec=spec_path)


def test_a_bare_onnx_file_that_knows_one_agent_alone_is_refused(tmp_path):
    """Its batch is written into a Reshape: the gate has to see that many agents are not many times one."""
    text = """
    <ir_version: 10, opset_import: ["": 20]>
    policy (float[batch,4] seen) => (float[batch,1] move)
    {
      column = Constant <value_ints: ints = [0]> ()
      all = ReduceMean <keepdims: int = 1> (seen, column)
      own = ReduceMean <keepdims: int = 1> (seen, axis)
      of_all = ReduceMean <keepdims: int = 1> (all, axis)
      move = Add (own, of_all)
    }
    """
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axis"))
    onnx.save(model, tmp_path / "mixed.onnx")
    action = {"name": "move", "kind": "continuous", "size": 1, "low": [None], "high": [None]}
    spec = {"observations": [{"name": "seen", "shape": [4]}], "actions": [action]}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(ParityError, match='"move" differs'):
        export_policy(str(tmp_path / "mixed.onnx"), tmp_path / "models", "mixed", spec=tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"observations": [{"name": "place", "shape": [3], "dtype": "float8"}]}, "dtypes"),
        ({"actions": [{"name": "act", "kind": "discrete", "size": 2, "branches": [3]}]}, "has ranges of lengths"),
        ({"surprise": 1}, "surprise"),
        ({"noise": [{"kind": "loud", "size": 2}]}, "loud"),
    ],
)
def test_a_spec_that_is_wrong_is_refused_in_words(change, text):
    with pytest.raises(ValueError, match=text):
        policy_spec(SPEC | change)


def test_options_that_a_file_does_not_take_are_refused(tmp_path, spec_path):
    ml_agents_files.write(Behaviour(continuous=2), tmp_path / "agent.onnx")
    with pytest.raises(ValueError, match=r"--normalizer is .*takes none; leave it out"):
        export_policy(str(tmp_path / "agent.onnx"), tmp_path / "models", "agent", normalizer=tmp_path / "vecnormalize.pkl")
    with pytest.raises(ValueError, match="does not say what it observes"):
        export_policy("their_policies:make", tmp_path / "models", "agent")
    with pytest.raises(ValueError, match="cannot be imported"):
        export_policy("no_such_module:make", tmp_path / "models", "agent", spec=spec_path)
