"""Trains a policy in the assistant's world: imitation, then rollouts and updates until a budget ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from export import checkpoint
from export.npc.assistant.config import TrainConfig
from export.npc.assistant.evaluation import EVALUATION_SEED, evaluate
from export.npc.assistant.trained import BEST, CHECKPOINT, KIND, TrainedPlayer, read_history, read_weights
from export.npc.assistant.trainer import AssistantTrainer
from export.npc.train import POLICY_ZIP, stop_signals
from export.npc.trainer import Diverged
from export.run_log import RunLog, write_config


def train(config: TrainConfig) -> Path:
    """Train until a budget ends or a signal comes; return the run folder.

    It holds `checkpoint.pt`, which resumes, `best.pt`, the best policy by its evaluations, `policy.zip`, that policy as
    Stable-Baselines3's own file, `config.json` and TensorBoard's curves. `ValueError` for a configuration that cannot be
    trained, `Diverged` with the reason when a number is not finite.
    """
    if not config.seconds and not config.steps:
        raise ValueError("no budget: give --seconds, --steps or both")
    torch.set_num_threads(config.threads)
    trainer = AssistantTrainer(config)
    path = config.folder / CHECKPOINT
    if config.resume:
        trainer.restore(checkpoint.load(path, KIND))
    elif path.exists():
        raise ValueError(f'"{path}" exists; go on with --resume or choose another --run name')
    elif config.start_from is not None:
        trainer.start_from(read_weights(config.start_from)[0], read_history(config.start_from))
    write_config(config.folder, config.to_json())
    with RunLog(config.folder, resumed_at=trainer.steps if config.resume else None) as log, stop_signals() as signals:
        started = time.monotonic()
        try:
            if config.cloning_steps and not trainer.cloned:
                _imitate(trainer, log, lambda: bool(signals) or _spent(config, started))
                _judge(trainer, log)
                trainer.seconds = time.monotonic() - started
                checkpoint.save(path, KIND, trainer.state())
            _learn(trainer, log, path, signals, started)
        except Diverged as error:
            good = f'the last good checkpoint is "{path}"' if path.exists() else "there is no good checkpoint yet"
            raise Diverged(f"{error}; {good}; a lower --learning-rate is steadier") from error
    return config.folder


def _spent(config: TrainConfig, started: float) -> bool:
    return config.seconds > 0.0 and time.monotonic() - started >= config.seconds


def _imitate(trainer: AssistantTrainer, log: RunLog, over: Callable[[], bool]) -> None:
    total = trainer.config.cloning_steps
    with tqdm(total=total, desc="imitation", unit="step", unit_scale=True) as bar:

        def report(figures: dict[str, float], steps: int) -> bool:
            # Curves of imitation lie left of zero, where learning begins.
            log.scalars(figures, steps - total)
            bar.update(steps - bar.n)
            bar.set_postfix({name.split("/")[1]: f"{value:.3f}" for name, value in figures.items()})
            return over()

        trainer.clone(report)


def _learn(trainer: AssistantTrainer, log: RunLog, path: Path, signals: list[int], started: float) -> None:
    """A rollout and its update, a point of every curve, now and then an evaluation or a checkpoint, both at the end."""
    config = trainer.config
    saved, first_step, total = time.monotonic(), trainer.steps, config.steps or None
    before, begun, judged = trainer.seconds, time.monotonic(), trainer.steps
    with tqdm(total=total, initial=trainer.steps, desc="training", unit="step", unit_scale=True, smoothing=0.05) as bar:
        while not signals and (total is None or trainer.steps < total):
            if _spent(config, started):
                break
            trainer.train_rollout()
            now = time.monotonic()
            trainer.seconds = before + now - begun
            log.scalars(trainer.metrics, trainer.steps)
            bar.update(trainer.steps - bar.n)
            shown = {"return": "episode/return", "success": "episode/success"}
            bar.set_postfix({word: f"{trainer.metrics[name]:.2f}" for word, name in shown.items() if name in trainer.metrics})
            if config.evaluate_every and trainer.steps - judged >= config.evaluate_every:
                _judge(trainer, log)
                judged = trainer.steps
            if now - saved >= config.checkpoint_seconds:
                checkpoint.save(path, KIND, trainer.state())
                saved = now
    if trainer.steps > first_step:
        if trainer.steps > judged:
            _judge(trainer, log)
        checkpoint.save(path, KIND, trainer.state())


def _judge(trainer: AssistantTrainer, log: RunLog) -> None:
    """Evaluate on unseen worlds; keep the policy if it fulfils more, or as much with a higher return."""
    config = trainer.config
    player = TrainedPlayer(trainer.model, config)
    measured = evaluate(player, config.world, episodes=config.evaluate_episodes, seeds=1, first_seed=EVALUATION_SEED - 1)
    figures = {"success": measured.success, "return": measured.mean_return, "contact": measured.contact}
    figures |= {f"success_{name}": share for name, share in measured.by_task.items()}
    log.scalars({f"evaluation/{name}": value for name, value in figures.items()}, trainer.steps)
    tqdm.write(f"{trainer.steps} steps: success {measured.success:.1%}, return {measured.mean_return:.2f}")
    if (figures["success"], figures["return"]) > (trainer.best.get("success", -1.0), trainer.best.get("return", 0.0)):
        trainer.best = {"steps": float(trainer.steps), **figures}
        state = {"config": config.to_json(), "policy": trainer.weights(), "metrics": trainer.best, "steps": trainer.steps}
        checkpoint.save(config.folder / BEST, KIND, state)
        trainer.model.save(config.folder / POLICY_ZIP, exclude=["lr_schedule", "exploration_schedule", "replay_buffer"])
