"""Saved policies of strangers: opening one runs none of its code, and says what would have to be trusted."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
import textwrap
import zipfile

import cloudpickle
import pytest
import tiny_policies
from stable_baselines3 import PPO

from export.npc.sb3_graph.archive import open_archive
from export.npc.sb3_graph.normalizer import open_normalizer
from export.npc.sb3_graph.unpickle import UntrustedCode, loads

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Attack:
    """Pickles as a call of os.system."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("key", ["policy_class", "observation_space", "action_space", "policy_kwargs"])
def test_no_part_of_an_archive_runs_code(tmp_path, key):
    good = tiny_policies.save(tiny_policies.trained(tiny_policies.CASES["dqn"]), tmp_path)
    with zipfile.ZipFile(good) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(parts["data"])
    data[key] = {":type:": "x", ":serialized:": base64.b64encode(pickle.dumps(Attack(tmp_path / "ran"))).decode()}
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        for name, content in (parts | {"data": json.dumps(data).encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(UntrustedCode, match=f'"{key}": the file wants "posix.system".*--trust posix'):
        open_archive(bad)
    assert not (tmp_path / "ran").exists()


def test_weights_are_read_as_tensors_alone(tmp_path):
    good = tiny_policies.save(tiny_policies.trained(tiny_policies.CASES["dqn"]), tmp_path)
    with zipfile.ZipFile(good) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name, content in (parts | {"policy.pth": pickle.dumps(Attack(tmp_path / "ran"))}).items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="more than tensors or is damaged"):
        open_archive(tmp_path / "bad.zip")
    assert not (tmp_path / "ran").exists()


def test_a_normalizer_runs_no_code(tmp_path):
    path = tmp_path / "vecnormalize.pkl"
    path.write_bytes(pickle.dumps(Attack(tmp_path / "ran")))
    with pytest.raises(UntrustedCode, match="posix"):
        open_normalizer(path)
    path.write_bytes(b"\x80\x04no pickle")
    with pytest.raises(ValueError, match="cannot be unpickled"):
        open_normalizer(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match=r"has no .*expected what VecNormalize.save\(\)"):
        open_normalizer(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("harmful", [eval, exec, getattr, __import__, os.system, open, pickle.loads])
def test_functions_of_the_language_are_not_let_in(harmful):
    with pytest.raises(UntrustedCode):
        loads(pickle.dumps(harmful))


def test_code_of_a_trusted_module_is_let_in_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "their_extractor.py").write_text(
        textwrap.dedent(
            """
            import torch
            from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

            class Doubled(BaseFeaturesExtractor):
                def __init__(self, space):
                    super().__init__(space, 10)

                def forward(self, observation):
                    return torch.cat([observation, observation], dim=1)
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    import their_extractor

    settings = {"policy_kwargs": {"features_extractor_class": their_extractor.Doubled}}
    model = tiny_policies.trained((PPO, "MlpPolicy", tiny_policies.BOX, tiny_policies.MOVE, settings))
    path = tiny_policies.save(model, tmp_path)
    with pytest.raises(UntrustedCode, match="--trust their_extractor"):
        open_archive(path)
    assert open_archive(path, ["their_extractor"]).policy.features_extractor.features_dim == 10
    sys.modules.pop("their_extractor")


def test_code_that_lies_in_the_file_needs_trust_in_everything():
    namespace: dict = {"__name__": "__main__"}
    exec("def double(x):\n    return 2 * x", namespace)
    pickled = cloudpickle.dumps(namespace["double"])
    with pytest.raises(UntrustedCode, match="--trust everything"):
        loads(pickled)
    assert loads(pickled, ["everything"])(21) == 42
