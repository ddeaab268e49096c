"""Rules of exporting policies of Stable-Baselines3: what is published acts as `predict` does, or nothing is published."""

from __future__ import annotations

import json
import zipfile

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_policies
from gymnasium import spaces
from stable_baselines3 import PPO

from bridge.model_card import read_card
from bridge.npc_card import Spec
from export.npc.policy_options import PolicyOptions
from export.npc.sb3_graph.publish import export_sb3
from export.npc.spaces import Notes
from export.parity import ParityError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


def card_of(bundle):
    card = read_card(bundle / "card.json")
    spec = msgspec.convert(card.spec, Spec)
    spec.check(card)
    return card, spec


@pytest.mark.parametrize("name", tiny_policies.CASES)
def test_every_algorithm_and_every_kind_of_space_acts_as_it_was_trained(tmp_path, name):
    case = tiny_policies.CASES[name]
    bundle = export_sb3(tiny_policies.save(tiny_policies.trained(case), tmp_path), tmp_path / "models", "policy")
    card, spec = card_of(bundle)
    assert card.provenance.trainer == f"Stable-Baselines3 {case[0].__name__}"
    graph = card.graph("policy")
    report = graph.parity_report
    assert (report["observations"], graph.parity_batches) == (1000, list(range(1, 65)))
    assert graph.parity_error == pytest.approx(max(report["errors"].values()), rel=0.01)
    assert ("sampled action" in report["errors"]) == spec.log_probability == bool(spec.noise)
    assert bool(spec.states) == ("recurrent" in name)
    assert not spec.states or (report["episode_steps"] == 1600 and report["resets"] > 10)
    assert bool(spec.mask_size) == ("maskable" in name)


@pytest.mark.parametrize("normalised_first", [True, False])
def test_frames_are_stacked_and_normalised_in_the_graph_in_the_order_of_training(tmp_path, normalised_first):
    env, normaliser = tiny_policies.stacked(3, normalised_first)
    model = tiny_policies.trained((PPO, "MlpPolicy", env.observation_space, tiny_policies.MOVE, {}), env)
    normaliser.save(str(tmp_path / "vecnormalize.pkl"))
    bundle = export_sb3(
        tiny_policies.save(model, tmp_path),
        tmp_path / "models",
        "stacked",
        normalizer=tmp_path / "vecnormalize.pkl",
        options=PolicyOptions(frames=3),
    )
    _, spec = card_of(bundle)
    assert spec.observations[0].shape == [3]
    assert [(state.name, state.shape) for state in spec.states] == [("observation_frames", [6])]
    session = onnxruntime.InferenceSession(str(bundle / "policy.onnx"), providers=["CPUExecutionProvider"])
    normaliser.training = False
    frames = np.zeros((1, 6), np.float32)
    stacked = env.reset()
    raw = latest(env, normaliser, stacked, normalised_first)
    for _ in range(60):
        feeds = {"observation": raw, "observation_frames": frames, "noise": np.zeros((1, 2), np.float32)}
        action, frames = session.run(["action", "next_observation_frames"], feeds)
        expected, _ = model.predict(stacked, deterministic=True)
        np.testing.assert_allclose(action, expected, atol=1e-5)
        stacked, _, dones, _ = env.step(expected)
        raw = latest(env, normaliser, stacked, normalised_first)
        if dones[0]:
            frames = np.zeros((1, 6), np.float32)


def latest(env, normaliser, stacked, normalised_first):
    """The raw frame that is the last of a stack."""
    inner = normaliser.get_original_obs()
    return np.ascontiguousarray(inner[:, -3:], dtype=np.float32)


def test_pictures_are_taken_as_the_environment_gives_them_or_as_asked(tmp_path):
    model = tiny_policies.trained(tiny_policies.CASES["a2c of pictures, discrete"])
    picture = np.random.default_rng(0).integers(0, 256, (4, 36, 40, 3), np.uint8)
    expected, _ = model.predict(picture, deterministic=True)
    for channels_last, layout in ((True, "HWC"), (False, "CHW")):
        options = PolicyOptions(channels_last=channels_last)
        bundle = export_sb3(model, tmp_path / "models", layout.lower(), options=options)
        _, spec = card_of(bundle)
        (observation,) = spec.observations
        assert (observation.layout, observation.low, observation.high) == (layout, [0.0], [255.0])
        session = onnxruntime.InferenceSession(str(bundle / "policy.onnx"), providers=["CPUExecutionProvider"])
        given = picture if channels_last else np.ascontiguousarray(picture.transpose(0, 3, 1, 2))
        (action,) = session.run(["action"], {"observation": given, "noise": np.zeros((4, 4), np.float32)})
        np.testing.assert_array_equal(action[:, 0], expected)


