"""Opens a `policy.zip` of Stable-Baselines3 or sb3-contrib (algorithm, spaces, network, weights) without running its code."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from export.npc.sb3_graph.unpickle import UntrustedCode, loads

MAX_FILE_BYTES = 2_000_000_000
ALGORITHMS = ("A2C", "DQN", "MaskablePPO", "PPO", "QRDQN", "RecurrentPPO", "SAC", "TD3", "TQC", "TRPO")
_BY_MODULE = {
    "stable_baselines3.dqn": "DQN",
    "stable_baselines3.sac": "SAC",
    "stable_baselines3.td3": "TD3",
    "sb3_contrib.common.maskable": "MaskablePPO",
    "sb3_contrib.common.recurrent": "RecurrentPPO",
    "sb3_contrib.qrdqn": "QRDQN",
    "sb3_contrib.tqc": "TQC",
}


@dataclass(frozen=True)
class SavedPolicy:
    """A policy as it was trained: its network with weights, and what is needed to act as its algorithm does.

    `exploration_rate` is the share of random actions of an epsilon-greedy algorithm, 0 for any other. `facts` are the plain
    numbers and words that the file holds: hyperparameters and the number of steps.
    """

    algorithm: str
    policy: BasePolicy
    exploration_rate: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Return the space of what the policy takes, after any wrapper that stacks or transposes."""
        return self.policy.observation_space

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Return the space of the actions."""
        return self.policy.action_space


def from_algorithm(model: BaseAlgorithm) -> SavedPolicy:
    """Return the policy of an algorithm in memory; `ValueError` for one that is not supported."""
    facts = {name: value for name, value in vars(model).items() if isinstance(value, str | int | float | bool)}
    policy = model.policy.to("cpu")
    policy.set_training_mode(False)
    rate = float(getattr(model, "exploration_rate", 0.0))
    return SavedPolicy(_algorithm(type(policy), facts), policy, rate, _published(facts))


def open_archive(path: Path, trust: Collection[str] = ()) -> SavedPolicy:
    """Return the policy of a zip that `model.save` wrote.

    Spaces, classes and arguments in it are pickles and are read by `unpickle.loads` under `trust`; weights are read as tensors
    alone. Raises `ValueError` for a file that holds no policy of a supported algorithm, and `UntrustedCode` for one that
    needs code.
    """
    data, weights = _read(path)
    policy_class, arguments = _object(path, data, "policy_class", trust), _object(path, data, "policy_kwargs", trust)
    if not (isinstance(policy_class, type) and issubclass(policy_class, BasePolicy)):
        raise ValueError(f"{path}: policy_class is {policy_class!r}, expected a policy of Stable-Baselines3 or sb3-contrib")
    facts = {name: value for name, value in data.items() if isinstance(value, str | int | float | bool)}
    algorithm = _algorithm(policy_class, facts)
    if algorithm in ("PPO", "A2C", "TRPO", "RecurrentPPO"):  # off-policy ones keep it among the arguments
        arguments = {"use_sde": bool(data.get("use_sde", False)), **arguments}
    observations, actions = _object(path, data, "observation_space", trust), _object(path, data, "action_space", trust)
    for space in (observations, actions):
        if not isinstance(space, spaces.Space):
            raise ValueError(f"{path}: has {space!r} for a space, expected one of gymnasium's")
        space.seed(0)  # the generator in the file is not read; image encoders draw a picture to learn its size
    try:
        policy = policy_class(observations, actions, lambda _: 0.0, **arguments)
        policy.load_state_dict(weights)
    except (TypeError, RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"{path}: its weights do not fit the {algorithm} policy that it describes: {error}") from error
    policy.set_training_mode(False)
    return SavedPolicy(algorithm, policy, float(data.get("exploration_rate", 0.0)), _published(facts))


def _read(path: Path) -> tuple[dict[str, Any], Mapping[str, torch.Tensor]]:
    """Return the JSON of the archive and its weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            for name in ("data", "policy.pth"):
                if name not in sizes:
                    raise ValueError(f"{path}: has {sorted(sizes)}, expected what model.save() of Stable-Baselines3 wrote")
                if sizes[name] > MAX_FILE_BYTES:
                    raise ValueError(f"{path}: {name} has {sizes[name]} bytes, expected at most {MAX_FILE_BYTES}")
            data, weights = json.loads(archive.read("data")), archive.read("policy.pth")
    except (zipfile.BadZipFile, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: no zip of Stable-Baselines3 ({error}); expected what model.save() wrote") from error
    try:
        state = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch says of bytes that are no tensors
        raise ValueError(f"{path}: policy.pth holds more than tensors or is damaged: {error}") from error
    if not isinstance(data, dict) or not isinstance(state, Mapping):
        raise ValueError(f"{path}: data or policy.pth is no mapping, expected what model.save() wrote")
    return data, state


def _object(path: Path, data: dict[str, Any], name: str, trust: Collection[str]) -> Any:
    """Return a value of the archive's JSON, unpickled where it was pickled."""
    value = data.get(name)
    if value is None and name != "policy_kwargs":
        raise ValueError(f'{path}: has no "{name}", expected what model.save() wrote')
    if not (isinstance(value, dict) and ":serialized:" in value):
        return value or {}
    try:
        return loads(base64.b64decode(value[":serialized:"]), trust)
    except UntrustedCode as error:
        raise UntrustedCode(f'{path}, "{name}": {error}') from error
    except ValueError as error:
        raise ValueError(f'{path}, "{name}": {error}; was it saved by another version of Python or gymnasium?') from error


def _algorithm(policy_class: type[BasePolicy], facts: Mapping[str, Any]) -> str:
    """Return the algorithm that a policy class and its hyperparameters belong to."""
    for kind in policy_class.__mro__:
        for module, algorithm in _BY_MODULE.items():
            if kind.__module__.startswith(f"{module}."):
                return algorithm
        if kind.__name__ == "ActorCriticPolicy" and kind.__module__ == "stable_baselines3.common.policies":
            return "TRPO" if "cg_max_steps" in facts else "PPO" if "n_epochs" in facts else "A2C"
    name = f"{policy_class.__module__}.{policy_class.__name__}"
    raise ValueError(f"{name} is a policy of none of {list(ALGORITHMS)}; export its network with --from module.pt2")


def _published(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card says of the training: plain values, no private ones and no paths."""
    left_out = {"tensorboard_log", "verbose", "device", "start_time", "policy_class"}
    return {name: value for name, value in sorted(facts.items()) if not name.startswith("_") and name not in left_out}
