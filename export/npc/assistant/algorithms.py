"""The learners of Stable-Baselines3 and sb3-contrib with the fusion of senses in front."""

from __future__ import annotations

from typing import Any, TypeAlias

from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from export.npc.assistant.config import TrainConfig
from export.npc.assistant.fusion import FusionExtractor

Model: TypeAlias = PPO | MaskablePPO | RecurrentPPO | DQN
CLASSES: dict[str, type[Model]] = {"ppo": PPO, "maskable-ppo": MaskablePPO, "recurrent-ppo": RecurrentPPO, "dqn": DQN}
POLICY = {"ppo": "MultiInputPolicy", "maskable-ppo": "MultiInputPolicy", "recurrent-ppo": "MultiInputLstmPolicy"}


def build(config: TrainConfig, environment: VecEnv) -> Model:
    """Return a fresh learner; `ValueError` for a batch that no rollout fills."""
    if not 1 < config.batch <= config.rollout_steps:
        raise ValueError(f"batch is {config.batch}, expected 2 .. {config.rollout_steps} (agents x rollout_ticks)")
    common: dict[str, Any] = {"seed": config.seed, "device": "cpu", "batch_size": config.batch, "gamma": config.gamma}
    common |= {"learning_rate": config.learning_rate, "stats_window_size": config.worlds * config.world.agents}
    common["policy_kwargs"] = _policy_options(config)
    if config.algorithm == "dqn":
        # One environment step of all agents between updates; a minibatch for every 32 of them.
        model: Model = DQN(
            "MultiInputPolicy",
            environment,
            buffer_size=config.replay,
            learning_starts=2 * config.batch,
            train_freq=1,
            gradient_steps=max(1, environment.num_envs // 32),
            target_update_interval=500,
            exploration_initial_eps=config.exploration[0],
            exploration_final_eps=config.exploration[0],
            **common,
        )
    else:
        options = {"n_steps": config.rollout_ticks, "n_epochs": config.epochs, "gae_lambda": config.gae_lambda}
        options |= {"clip_range": config.clip, "ent_coef": config.entropy, "target_kl": config.target_kl}
        model = CLASSES[config.algorithm](POLICY[config.algorithm], environment, **options, **common)  # type: ignore[call-arg]
    model.set_logger(Logger(None, []))
    return model


def _policy_options(config: TrainConfig) -> dict[str, Any]:
    fusion = {"width": config.width, "features": 128}
    options: dict[str, Any] = {"features_extractor_class": FusionExtractor, "features_extractor_kwargs": fusion}
    options["net_arch"] = list(config.hidden)
    if config.algorithm == "ppo":
        options["log_std_init"] = -1.0
    if config.algorithm == "recurrent-ppo":
        options |= {"lstm_hidden_size": config.lstm, "n_lstm_layers": 1, "enable_critic_lstm": False, "shared_lstm": True}
    return options


def choose(model: Model, observation: dict[str, Any], masks: Any, state: Any, starts: Any, *, deterministic: bool) -> Any:
    """Return the actions of a policy and its next state; masks are used by MaskablePPO, state by recurrent ones."""
    if isinstance(model, MaskablePPO):
        return model.predict(observation, deterministic=deterministic, action_masks=masks)
    return model.predict(observation, state=state, episode_start=starts, deterministic=deterministic)
