"""Imitation before learning: the policy learns what the scripted one does, in the states that both get into.

DAgger (Ross et al. 2011, arXiv:1011.0686): at first the scripted policy moves all agents, later the learner ever more of them,
while every state is labelled with what the scripted policy would do. The teacher has every sense, the learner those that
dropout leaves it. The critic is fitted to the returns on the way (PPO and MaskablePPO; a recurrent critic starts fresh).
DQN fills its replay buffer with the teacher's transitions instead, and learns from them as from its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO, RecurrentPPO
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3 import DQN
from stable_baselines3.common.utils import obs_as_tensor, update_learning_rate

from export.npc.assistant.algorithms import Model, choose
from export.npc.assistant.config import TrainConfig
from export.npc.assistant.modalities import MissingSenses
from export.npc.world.actions import from_bins
from export.npc.world.rows import AgentRows
from export.npc.world.scripted import scripted

CHUNK_TICKS = 32
MEMORY = 65_536
BATCH, UPDATES = 256, 60
_CRITIC_WEIGHT = 0.05
Report = Callable[[dict[str, float], int], bool]


def clone(model: Model, environment: MissingSenses, rows: AgentRows, config: TrainConfig, report: Report) -> None:
    """Imitate for `cloning_steps` environment steps.

    `report` gets figures and the steps so far after every chunk; where it returns True, imitation ends.
    """
    observation = environment.reset()
    if isinstance(model, DQN):
        _demonstrate(model, environment, rows, config, observation, report)
        return
    generator = np.random.default_rng(config.seed)
    memory, done_steps = _Memory(MEMORY), 0
    state, starts = None, np.ones(environment.num_envs, bool)
    rate = model.policy.optimizer.param_groups[0]["lr"]
    while done_steps < config.cloning_steps:
        share = done_steps / config.cloning_steps
        chunk, observation, state, starts = _collect(model, environment, rows, observation, state, starts, share, generator)
        done_steps += chunk["starts"].size
        update_learning_rate(model.policy.optimizer, config.cloning_learning_rate * (1.0 - 0.9 * share))
        model.policy.set_training_mode(True)
        if isinstance(model, RecurrentPPO):
            losses = [_update(model, _sequences(model, chunk)) for _ in range(3)]
        else:
            memory.add(chunk)
            losses = [_update(model, memory.sample(generator, BATCH)) for _ in range(UPDATES)]
        names = ("cloning/loss", "cloning/critic_loss", "cloning/agreement")
        if report(dict(zip(names, np.mean(losses, axis=0).tolist(), strict=True)), done_steps):
            break
    update_learning_rate(model.policy.optimizer, rate)


def _collect(
    model: Any,
    environment: MissingSenses,
    rows: AgentRows,
    observation: Any,
    state: Any,
    starts: Any,
    share: float,
    generator: np.random.Generator,
) -> tuple[dict[str, Any], Any, Any, Any]:
    """Step CHUNK_TICKS ticks, the learner moving 1.5 * share of the agents; arrays of the chunk are [T, N, ...]."""
    ticks: list[dict[str, Any]] = []
    learner = generator.random(environment.num_envs) < 1.5 * share
    for _ in range(CHUNK_TICKS):
        full, masks = rows.world.action_masks(), rows.masks()
        labels = from_bins(rows.view, scripted(rows.world.observe(), full))
        actions = labels
        if learner.any():
            own, state = choose(model, observation, masks, state, starts, deterministic=False)
            actions = np.where(learner.reshape(-1, *[1] * (labels.ndim - 1)), own, labels)
        after, rewards, dones, _ = environment.step(actions)
        ticks.append({"labels": labels, "masks": masks, "rewards": rewards, "dones": dones, "starts": starts, **observation})
        observation, starts = after, dones
    chunk = {name: np.stack([tick[name] for tick in ticks]) for name in ticks[0]}
    if not isinstance(model, RecurrentPPO):
        chunk["returns"] = _returns(model, chunk, observation, environment)
    return chunk, observation, state, starts


def _returns(model: Any, chunk: dict[str, Any], last: Any, environment: MissingSenses) -> Any:
    """Return lambda returns float32[T, N] of a chunk (lambda 0.95), bootstrapped with the present critic."""
    with torch.no_grad():
        value = model.policy.predict_values(obs_as_tensor(last, "cpu")).numpy()[:, 0]
        flat = {name: chunk[name].reshape(-1, *chunk[name].shape[2:]) for name in environment.observation_space.spaces}
        values = model.policy.predict_values(obs_as_tensor(flat, "cpu")).numpy().reshape(chunk["starts"].shape)
    returns = np.zeros_like(values)
    following, gamma = value, model.gamma
    for tick in reversed(range(CHUNK_TICKS)):
        bootstrap = 0.05 * (values[tick + 1] if tick + 1 < CHUNK_TICKS else value) + 0.95 * following
        following = chunk["rewards"][tick] + gamma * np.where(chunk["dones"][tick], 0.0, bootstrap)
        returns[tick] = following
    return returns


class _Memory:
    """The last steps of imitation, overwritten in turn."""

    def __init__(self, size: int) -> None:
        self._size, self._arrays, self._next, self._count = size, {}, 0, 0

    def add(self, chunk: dict[str, Any]) -> None:
        """Take over a chunk [T, N, ...]."""
        flat = {name: part.reshape(-1, *part.shape[2:]) for name, part in chunk.items()}
        if not self._arrays:
            self._arrays: dict[str, Any] = {name: np.zeros((self._size, *p.shape[1:]), p.dtype) for name, p in flat.items()}
        places = (self._next + np.arange(len(flat["starts"]))) % self._size
        for name, part in flat.items():
            self._arrays[name][places] = part
        self._next = int(places[-1] + 1) % self._size
        self._count = min(self._size, self._count + len(places))

    def sample(self, generator: np.random.Generator, batch: int) -> dict[str, Any]:
        """Draw a minibatch."""
        chosen = generator.integers(0, self._count, batch)
        return {name: part[chosen] for name, part in self._arrays.items()}


def _sequences(model: RecurrentPPO, chunk: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk as sequences of agents one after another, [N * T, ...]; memories begin empty."""
    flat = {name: part.swapaxes(0, 1).reshape(-1, *part.shape[2:]) for name, part in chunk.items()}
    agents = chunk["starts"].shape[1]
    empty = torch.zeros(1, agents, model.policy.lstm_actor.hidden_size)
    return flat | {"states": RNNStates((empty, empty), (empty, empty))}


