"""RLModules of RLlib, where ray is installed: what is published has the module's own distribution, unscaled as RLlib does."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from gymnasium import spaces

from bridge.model_card import read_card
from export.npc.to_onnx import export_policy

SEEN = spaces.Box(-1.0, 1.0, (4,), np.float32)
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "multi-discrete": spaces.MultiDiscrete([3, 2]),
    "continuous": spaces.Box(-2.0, 3.0, (2,), np.float32),
}


def test_without_ray_a_checkpoint_is_refused_in_words(tmp_path, monkeypatch):
    for name in ("class_and_ctor_args.pkl", "metadata.json"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"ray is not installed: pip install 'ray\[rllib\]'"):
        export_policy(str(tmp_path), tmp_path / "models", "module")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ACTIONS)
def test_a_module_acts_as_rllib_does(tmp_path, name):
    pytest.importorskip("ray.rllib", reason="ray is not installed", exc_type=ImportError)
    from ray.rllib.algorithms.ppo.ppo_catalog import PPOCatalog
    from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.rllib.utils.spaces.space_utils import unsquash_action

    module = DefaultPPOTorchRLModule(
        observation_space=SEEN,
        action_space=ACTIONS[name],
        model_config=DefaultModelConfig(fcnet_hiddens=[16, 16]),
        catalog_class=PPOCatalog,
    )
    module.save_to_path(str(tmp_path / "checkpoint"))
    bundle = export_policy(str(tmp_path / "checkpoint"), tmp_path / "models", "module")
    assert "RLlib" in read_card(bundle / "card.json").provenance.config["module"]
    session = onnxruntime.InferenceSession(str(bundle / "policy.onnx"), providers=["CPUExecutionProvider"])
    seen = np.random.default_rng(0).uniform(-1, 1, (50, 4)).astype(np.float32)
    width = session.get_inputs()[1].shape[1]
    feeds = {"observation": seen, "noise": np.zeros((50, width), np.float32)}
    action, log_probability = session.run(["action", "log_probability"], feeds)
    logits = module.forward_inference({"obs": torch.from_numpy(seen)})["action_dist_inputs"]
    distribution = module.get_inference_action_dist_cls().from_logits(logits)
    likeliest = distribution.to_deterministic().sample()
    if name == "multi-discrete":
        likeliest = torch.stack(list(likeliest), dim=1) if not isinstance(likeliest, torch.Tensor) else likeliest
    wanted = likeliest.detach().numpy().reshape(50, -1)
    if name == "continuous":
        wanted = unsquash_action(wanted, ACTIONS[name])
        own = distribution.logp(likeliest).detach().numpy()
        np.testing.assert_allclose(log_probability, own, atol=1e-4)
    np.testing.assert_allclose(action, wanted, atol=1e-5)
