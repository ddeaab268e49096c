"""Trains in a running engine: waits for it, learns, saves and waits when it is lost, evaluates at the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from tqdm import tqdm

from export import checkpoint
from export.npc.remote_env.config import RemoteTrainConfig
from export.npc.remote_env.engines import EngineLostError, Engines
from export.npc.remote_env.evaluation import Chooser, Evaluation, evaluate, table
from export.npc.remote_env.sb3_env import RemoteVecEnv
from export.npc.remote_env.server import EngineServer, ListenConfig, StoppedError
from export.npc.remote_env.spec import EngineSpec, spec_from_json
from export.npc.remote_env.trainer import RemoteTrainer
from export.npc.train import CHECKPOINT, POLICY_ZIP, stop_signals
from export.npc.trainer import Diverged
from export.run_log import RunLog, write_config

KIND = "npc-remote"
EVALUATION = "evaluation.json"


Addresses = dict[str, Any]


def print_line(addresses: Addresses) -> None:
    """Print where engines find the trainer as a line of JSON on standard output."""
    print(json.dumps(addresses), flush=True)


def train_remote(config: RemoteTrainConfig, announce: Callable[[Addresses], None] = print_line) -> Path:
    """Train until a budget ends or a signal comes; return the run folder.

    It holds `checkpoint.pt`, which `--resume` goes on with, `policy.zip`, Stable-Baselines3's own file, `evaluation.json`,
    `config.json` and TensorBoard's curves. `announce` gets the addresses for engines as soon as they may come. Raises
    `ValueError` for options or spaces that cannot be trained, `Diverged`, `StartError` for a port that is taken, and
    `EngineLostError` when no engine comes, or comes back, in time; what was learned is saved before.
    """
    if not config.seconds and not config.steps:
        raise ValueError("no budget: give --seconds, --steps or both")
    path = config.folder / CHECKPOINT
    state = checkpoint.load(path, KIND) if config.resume else None
    if state is None and path.exists():
        raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
    torch.set_num_threads(config.threads)
    expected = spec_from_json(state["spec"], config.listen.max_message_mib << 20) if state else None
    with stop_signals() as signals, _serving(config.listen, config.engines, expected, announce) as server:
        try:
            _Session(config, server, signals, path).run(state)
        except StoppedError as error:
            tqdm.write(str(error), file=sys.stderr)
    return config.folder


def _serving(
    listen: ListenConfig,
    engines: int,
    expected: EngineSpec | None,
    announce: Callable[[Addresses], None] = print_line,
) -> EngineServer:
    server = EngineServer(listen, engines, expected)
    server.start()
    announce({"address": server.address, "web": server.web, "engines": engines})
    return server


class _Session:
    """One session of a run."""

    def __init__(self, config: RemoteTrainConfig, server: EngineServer, signals: list[int], path: Path) -> None:
        self.config, self.path, self.signals = config, path, signals
        self._web = server.web
        self._address = server.address
        self.trainer: RemoteTrainer | None = None
        engines = Engines(server, wait_seconds=config.wait_seconds, should_stop=lambda: bool(signals))
        engines.on_lost, engines.on_back = self._lost, self._back
        self.environment = RemoteVecEnv(engines)

    def run(self, state: dict[str, Any] | None) -> None:
        """Learn and evaluate, saving whatever happens."""
        trainer = self.trainer = RemoteTrainer(self.config, self.environment)
        if state is not None:
            trainer.restore(state)
        self.environment.seed(self.config.seed + trainer.steps)
        write_config(self.config.folder, self.config.to_json())
        with RunLog(self.config.folder, resumed_at=trainer.steps if state else None) as log:
            try:
                self._learn(trainer, log)
            except Diverged as error:
                good = f'the last good checkpoint is "{self.path}"' if self.path.exists() else "there is no good checkpoint yet"
                raise Diverged(f"{error}; {good}; a lower --learning-rate is steadier") from error
            except (EngineLostError, StoppedError):
                self._save(trainer)
                raise
            self._save(trainer)
            if self.config.evaluate_episodes and not self.signals:
                self._evaluate(trainer, log)

    def _learn(self, trainer: RemoteTrainer, log: RunLog) -> None:
        config, started = self.config, time.monotonic()
        saved, before, total = started, trainer.seconds, config.steps or None
        with tqdm(total=total, initial=trainer.steps, desc="training", unit="step", unit_scale=True, smoothing=0.05) as bar:
            while not self.signals and (total is None or trainer.steps < total):
                if config.seconds and time.monotonic() - started >= config.seconds:
                    break
                trainer.train_rollout()
                now = time.monotonic()
                trainer.seconds = before + now - started
                log.scalars(trainer.metrics, trainer.steps)
                bar.update(trainer.rollout_steps)
                if "episode/return" in trainer.metrics:
                    bar.set_postfix({"return": f"{trainer.metrics['episode/return']:.2f}"})
                if now - saved >= config.checkpoint_seconds:
                    self._save(trainer)
                    saved = now

    def _evaluate(self, trainer: RemoteTrainer, log: RunLog) -> None:
        measured = evaluate(chooser(trainer.model, self.environment), self.environment, self.config.evaluate_episodes)
        log.scalars({"evaluation/return": measured.mean_return, "evaluation/length": measured.mean_length}, trainer.steps)
        (self.config.folder / EVALUATION).write_text(json.dumps(measured.to_json(), indent=2) + "\n", "utf-8")
        print(table({"trained": measured}), flush=True)

    def _save(self, trainer: RemoteTrainer) -> None:
        checkpoint.save(self.path, KIND, trainer.state())
        trainer.model.save(self.path.with_name(POLICY_ZIP), exclude=["lr_schedule"])

    def _lost(self, place: int, reason: str) -> None:
        saved = "nothing is to save yet"
        if self.trainer is not None:
            self._save(self.trainer)
            saved = f'saved "{self.path}" with {self.trainer.steps} steps'
        where = f"waiting {self.config.wait_seconds:g} s for it at {self._address} or {self._web}"
        tqdm.write(f"engine {place} does not answer: {reason}; {saved}; {where}", file=sys.stderr)

    def _back(self, place: int) -> None:
        tqdm.write(f"engine {place} is back", file=sys.stderr)


def chooser(model: Any, environment: RemoteVecEnv) -> Chooser:
    """Return what chooses a model's likeliest actions, within the masks where there are any."""

    def choose(observations: Any) -> Any:
        if environment.engines.spec.mask_width:
            return model.predict(observations, action_masks=environment.action_masks(), deterministic=True)[0]
        return model.predict(observations, deterministic=True)[0]

    return choose


