"""What Stable-Baselines3 itself makes of raw observations: the wrappers' arithmetic in NumPy, then the policy's own methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor

from bridge.npc_card import MASK, NOISE
from export.npc.sb3_graph.graph import CELL, HIDDEN, SQUASHED, VALUE_BASED, PolicyGraph
from export.npc.spaces import OBSERVATION

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


@dataclass(frozen=True)
class Decision:
    """Actions [N, size] as they should be; for choices, the scores [N, sum of branches] that they are the arg-max of."""

    action: Array
    scores: Array | None
    log_probability: Array | None
    kept: dict[str, Array]


class Reference:
    """Asks the policy through Stable-Baselines3's `predict` and its distributions, from the feeds that the graph gets."""

    def __init__(self, graph: PolicyGraph) -> None:
        self._graph = graph
        self._policy: Any = graph.policy

    def observe(self, feeds: Feeds) -> tuple[Any, dict[str, Array]]:
        """Return observations as the wrappers hand them to the policy, and the frames to keep."""
        observed, kept = {}, {}
        for feature in self._graph.features:
            value = feature.from_raw(feeds[feature.name])
            if feature.normalises_frames and feature.statistics:
                value = feature.statistics.apply(value)
            if feature.frames > 1:
                axis = feature.stack_axis + 1
                value = np.concatenate([feeds[feature.state].astype(value.dtype), value], axis)
                step = feature.frame_shape[feature.stack_axis]
                kept[f"next_{feature.state}"] = np.take(value, range(step, value.shape[axis]), axis).astype(np.float32)
            if feature.statistics and not feature.normalises_frames:
                value = feature.statistics.apply(value)
            observed[feature.name] = np.ascontiguousarray(value)
        is_dict = isinstance(self._policy.observation_space, spaces.Dict)
        return (observed if is_dict else observed[OBSERVATION]), kept

    @torch.no_grad()
    def deterministic(self, feeds: Feeds) -> Decision:
        """Return what `policy.predict(deterministic=True)` gives."""
        observation, kept = self.observe(feeds)
        extra: dict[str, Any] = {}
        if self._graph.is_recurrent:
            extra = {"state": self._lstm(feeds), "episode_start": np.zeros(len(feeds[HIDDEN]), bool)}
        if self._graph.is_masked:
            extra = {"action_masks": feeds[MASK]}
        action, state = self._policy.predict(observation, deterministic=True, **extra)
        if state is not None:
            kept |= {f"next_{name}": array.swapaxes(0, 1) for name, array in zip((HIDDEN, CELL), state, strict=True)}
        return Decision(self._flat(action), self._scores(observation, feeds), None, kept)

    @torch.no_grad()
    def sampled(self, feeds: Feeds) -> Decision:
        """Return the action that the policy's own distribution has at the noise in `feeds`, and its log-probability."""
        observation, kept = self.observe(feeds)
        noise = torch.from_numpy(np.array(feeds[NOISE]))
        if self._graph.algorithm in VALUE_BASED:
            return self._explore(observation, noise.numpy(), kept)
        distribution = self._distribution(observation, feeds)
        if not self._graph.branches:
            normal = distribution.distribution
            mean, deviation = normal.mean.double(), normal.stddev.double()
            unbounded = mean + deviation * noise.double()
            density = torch.distributions.Normal(mean, deviation).log_prob(unbounded).sum(dim=1)
            if self._graph.squashed:
                density -= torch.log(1.0 - torch.tanh(unbounded) ** 2 + 1e-6).sum(dim=1)
                action = self._policy.unscale_action(torch.tanh(unbounded).numpy().reshape(-1, *self._shape))
            else:
                low, high = self._policy.action_space.low, self._policy.action_space.high
                action = np.clip(unbounded.numpy().reshape(-1, *self._shape), low, high)
            return Decision(self._flat(action.astype(np.float32)), None, density.float().numpy(), kept)
        scores = torch.from_numpy(_logits(distribution)) + noise
        parts = torch.split(scores, self._graph.branches, dim=1)
        chosen = torch.stack([part.argmax(dim=1) for part in parts], dim=1)
        one = isinstance(self._policy.action_space, spaces.Discrete)
        given = chosen[:, 0] if one else chosen.float() if self._graph.is_binary else chosen
        return Decision(chosen.numpy(), scores.numpy(), distribution.log_prob(given).numpy(), kept)

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self._policy.action_space.shape)

    def _flat(self, action: Array) -> Array:
        kind = np.int64 if self._graph.branches else np.float32
        return np.asarray(action).reshape(len(action), -1).astype(kind)

    def _lstm(self, feeds: Feeds) -> tuple[Array, ...]:
        return tuple(np.ascontiguousarray(feeds[name].swapaxes(0, 1)) for name in (HIDDEN, CELL))

    def _tensor(self, observation: Any) -> Any:
        tensor, _ = self._policy.obs_to_tensor(observation)
        return tensor

    def _distribution(self, observation: Any, feeds: Feeds) -> Any:
        tensor = self._tensor(observation)
        if self._graph.algorithm in SQUASHED:
            actor = self._policy.actor
            mean, log_std, extra = actor.get_action_dist_params(tensor)
            return actor.action_dist.proba_distribution(mean, log_std, **extra)
        if self._graph.is_masked:
            return self._policy.get_distribution(tensor, action_masks=feeds[MASK])
        if self._graph.is_recurrent:
            states = tuple(torch.from_numpy(array) for array in self._lstm(feeds))
            return self._policy.get_distribution(tensor, states, torch.zeros(len(feeds[HIDDEN])))[0]
        return self._policy.get_distribution(tensor)

    def _values(self, observation: Any) -> Array:
        tensor = self._tensor(observation)
        if self._graph.algorithm == "QRDQN":
            return self._policy.quantile_net(tensor).mean(dim=1).numpy()
        return self._policy.q_net(tensor).numpy()

    def _scores(self, observation: Any, feeds: Feeds) -> Array | None:
        if self._graph.algorithm in VALUE_BASED:
            return self._values(observation)
        return _logits(self._distribution(observation, feeds)) if self._graph.branches else None

    def _explore(self, observation: Any, noise: Array, kept: dict[str, Array]) -> Decision:
        """Return what DQN.predict(deterministic=False) does, with its two draws taken from `noise`."""
        values, rate = self._values(observation), self._graph.rate
        explores, tried = noise[:, 0] > 1.0 - rate, noise[:, 1:].argmax(axis=1)
        greedy = values.argmax(axis=1)
        action = np.where(explores, tried, greedy)
        share = rate / values.shape[1]
        log_probability = np.log(np.where(action == greedy, 1.0 - rate + share, share)).astype(np.float32)
        return Decision(action[:, None], np.where(explores[:, None], noise[:, 1:], values), log_probability, kept)


def _logits(distribution: Any) -> Array:
    """Return the logits of every choice [N, sum of branches]; those of a bit are 0 and its own."""
    inner = getattr(distribution, "distributions", None) or distribution.distribution
    if isinstance(inner, list):
        logits: Tensor = torch.cat([part.logits for part in inner], dim=1)
    elif isinstance(inner, torch.distributions.Bernoulli):
        logits = torch.stack([torch.zeros_like(inner.logits), inner.logits], dim=2).flatten(1)
    else:
        logits = inner.logits
    return logits.numpy()
