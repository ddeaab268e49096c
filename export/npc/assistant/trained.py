"""Opens trained policies: run folders, checkpoints, the committed default."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from export import checkpoint
from export.checkpoint import CheckpointError
from export.npc.assistant.algorithms import Model, build, choose
from export.npc.assistant.config import TrainConfig, config_from_json
from export.npc.assistant.modalities import without
from export.npc.world.sb3_env import AssistantVecEnv
from export.npc.world.senses import Observation

KIND = "npc-assistant"
CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
DEFAULT = Path(__file__).parent.parent / "defaults" / "assistant.safetensors"

_SHARED, _ALIASES = "features_extractor.", ("pi_features_extractor.", "vf_features_extractor.")
"""Actor and critic share their features, which Stable-Baselines3 lists under three names; a default holds them once."""


class TrainedPlayer:
    """A trained policy that plays episodes, by its likeliest actions or drawn ones."""

    def __init__(self, model: Model, config: TrainConfig, *, deterministic: bool = True) -> None:
        self.model, self.config, self.view = model, config, config.view
        self._deterministic = deterministic
        self.start(1)

    def start(self, agents: int) -> None:
        """Begin new episodes with an empty memory."""
        self._state: Any = None
        self._starts = np.ones(agents, bool)

    def act(self, observation: Observation, masks: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Return the actions of all agents, without the senses that it was trained without."""
        seen = without(observation, self.config.without)
        actions, self._state = choose(self.model, seen, masks, self._state, self._starts, deterministic=self._deterministic)
        self._starts = np.zeros(len(self._starts), bool)
        return actions


def read_weights(source: Path) -> tuple[dict[str, torch.Tensor], TrainConfig, dict[str, float]]:
    """Return weights, configuration and metrics of a run folder (its best policy), a checkpoint file or "default".

    `CheckpointError` if there is none.
    """
    path = DEFAULT if str(source) == "default" else source
    if path.is_dir():
        path = path / (BEST if (path / BEST).exists() else CHECKPOINT)
    if path.suffix == ".safetensors":
        if not path.exists():
            raise CheckpointError(f'no default at "{path}"; train one and give its run folder')
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        shared = {name: tensor for name, tensor in weights.items() if name.startswith(_SHARED)}
        weights |= {alias + name.removeprefix(_SHARED): tensor for name, tensor in shared.items() for alias in _ALIASES}
        return weights, config_from_json(json.loads(metadata["config"])), json.loads(metadata["metrics"])
    state = checkpoint.load(path, KIND)
    return state["policy"], config_from_json(state["config"]), state["metrics"]


def read_history(source: Path) -> list[dict[str, Any]]:
    """Return the runs that led to what `read_weights` reads, the first one first: `command`, `steps`, `hours` each."""
    path = DEFAULT if str(source) == "default" else source
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            history: list[dict[str, Any]] = json.loads(file.metadata()["history"])
        return history
    # The best policy of a run is older than its last checkpoint, which tells how far the run went.
    state = checkpoint.load(path / CHECKPOINT if path.is_dir() else path, KIND)
    command = training_command(config_from_json(state["config"]))
    return [*state["earlier"], {"command": command, "steps": state["steps"], "hours": round(state["seconds"] / 3600, 2)}]


def training_command(config: TrainConfig) -> str:
    """Return the command that trains with a configuration: the options that differ from their defaults."""
    parts = ["python", "-m", "export", "npc", "train"]
    standard = TrainConfig()
    pairs = [(name, getattr(config, name), getattr(standard, name)) for name in config.to_json() if name != "world"]
    pairs += [(f"world.{name}", getattr(config.world, name), getattr(standard.world, name)) for name in config.world.to_json()]
    for name, value, usual in pairs:
        if value != usual and name not in ("runs", "resume"):
            values = value if isinstance(value, tuple) else (value,)
            parts += [f"--{name.replace('_', '-')}", *(str(each) for each in values)]
    return shlex.join(parts)


def open_player(source: Path, *, deterministic: bool = True) -> TrainedPlayer:
    """Return the policy of a run folder, a checkpoint file or "default" as a player."""
    weights, config, _ = read_weights(source)
    model = build(
        dataclasses.replace(config, replay=1), AssistantVecEnv(config.worlds, 0, config.world, action_view=config.view)
    )
    model.policy.load_state_dict(weights)
    model.policy.set_training_mode(False)
    return TrainedPlayer(model, config, deterministic=deterministic)


def write_default(source: Path, path: Path = DEFAULT) -> Path:
    """Write the policy of a run as a committed default: float32 weights with configuration and metrics; return the path.

    The folder of the runs is left out: it tells about the machine.
    """
    weights, config, metrics = read_weights(source)
    config = dataclasses.replace(config, runs=TrainConfig().runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "config": json.dumps(config.to_json()),
        "metrics": json.dumps(metrics),
        "history": json.dumps(read_history(source)),
    }
    save_file({name: tensor.contiguous() for name, tensor in weights.items() if not name.startswith(_ALIASES)}, path, metadata)
    return path
