"""The options of a training run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainConfig:
    """Trains the virtual assistant with PPO and writes checkpoints and curves to a run folder."""

    run: str = "assistant"
    """Name of the run: its folder is <runs>/npc/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    steps: int = 300_000
    """Stop at the first rollout boundary after so many environment steps in all; 0 sets no limit."""
    seconds: float = 0.0
    """Stop at the first rollout boundary after so many seconds of training in this session; 0 sets no limit."""
    resume: bool = False
    """Go on exactly where the run's checkpoint stopped."""
    seed: int = 1
    """Seed of weights, worlds, exploration and minibatches."""
    worlds: int = 64
    """Worlds that step together."""
    rollout_ticks: int = 64
    """Ticks of every world between two updates."""
    batch: int = 1024
    """Steps in a minibatch; at most worlds x rollout_ticks."""
    epochs: int = 6
    """Passes over a rollout in an update."""
    learning_rate: float = 1.5e-3
    """Learning rate of Adam at the start."""
    learning_rate_half_life: int = 150_000
    """Environment steps in which the learning rate halves, whatever the budget; 0 keeps it constant."""
    learning_rate_floor: float = 1e-4
    """The learning rate never falls below this."""
    gamma: float = 0.97
    """Discount factor of a tick."""
    gae_lambda: float = 0.9
    """Lambda of the generalised advantage estimate."""
    clip: float = 0.2
    """Clipping range of PPO's probability ratio."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the tanh layers of the actor, and of the critic."""
    log_std: float = -0.5
    """Initial logarithm of the exploration noise, in normalised actions."""
    observation_clip: float = 10.0
    """Normalised observations are clipped to this many standard deviations."""
    checkpoint_seconds: float = 30.0
    """Seconds between two checkpoints."""
    threads: int = 1
    """CPU threads of PyTorch; networks of this size run fastest on one."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / "npc" / self.run

    @property
    def rollout_steps(self) -> int:
        """Environment steps between two updates."""
        return self.worlds * self.rollout_ticks

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return dataclasses.asdict(self) | {"runs": str(self.runs), "hidden": list(self.hidden)}


SESSION_FIELDS = {"run", "runs", "seconds", "steps", "resume", "checkpoint_seconds", "threads"}
"""Fields that may differ between the sessions of one run; they change no weight."""


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """Return the configuration that `to_json` wrote."""
    return TrainConfig(**values | {"runs": Path(values["runs"]), "hidden": tuple(values["hidden"])})