def test_the_card_has_names_ranges_and_units(tmp_path):
    model = tiny_policies.trained(tiny_policies.CASES["tqc of mixed observations"])
    options = PolicyOptions(
        tick_seconds=0.05,
        environment="noise",
        observation_notes={"place": Notes(("a", "b", "c", "d", "e"), "m")},
        action_notes=Notes(("speed", "turn"), "m/s, rad/s"),
    )
    card, spec = card_of(export_sb3(model, tmp_path / "models", "named", options=options))
    place, view = spec.observations
    assert (place.elements, place.units, place.low, place.high) == (["a", "b", "c", "d", "e"], "m", [-2.0], [3.0])
    assert (view.layout, view.shape) == ("HWC", [36, 40, 3])
    (action,) = spec.actions
    assert (action.kind, action.low, action.high, action.elements) == (
        "continuous",
        [-1.0, -2.0],
        [1.0, 5.0],
        ["speed", "turn"],
    )
    assert (spec.tick_seconds, card.provenance.dataset, card.provenance.metrics["steps"]) == (0.05, "noise", 40)


def test_recorded_observations_are_what_the_gate_takes(tmp_path):
    model = tiny_policies.trained(tiny_policies.CASES["dqn"])
    np.savez(tmp_path / "seen.npz", observation=np.random.default_rng(0).uniform(-2, 3, (300, 5)))
    bundle = export_sb3(model, tmp_path / "models", "seen", options=PolicyOptions(recorded=tmp_path / "seen.npz"))
    assert card_of(bundle)[0].graph("policy").parity_report["source"] == "seen.npz"
    np.savez(tmp_path / "wrong.npz", observation=np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r'expected "observation" of shape \[N, \(5,\)\]'):
        export_sb3(model, tmp_path / "models", "wrong", options=PolicyOptions(recorded=tmp_path / "wrong.npz"))
    assert not (tmp_path / "models" / "wrong" / "1").exists()


@pytest.mark.parametrize(("case", "weight"), [("sac", "policy.actor.mu.bias"), ("dqn", "policy.q_net.q_net.4.bias")])
def test_a_graph_that_acts_otherwise_is_not_published(tmp_path, monkeypatch, case, weight):
    """A weight of the written file is off by a little: the gate has to see it."""
    model = tiny_policies.trained(tiny_policies.CASES[case])
    write = onnx.save_model

    def damaged(proto, path, *args, **kwargs):
        (tensor,) = [tensor for tensor in proto.graph.initializer if tensor.name == weight]
        values = onnx.numpy_helper.to_array(tensor).copy()
        values[0] += 0.01 if case == "sac" else 1.0
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        write(proto, path, *args, **kwargs)

    monkeypatch.setattr(onnx, "save_model", damaged)
    with pytest.raises(ParityError, match=r"batch \d+, seed \d+, deterministic"):
        export_sb3(model, tmp_path / "models", "damaged")
    assert not list((tmp_path / "models").glob("damaged/1"))


def test_what_does_not_fit_together_is_refused_in_words(tmp_path):
    _, normaliser = tiny_policies.stacked(3, normalised_first=False)
    normaliser.save(str(tmp_path / "nine.pkl"))
    model = tiny_policies.trained(tiny_policies.CASES["ppo of a vector, continuous"])
    for options, normalizer, text in (
        (PolicyOptions(frames=2), None, "no stack of 2 frames"),
        (PolicyOptions(), tmp_path / "nine.pkl", r'the normalizer has "observation" of shape \(9,\), the policy \(5,\)'),
    ):
        with pytest.raises(ValueError, match=text):
            export_sb3(model, tmp_path / "models", "wrong", normalizer=normalizer, options=options)
    reserved = spaces.Dict(noise=tiny_policies.BOX)
    odd = tiny_policies.trained((PPO, "MultiInputPolicy", reserved, tiny_policies.MOVE, {}))
    with pytest.raises(ValueError, match='an observation is called "noise"'):
        export_sb3(odd, tmp_path / "models", "odd")


def test_a_file_that_is_no_policy_is_refused_in_words(tmp_path):
    good = tiny_policies.save(tiny_policies.trained(tiny_policies.CASES["dqn"]), tmp_path)
    with zipfile.ZipFile(good) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "text.zip").write_bytes(b"no zip at all")
    for name, changed, text in (
        ("weights", {"policy.pth": b"garbage"}, "more than tensors or is damaged"),
        ("data", {"data": b"{"}, "no zip of Stable-Baselines3"),
        ("empty", {"data": b"{}"}, 'has no "policy_class"'),
    ):
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for part, content in (parts | changed).items():
                archive.writestr(part, content)
        with pytest.raises(ValueError, match=text):
            export_sb3(path, tmp_path / "models", "bad")
    with pytest.raises(ValueError, match="no zip of Stable-Baselines3"):
        export_sb3(tmp_path / "text.zip", tmp_path / "models", "bad")
    data = json.loads(parts["data"])
    other = json.loads(
        zipfile.ZipFile(
            tiny_policies.save(tiny_policies.trained(tiny_policies.CASES["qrdqn of categories"]), tmp_path, "other")
        ).read("data")
    )
    data["observation_space"] = other["observation_space"]
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as archive:
        for part, content in (parts | {"data": json.dumps(data).encode()}).items():
            archive.writestr(part, content)
    with pytest.raises(ValueError, match="its weights do not fit the DQN policy"):
        export_sb3(tmp_path / "mixed.zip", tmp_path / "models", "bad")