@dataclass(frozen=True)
class RemoteEvaluateConfig:
    """Waits for an engine and measures the policy of a run in it."""

    source: Annotated[Path, tyro.conf.arg(name="from")] = Path("runs/npc/remote")
    """A run folder of train-remote."""
    episodes: int = 100
    """Episodes to play, by the likeliest actions."""
    engines: int = 1
    """Engines to wait for."""
    wait_seconds: float = 600.0
    """Seconds to wait for an engine."""
    listen: ListenConfig = field(default_factory=ListenConfig)
    """Where engines find the trainer."""

    def run(self) -> None:
        """Prints the table."""
        print(table({"trained": evaluate_run(self)}), flush=True)


def evaluate_run(config: RemoteEvaluateConfig) -> Evaluation:
    """Play a run's policy in the engines that offer themselves; raises what `train_remote` raises."""
    state = checkpoint.load(config.source / CHECKPOINT, KIND)
    expected = spec_from_json(state["spec"], config.listen.max_message_mib << 20)
    with stop_signals() as signals, _serving(config.listen, config.engines, expected) as server:
        engines = Engines(server, wait_seconds=config.wait_seconds, should_stop=lambda: bool(signals))
        environment = RemoteVecEnv(engines)
        trained = {name: value for name, value in state["config"].items() if name not in ("runs", "hidden")}
        options = RemoteTrainConfig(**trained, runs=Path(state["config"]["runs"]), hidden=tuple(state["config"]["hidden"]))
        trainer = RemoteTrainer(options, environment)
        trainer.restore(state)
        return evaluate(chooser(trainer.model, environment), environment, config.episodes)
