"""RLModules of RLlib's new API stack, from the checkpoint folder of one module, where ray is installed.

Opening a checkpoint unpickles it, which runs whatever its maker put there: open only those of people you trust.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from bridge.npc_card import LOG_PROBABILITY
from export.npc.foreign.torch_modules import export_module
from export.npc.policy_options import PolicyOptions
from export.npc.sb3_graph.heads import Bounds, categorical, gaussian
from export.npc.spaces import NO_NOTES, OBSERVATION, action_spec, branches_of, dtype_of, listed, ranges
from export.npc.spec_file import PolicySpec, policy_spec

MODULE_FILES = ("class_and_ctor_args.pkl", "metadata.json")
LOGITS, GAUSSIAN = "action_dist_inputs", "TorchDiagGaussian"
WITHIN = ("learner_group/learner/rl_module/default_policy", "rl_module/default_policy", "default_policy")
"""Where the folder of a whole algorithm, of its learner or of its modules keeps the one called default_policy."""


class Acting(nn.Module):
    """An RLModule with what RLlib does around it: its distribution at the given noise, then the connector to the environment.

    `forward(observation, noise)` returns the action and its log-probability. A Box action is taken from [-1, 1] to its space,
    as RLlib does unless `normalize_actions` is off; that of a space without bounds is left alone.
    """

    def __init__(self, module: Any, squashed: bool) -> None:
        super().__init__()
        self.module = module
        self.branches = branches_of(module.action_space)
        self.squashed = squashed
        if not self.branches:
            self.bounds = Bounds(module.action_space, squashed)

    def forward(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        inputs = self.module._forward_inference({"obs": observation})[LOGITS]
        if self.branches:
            return categorical(inputs, self.branches, noise, None)
        mean, log_deviation = torch.chunk(inputs, 2, dim=-1)
        action, density = gaussian(mean, torch.exp(log_deviation), noise, squashed=False)
        return self.bounds(action), density


def module_folder(path: Path) -> Path | None:
    """Return the folder of an RLModule in a checkpoint folder, or `None` if it is no checkpoint of RLlib."""
    for folder in (path, *(path / inner for inner in WITHIN)):
        if all((folder / name).is_file() for name in MODULE_FILES):
            return folder
    return None


def export_rllib(folder: Path, models: Path, name: str, options: PolicyOptions, version: int | None = None) -> Path:
    """Publish the RLModule in a checkpoint's folder; `ValueError` where ray is missing or the module is of another kind."""
    if importlib.util.find_spec("ray") is None:
        raise ValueError(
            f"{folder} is a checkpoint of RLlib, and ray is not installed: pip install 'ray[rllib]' in a venv of its own"
        )
    from ray.rllib.core.rl_module.rl_module import RLModule

    module: Any = RLModule.from_checkpoint(str(folder.resolve()))
    kind = f"{type(module).__name__} of {module.observation_space} to {module.action_space}"
    if not isinstance(module, nn.Module) or module.is_stateful() or not isinstance(module.observation_space, spaces.Box):
        raise ValueError(f"{folder}: {kind}, expected PyTorch without memory that observes a Box; use --from MODULE:FUNCTION")
    module.eval()
    probe = torch.zeros(2, *module.observation_space.shape)
    if LOGITS not in module.forward_inference({"obs": probe}):
        raise ValueError(f'{folder}: {kind} gives no "{LOGITS}"; use --from MODULE:FUNCTION')
    action_space, distribution = module.action_space, module.get_inference_action_dist_cls().__name__
    if isinstance(action_space, spaces.Box) and distribution != GAUSSIAN:
        raise ValueError(f"{folder}: {kind} acts by a {distribution}, expected a {GAUSSIAN}; use --from MODULE:FUNCTION")
    squashed = isinstance(action_space, spaces.Box) and bool(action_space.is_bounded())
    policy = _spec(module, options)
    return export_module(
        Acting(module, squashed),
        policy,
        models,
        name,
        source=f"RLlib {type(module).__name__}",
        options=options,
        version=version,
    )


def _spec(module: Any, options: PolicyOptions) -> PolicySpec:
    space, action_space = module.observation_space, module.action_space
    low, high = ranges(space)
    notes = options.observation_notes.get(OBSERVATION, NO_NOTES)
    branches = branches_of(action_space)
    action = action_spec(action_space, options.action_notes)
    return policy_spec(
        {
            "observations": [
                {
                    "name": OBSERVATION,
                    "shape": list(space.shape),
                    "dtype": dtype_of(space),
                    "low": listed(low),
                    "high": listed(high),
                    "elements": list(notes.elements),
                    "units": notes.units,
                }
            ],
            "actions": [action],
            "noise": [{"kind": "gumbel", "size": sum(branches)} if branches else {"kind": "normal", "size": action["size"]}],
            LOG_PROBABILITY: True,
            "tick_seconds": options.tick_seconds,
        }
    )
