"""The options of training a policy in the assistant's world."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from export.npc.world.spec import MODALITIES, WorldConfig, world_config_from_json

Algorithm = Literal["ppo", "maskable-ppo", "recurrent-ppo", "dqn"]
VIEW_OF = {"ppo": "box", "maskable-ppo": "multi_discrete", "recurrent-ppo": "multi_discrete", "dqn": "discrete"}


@dataclass(frozen=True)
class TrainConfig:
    """Trains a policy in the assistant's world and writes checkpoints, curves and its best policy to a run folder."""

    algorithm: Algorithm = "maskable-ppo"
    """The learner. PPO acts through a Box, DQN through one Discrete choice, the others choose two bins and an act."""
    run: str = ""
    """Name of the run: its folder is <runs>/npc/<run>; the algorithm's name if empty."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    steps: int = 500_000
    """Stop at the first rollout boundary after so many environment steps in all; 0 sets no limit."""
    seconds: float = 0.0
    """Stop at the first boundary after so many seconds of this session; 0 sets no limit."""
    resume: bool = False
    """Go on where the run's checkpoint stopped: exactly, or with an empty replay buffer for dqn."""
    start_from: Path | None = None
    """Begin with the weights of another run or policy.zip of the same algorithm and sizes, to go on with a changed world."""
    seed: int = 1
    """Seed of weights, worlds, exploration and minibatches."""
    world: WorldConfig = field(default_factory=WorldConfig)
    """The world that is trained in."""
    without: tuple[str, ...] = ()
    """Senses that are never perceived, for ablations: vision, audio, language, touch, own."""
    modality_dropout: float = 0.04
    """Chance that an agent lacks a sense for a whole episode, so that it learns to do without."""
    curriculum: int = 0
    """Steps in which people and obstacles come in: none at first, half of them after a half, all after all; 0 is off."""
    cloning_steps: int = 0
    """Steps in which the scripted policy is imitated before learning begins, in the states of both (DAgger)."""
    cloning_learning_rate: float = 1e-3
    """Learning rate of imitation; it falls to a tenth."""
    critic_rollouts: int = 4
    """Rollouts after imitation in which only the critic learns, so that its errors do not spoil what was imitated."""
    worlds: int = 64
    """Worlds that step together."""
    rollout_ticks: int = 64
    """Ticks of every world between two updates."""
    batch: int = 512
    """Steps in a minibatch."""
    epochs: int = 4
    """Passes over a rollout in an update."""
    learning_rate: float = 3e-4
    """Learning rate of Adam at the start."""
    learning_rate_half_life: int = 1_000_000
    """Environment steps in which the learning rate halves, whatever the budget; 0 keeps it constant."""
    gamma: float = 0.98
    """Discount factor of a tick."""
    gae_lambda: float = 0.95
    """Lambda of the generalised advantage estimate."""
    clip: float = 0.15
    """Clipping range of PPO's probability ratio."""
    entropy: float = 0.002
    """Weight of the entropy bonus."""
    target_kl: float = 0.03
    """An update ends early beyond one and a half times this divergence from the policy before it."""
    width: int = 48
    """Width of each sense's encoding."""
    hidden: tuple[int, ...] = (128,)
    """Widths of the layers of actor and critic behind the fused senses."""
    lstm: int = 64
    """Width of the memory of recurrent-ppo."""
    replay: int = 50_000
    """Transitions that dqn remembers."""
    exploration: tuple[float, float] = (0.3, 0.03)
    """Share of random actions of dqn at the start and after `exploration_steps`."""
    exploration_steps: int = 300_000
    """Steps in which the share of random actions of dqn falls."""
    evaluate_every: int = 100_000
    """Steps between two evaluations, of which the best policy is kept; 0 evaluates at the end only."""
    evaluate_episodes: int = 128
    """Episodes of such an evaluation, on worlds that are never trained in."""
    checkpoint_seconds: float = 60.0
    """Seconds between two checkpoints."""
    threads: int = 1
    """CPU threads of PyTorch; networks of this size run fastest on one."""

    def __post_init__(self) -> None:
        for name in ("steps", "seconds", "cloning_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        unknown = set(self.without) - set(MODALITIES)
        if unknown:
            raise ValueError(f"without names {sorted(unknown)}, expected some of {', '.join(MODALITIES)}")
        if self.algorithm not in VIEW_OF:
            raise ValueError(f'algorithm is "{self.algorithm}", expected one of {", ".join(VIEW_OF)}')

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run or self.algorithm

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / "npc" / self.name

    @property
    def view(self) -> str:
        """The view of actions that the algorithm trains on."""
        return VIEW_OF[self.algorithm]

    @property
    def rollout_steps(self) -> int:
        """Environment steps between two updates."""
        return self.worlds * self.world.agents * self.rollout_ticks

    def world_at(self, steps: int) -> WorldConfig:
        """The world after so many steps: the curriculum's stage of it."""
        if not self.curriculum or steps >= self.curriculum:
            return self.world
        share = 0.5 if 2 * steps >= self.curriculum else 0.0
        people, obstacles = int(self.world.people * share), int(self.world.obstacles * share)
        return dataclasses.replace(self.world, people=people, obstacles=obstacles)

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        values = dataclasses.asdict(self) | {"runs": str(self.runs), "world": self.world.to_json()}
        values["start_from"] = None if self.start_from is None else str(self.start_from)
        return values | {name: list(getattr(self, name)) for name in ("without", "hidden", "exploration")}


SESSION_FIELDS = {"run", "runs", "seconds", "steps", "resume", "checkpoint_seconds", "threads"}
SESSION_FIELDS |= {"evaluate_every", "evaluate_episodes"}
"""Fields that may differ between the sessions of one run; they change no weight."""


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """Return the configuration that `to_json` wrote."""
    tuples = {name: tuple(values[name]) for name in ("without", "hidden", "exploration")}
    start = None if values["start_from"] is None else Path(values["start_from"])
    world = world_config_from_json(values["world"])
    return TrainConfig(**values | tuples | {"runs": Path(values["runs"]), "start_from": start, "world": world})