def _update(model: Any, batch: dict[str, Any]) -> tuple[float, float, float]:
    """One gradient step; return both losses and the mean probability (density for a Box) of the teacher's action."""
    policy = model.policy
    observation = {name: torch.from_numpy(batch[name]) for name in policy.observation_space.spaces}
    labels = torch.from_numpy(batch["labels"])
    extra: dict[str, Any] = {}
    if isinstance(model, MaskablePPO):
        extra["action_masks"] = torch.from_numpy(batch["masks"])
    if isinstance(model, RecurrentPPO):
        extra |= {"lstm_states": batch["states"], "episode_starts": torch.from_numpy(batch["starts"]).float()}
    values, log_prob, _ = policy.evaluate_actions(observation, labels, **extra)
    loss = -log_prob.mean()
    critic = torch.zeros(())
    if "returns" in batch:
        critic = (values.flatten() - torch.from_numpy(batch["returns"])).square().mean()
    policy.optimizer.zero_grad()
    (loss + _CRITIC_WEIGHT * critic).backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), model.max_grad_norm)
    policy.optimizer.step()
    return float(loss.detach()), float(critic.detach()), float(log_prob.detach().exp().mean())


def _demonstrate(
    model: DQN, environment: MissingSenses, rows: AgentRows, config: TrainConfig, observation: Any, report: Report
) -> None:
    """Fill the replay buffer with what the teacher does, and learn from it."""
    assert model.replay_buffer is not None
    for step in range(0, config.cloning_steps, environment.num_envs):
        labels = from_bins(rows.view, scripted(rows.world.observe(), rows.world.action_masks()))
        after, rewards, dones, infos = environment.step(labels)
        following = {name: part.copy() for name, part in after.items()}
        for row in np.flatnonzero(dones):
            for name, part in infos[row]["terminal_observation"].items():
                following[name][row] = part
        model.replay_buffer.add(observation, following, labels, rewards, dones, infos)
        observation = after
        if step >= config.batch:
            model.train(gradient_steps=1, batch_size=config.batch)
            loss = float(model.logger.name_to_value["train/loss"])
            if report({"cloning/loss": loss}, step + environment.num_envs):
                break
