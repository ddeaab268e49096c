"""The options of training in a running engine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.npc.remote_env.server import ListenConfig


@dataclass(frozen=True)
class RemoteTrainConfig:
    """Waits for an engine that offers itself as an environment, trains PPO in it (MaskablePPO with masks), and evaluates.

    An engine that stalls or vanishes is waited for, after everything is saved: training goes on when it, or another one with
    the same spaces, is there.
    """

    run: str = "remote"
    """Name of the run: its folder is <runs>/npc/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    steps: int = 100_000
    """Stop at the first rollout boundary after so many steps of rows in all; 0 sets no limit."""
    seconds: float = 0.0
    """Stop at the first rollout boundary after so many seconds of this session; 0 sets no limit."""
    resume: bool = False
    """Go on with the weights, the optimiser and the steps of the run's checkpoint; the engine begins new episodes."""
    seed: int = 1
    """Seed of weights, exploration, minibatches and of the engine's first episodes."""
    engines: int = 1
    """Engines to wait for; their rows are trained on together, and all offer the same spaces."""
    wait_seconds: float = 600.0
    """Seconds to wait for the engines at the start, and for one that was lost."""
    listen: ListenConfig = field(default_factory=ListenConfig)
    """Where engines find the trainer."""
    rollout_ticks: int = 128
    """Ticks of every row between two updates."""
    batch: int = 256
    """Steps in a minibatch; at most rows x rollout_ticks."""
    epochs: int = 10
    """Passes over a rollout in an update."""
    learning_rate: float = 3e-4
    """Learning rate of Adam at the start."""
    learning_rate_half_life: int = 0
    """Steps in which the learning rate halves, whatever the budget; 0 keeps it constant."""
    gamma: float = 0.99
    """Discount factor of a tick."""
    gae_lambda: float = 0.95
    """Lambda of the generalised advantage estimate."""
    clip: float = 0.2
    """Clipping range of PPO's probability ratio."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the tanh layers of the actor, and of the critic."""
    evaluate_episodes: int = 100
    """Episodes, played in the engine by the likeliest actions, that the policy is evaluated on at the end; 0 leaves it out."""
    checkpoint_seconds: float = 30.0
    """Seconds between two checkpoints."""
    threads: int = 1
    """CPU threads of PyTorch; networks of this size run fastest on one."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / "npc" / self.run

    def to_json(self) -> dict[str, Any]:
        """The options that training depends on, as plain JSON values; nothing of where it listens."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if name != "listen"}
        return values | {"runs": str(self.runs), "hidden": list(self.hidden)}


SESSION_FIELDS = {"run", "runs", "seconds", "steps", "resume", "checkpoint_seconds", "threads", "engines", "wait_seconds"}
SESSION_FIELDS |= {"evaluate_episodes"}
"""Options that may differ between the sessions of one run; they change no weight."""


def check_same_run(before: dict[str, Any], config: RemoteTrainConfig) -> None:
    """Raise `ValueError` where options that change weights are not those that the run was begun with."""
    now = config.to_json()
    different = {name: before.get(name) for name in now if name not in SESSION_FIELDS and now[name] != before.get(name)}
    if different:
        given = {name: now[name] for name in different}
        raise ValueError(
            f"the run was begun with {different}, not {given}; go on with the same options or choose another --run"
        )
