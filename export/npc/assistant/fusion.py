"""The features of a policy: one encoder a sense, attention over the map, a gate a sense, fused into one vector.

Each sense is encoded alone; the gates, one a sense, see all of them (after the gated multimodal units of Arevalo et al. 2017,
arXiv:1702.01992). What was said chooses by attention (Bahdanau et al. 2015, arXiv:1409.0473) which place of the map
matters. A sense that is all zeros is taken to be missing: its encoding and its gate are 0.
"""

from __future__ import annotations

import math

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from export.npc.world.spec import KINDS, MAP_START, MODALITIES

_QUERY = 16
_STREAMS = (*MODALITIES, "map")


class FusionExtractor(BaseFeaturesExtractor):
    """Observations of the assistant's world, by name, float32[batch, ...], to features float32[batch, features]."""

    def __init__(self, observation_space: gym.spaces.Dict, width: int = 48, features: int = 128) -> None:
        super().__init__(observation_space, features)
        sizes = {name: math.prod(observation_space[name].shape or ()) for name in MODALITIES} | {"own": MAP_START, "map": 6}
        self.encoders = nn.ModuleDict({name: _encoder(size, width) for name, size in sizes.items()})
        self.query = nn.Linear(2 * width, _QUERY)
        self.keys = nn.Parameter(torch.randn(len(KINDS), _QUERY))
        self.gates = nn.Linear(len(_STREAMS) * width, len(_STREAMS))
        self.fuse = nn.Sequential(nn.Linear(len(_STREAMS) * width, features), nn.ReLU())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        batch = observations["own"].shape[0]
        senses = {name: observations[name].reshape(batch, -1) for name in MODALITIES}
        places = senses["own"][:, MAP_START:].reshape(batch, len(KINDS), 3)
        senses["own"] = senses["own"][:, :MAP_START]
        present = [(senses[name].abs().amax(dim=1, keepdim=True) > 0.0).to(places.dtype) for name in MODALITIES]
        codes = [self.encoders[name](senses[name]) * here for name, here in zip(MODALITIES, present, strict=True)]
        language, own = MODALITIES.index("language"), MODALITIES.index("own")
        attended, known = self._attend(torch.cat((codes[language], codes[own]), dim=1), places)
        codes.append(self.encoders["map"](attended) * known)
        gates = torch.sigmoid(self.gates(torch.cat(codes, dim=1)))
        return self.fuse(torch.cat([code * gates[:, i : i + 1] for i, code in enumerate(codes)], dim=1))

    def _attend(self, context: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the place that matters (left, forward, distance, bearing's sine, cosine, certainty), and if one is known."""
        known = places[:, :, 0]
        scores = self.query(context) @ self.keys.T / math.sqrt(_QUERY) - 1e4 * (1.0 - known)
        weights = torch.softmax(scores, dim=1) * known
        at = (weights.unsqueeze(2) * places[:, :, 1:]).sum(dim=1)
        distance = (at.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()
        certainty = weights.square().sum(dim=1, keepdim=True)
        return torch.cat((4.0 * at, 2.0 * distance, at / distance, certainty), dim=1), known.amax(dim=1, keepdim=True)


def _encoder(size: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, width), nn.Tanh())
