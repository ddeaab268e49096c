"""The commands of `python -m export npc`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from export.npc.assistant.commands import DefaultConfig, EvaluateConfig, FilmConfig
from export.npc.assistant.config import TrainConfig
from export.npc.assistant.train import train
from export.npc.baselines import random_policy, scripted
from export.npc.config import TrainConfig as FollowerTrainConfig
from export.npc.course import ContactError, CourseConfig
from export.npc.evaluate import EVALUATION_SEED, evaluate, table
from export.npc.onnx_command import OnnxConfig
from export.npc.policy import open_run
from export.npc.remote_env.config import RemoteTrainConfig
from export.npc.remote_env.engines import EngineLostError
from export.npc.remote_env.server import StartError
from export.npc.remote_env.train import RemoteEvaluateConfig, train_remote
from export.npc.render import record_episode, save_gif
from export.npc.train import train as train_follower
from export.npc.trainer import Diverged
from export.npc.world.golden import GoldenConfig
from export.parity import ParityError

Source = Annotated[Path, tyro.conf.arg(name="from")]


@dataclass(frozen=True)
class FollowerEvaluateConfig:
    """Measures a trained follower beside the scripted and the random one, on worlds it never saw."""

    source: Source = Path("runs/npc/assistant")
    """A run folder or a checkpoint file."""
    episodes: int = 1000
    """Episodes a policy."""
    seed: int = EVALUATION_SEED
    """Seed of the worlds; not the one of training."""
    gif: Path | None = None
    """Also draw the first episode to this file."""

    def run(self) -> None:
        """Prints the table."""
        policy, config = open_run(self.source)
        if config.seed == self.seed:
            raise ValueError(f"seed {self.seed} is the seed of training; choose another for --seed")
        policies = {"trained": policy.act, "scripted": scripted, "random": random_policy(self.seed)}
        print(table({name: evaluate(choose, self.episodes, self.seed) for name, choose in policies.items()}))
        if self.gif is not None:
            save_gif(record_episode(policy.act, self.seed), self.gif)
            print(self.gif)


COMMANDS = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "film": FilmConfig,
    "default": DefaultConfig,
    "golden": GoldenConfig,
    "onnx": OnnxConfig,
    "train-follower": FollowerTrainConfig,
    "evaluate-follower": FollowerEvaluateConfig,
    "train-remote": RemoteTrainConfig,
    "evaluate-remote": RemoteEvaluateConfig,
    "course": CourseConfig,
}


def main(arguments: Sequence[str]) -> None:
    """Runs one command; what the user got wrong is printed in one line, with exit code 1."""
    config = tyro.extras.subcommand_cli_from_dict(COMMANDS, args=arguments, prog="python -m export npc")
    try:
        if isinstance(config, TrainConfig):
            print(train(config))
        elif isinstance(config, FollowerTrainConfig):
            print(train_follower(config))
        elif isinstance(config, RemoteTrainConfig):
            print(train_remote(config))
        else:
            config.run()
    except (ValueError, OSError, ParityError, Diverged, ContactError, EngineLostError, StartError) as error:
        sys.exit(f"error: {error}")
