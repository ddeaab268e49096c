"""The whole policy as one module with named inputs and outputs, and the npc section of its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import StateDependentNoiseDistribution
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import get_action_dim
from torch import Tensor, nn

from bridge.model_card import TensorSpec
from bridge.npc_card import LOG_PROBABILITY, MASK, NOISE
from export.npc.sb3_graph.archive import SavedPolicy
from export.npc.sb3_graph.heads import Bounds, bernoulli_logits, categorical, epsilon_greedy, gaussian
from export.npc.sb3_graph.inputs import Feature, Preprocess
from export.npc.spaces import ACTION, OBSERVATION, Notes, action_scales, action_spec, branches_of

ON_POLICY = ("A2C", "PPO", "TRPO", "MaskablePPO", "RecurrentPPO")
VALUE_BASED = ("DQN", "QRDQN")
SQUASHED = ("SAC", "TQC")
HIDDEN, CELL = "lstm_hidden", "lstm_cell"
SCALE_OF_PROBABILITY = 1.0
Observation = Tensor | dict[str, Tensor]


class PolicyGraph(nn.Module):
    """A policy of Stable-Baselines3 in the order of the card: `forward(*inputs)` returns the outputs.

    Inputs: every observation (raw), the frames and the recurrent state that are kept, noise, action mask. Outputs: the action,
    what is to be kept, and the log-probability; each only where the policy has it.
    """

    def __init__(self, saved: SavedPolicy, features: Sequence[Feature]) -> None:
        super().__init__()
        self.algorithm, self.features = saved.algorithm, list(features)
        self.policy: Any = saved.policy
        self.rate = saved.exploration_rate if saved.algorithm in VALUE_BASED else 0.0
        self.branches = branches_of(saved.action_space)
        self.is_dict = isinstance(saved.observation_space, spaces.Dict)
        self.preprocess = nn.ModuleList(Preprocess(feature) for feature in features)
        self.is_binary = isinstance(saved.action_space, spaces.MultiBinary) and self.algorithm != "MaskablePPO"
        self.squashed = bool(self.policy.squash_output)
        if isinstance(saved.action_space, spaces.Box):
            self.bounds = Bounds(saved.action_space, self.squashed)
        self.noise = _noise(saved, self.branches)
        self.states = self._states()
        self.inputs = self._inputs()
        self.outputs = self._outputs(saved.action_space)

    @property
    def noise_size(self) -> int:
        """Return the width of the noise input."""
        return sum(part["size"] for part in self.noise)

    @property
    def is_recurrent(self) -> bool:
        """Return whether the policy has an LSTM."""
        return self.algorithm == "RecurrentPPO"

    @property
    def is_masked(self) -> bool:
        """Return whether the policy was trained with action masks."""
        return self.algorithm == "MaskablePPO"

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip((tensor.name for tensor in self.inputs), inputs, strict=True))
        observed, kept = self._observe(given)
        noise = given.get(NOISE)
        if noise is None:
            noise = next(iter(observed.values())).new_zeros(1)
        action, log_probability = self._act(observed if self.is_dict else observed[OBSERVATION], given, kept, noise)
        if self.noise:
            kept[LOG_PROBABILITY] = log_probability
        return (action, *(kept[tensor.name] for tensor in self.outputs[1:]))

    def _observe(self, given: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what the policy takes, by name, and the frames to keep, by output."""
        observed, kept = {}, {}
        for feature, preprocess in zip(self.features, self.preprocess, strict=True):
            value, frames = preprocess(given[feature.name], given.get(feature.state))
            observed[feature.name] = value
            if frames is not None:
                kept[_next(feature.state)] = frames
        return observed, kept

    def _act(
        self, observation: Any, given: Mapping[str, Tensor], kept: dict[str, Tensor], noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.algorithm in VALUE_BASED:
            return epsilon_greedy(self._values(observation), self.rate, noise)
        if self.algorithm == "TD3":
            return self.bounds(self.policy.actor(observation)), noise
        if self.algorithm in SQUASHED:
            actor = self.policy.actor
            mean, log_std, extra = actor.get_action_dist_params(observation)
            deviation = _deviation(actor.action_dist, log_std, extra.get("latent_sde"))
            action, density = gaussian(mean, deviation, noise, squashed=True)
            return self.bounds(action), density
        latent = self._latent(observation, given, kept)
        if not self.branches:
            deviation = _deviation(self.policy.action_dist, self.policy.log_std, latent)
            action, density = gaussian(self.policy.action_net(latent), deviation, noise, self.squashed)
            return self.bounds(action), density
        logits = self.policy.action_net(latent)
        logits = bernoulli_logits(logits) if self.is_binary else logits
        return categorical(logits, self.branches, noise, given.get(MASK))

    def _values(self, observation: Observation) -> Tensor:
        """Return the value of each action, float32[batch, actions]."""
        if self.algorithm == "QRDQN":
            return self.policy.quantile_net(observation).mean(dim=1)
        return self.policy.q_net(observation)

    def _latent(self, observation: Any, given: Mapping[str, Tensor], kept: dict[str, Tensor]) -> Tensor:
        """Return the last layer of the actor, one step of its LSTM taken."""
        policy = self.policy
        features = BasePolicy.extract_features(policy, observation, policy.pi_features_extractor)
        if self.is_recurrent:
            state = tuple(given[name].transpose(0, 1).contiguous() for name in (HIDDEN, CELL))
            output, (hidden, cell) = policy.lstm_actor(features.unsqueeze(0), state)
            features = output.squeeze(0)
            kept[_next(HIDDEN)], kept[_next(CELL)] = hidden.transpose(0, 1), cell.transpose(0, 1)
        return policy.mlp_extractor.forward_actor(features)

    def _states(self) -> list[dict[str, Any]]:
        stacks = [(feature.state, feature.state_shape()) for feature in self.features if feature.frames > 1]
        if self.is_recurrent:
            lstm = self.policy.lstm_actor
            stacks += [(name, [lstm.num_layers, lstm.hidden_size]) for name in (HIDDEN, CELL)]
        return [{"name": name, "output": _next(name), "shape": shape} for name, shape in stacks]

    def _inputs(self) -> tuple[TensorSpec, ...]:
        inputs = [feature.tensor() for feature in self.features]
        inputs += [TensorSpec(state["name"], "float32", ["batch", *state["shape"]]) for state in self.states]
        if self.noise:
            inputs.append(TensorSpec(NOISE, "float32", ["batch", self.noise_size]))
        if self.is_masked:
            inputs.append(TensorSpec(MASK, "bool", ["batch", sum(self.branches)]))
        return tuple(inputs)

    def _outputs(self, space: spaces.Space[Any]) -> tuple[TensorSpec, ...]:
        if isinstance(space, spaces.Box):
            scale = float(action_scales(space).max())
            outputs = [TensorSpec(ACTION, "float32", ["batch", get_action_dim(space)], scale=scale)]
        else:
            outputs = [TensorSpec(ACTION, "int64", ["batch", len(self.branches)])]
        outputs += [TensorSpec(state["output"], "float32", ["batch", *state["shape"]]) for state in self.states]
        if self.noise:
            scale = SCALE_OF_PROBABILITY * max(1, len(self.branches) or get_action_dim(space))
            outputs.append(TensorSpec(LOG_PROBABILITY, "float32", ["batch"], scale=scale))
        return tuple(outputs)

    def spec(self, tick_seconds: float = 0.0, notes: Notes | None = None) -> dict[str, Any]:
        """Return the npc section of the card; `notes` name the elements of the action."""
        return {
            "observations": [feature.spec() for feature in self.features],
            "actions": [action_spec(self.policy.action_space, notes)],
            "noise": self.noise,
            "mask_size": sum(self.branches) if self.is_masked else 0,
            "states": self.states,
            "log_probability": bool(self.noise),
            "tick_seconds": tick_seconds,
        }


def _noise(saved: SavedPolicy, branches: Sequence[int]) -> list[dict[str, Any]]:
    """Return the columns of noise by kind: none for a policy that never draws."""
    if saved.algorithm in VALUE_BASED:
        tried = [{"kind": "uniform", "size": 1}, {"kind": "gumbel", "size": sum(branches)}]
        return tried if saved.exploration_rate > 0.0 else []
    if saved.algorithm == "TD3":
        return []
    if branches:
        return [{"kind": "gumbel", "size": sum(branches)}]
    return [{"kind": "normal", "size": get_action_dim(saved.action_space)}]


def _deviation(distribution: Any, log_std: Tensor, latent: Tensor | None) -> Tensor:
    """Return standard deviations; gSDE's (Raffin et al. 2021) are those of its noise over all exploration matrices."""
    if isinstance(distribution, StateDependentNoiseDistribution):
        variance = torch.mm(latent**2, distribution.get_std(log_std) ** 2)
        return torch.sqrt(variance + distribution.epsilon)
    return log_std.exp()


def _next(state: str) -> str:
    return f"next_{state}"
