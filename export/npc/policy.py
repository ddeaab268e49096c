"""The trained policy as one module: raw observations in, engine-ready actions out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export import checkpoint
from export.npc.config import TrainConfig, config_from_json
from export.npc.env import ACTION_HIGH, ACTION_LOW, OBSERVATION_SIZE, Float32
from export.npc.train import CHECKPOINT, KIND

VARIANCE_EPSILON = 1e-8


class AssistantPolicy(nn.Module):
    """Normalise, clip, act, add noise, clip, scale: `forward(observation, noise)` gives the action in engine units.

    observation float32[batch, OBSERVATION_SIZE] is raw; noise float32[batch, 2] is zeros for the deterministic action and
    standard normal for one drawn as in training. The action float32[batch, 2] is (speed in m/s, turn in rad/s), within
    its bounds.
    """

    def __init__(self, hidden: Sequence[int], observation_clip: float) -> None:
        super().__init__()
        sizes = [OBSERVATION_SIZE, *hidden]
        pairs = pairwise(sizes)
        layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.Tanh())]
        self.actor = nn.Sequential(*layers, nn.Linear(sizes[-1], len(ACTION_LOW)))
        self.observation_clip = observation_clip
        self.register_buffer("mean", torch.zeros(OBSERVATION_SIZE))
        self.register_buffer("inverse_std", torch.ones(OBSERVATION_SIZE))
        self.register_buffer("std", torch.ones(len(ACTION_LOW)))
        self.register_buffer("centre", torch.from_numpy(ACTION_HIGH + ACTION_LOW) / 2.0)
        self.register_buffer("reach", torch.from_numpy(ACTION_HIGH - ACTION_LOW) / 2.0)
        self.mean: Tensor
        self.inverse_std: Tensor
        self.std: Tensor
        self.centre: Tensor
        self.reach: Tensor

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        limit = self.observation_clip
        normalised = ((observation - self.mean) * self.inverse_std).clamp(-limit, limit)
        action = (self.actor(normalised) + self.std * noise).clamp(-1.0, 1.0)
        return self.centre + self.reach * action

    @torch.no_grad()
    def act(self, observations: Float32) -> Float32:
        """Return the deterministic actions float32[N, 2] for raw observations float32[N, OBSERVATION_SIZE]."""
        return self(torch.from_numpy(observations), torch.zeros(len(observations), len(ACTION_LOW))).numpy()


def policy_from(state: dict[str, Any]) -> AssistantPolicy:
    """Return the policy in a checkpoint's state."""
    config = config_from_json(state["config"])
    policy = AssistantPolicy(config.hidden, config.observation_clip)
    weights, normalisation = state["policy"], state["normalisation"]
    linear = [layer for layer in policy.actor if isinstance(layer, nn.Linear)]
    names = [f"mlp_extractor.policy_net.{2 * i}" for i in range(len(config.hidden))] + ["action_net"]
    for layer, name in zip(linear, names, strict=True):
        layer.load_state_dict({"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]})
    variance = normalisation["observation_var"] + VARIANCE_EPSILON
    policy.mean.copy_(normalisation["observation_mean"])
    policy.inverse_std.copy_(variance.rsqrt())
    policy.std.copy_(weights["log_std"].exp())
    return policy.requires_grad_(False).eval()


def read_run(source: Path) -> dict[str, Any]:
    """Return the checkpoint's state of a run folder or a checkpoint file; `CheckpointError` if there is none."""
    return checkpoint.load(source / CHECKPOINT if source.is_dir() else source, KIND)


def open_run(source: Path) -> tuple[AssistantPolicy, TrainConfig]:
    """Return the policy of a run folder or a checkpoint file, and the configuration it was trained with."""
    state = read_run(source)
    return policy_from(state), config_from_json(state["config"])
