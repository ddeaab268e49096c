"""The two networks as they are trained: what learns, in which arithmetic, and how a step is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from export.avatar.config import TrainConfig
from export.avatar.model import Discriminator, Generator
from export.avatar.parallel import average_gradients

FLOW_RATE = 0.01
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Player:
    """One network with its Adam optimiser; frozen weights stay out of it."""

    def __init__(self, network: nn.Module, config: TrainConfig, *, interval: int, frozen: set[str]) -> None:
        """interval: steps between two penalties of this player, 0 for none. frozen: prefixes of parameter names."""
        self.network = network
        self.trained = [p for name, p in network.named_parameters() if not name.startswith(tuple(frozen))]
        network.requires_grad_(False)
        self.learn(True)
        # Lazy regularisation takes interval + 1 optimiser steps for interval steps of the loss (section 3.1).
        ratio = interval / (interval + 1) if interval else 1.0
        rate, betas = config.learning_rate * ratio, (0.0, 0.99**ratio)
        self.optimiser = torch.optim.Adam(parameter_groups(self, config, rate), betas=betas, eps=1e-8, fused=True)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]

    def pace(self, share: float) -> None:
        """Learns at a share of the configured learning rates from here on."""
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def learn(self, enabled: bool) -> None:
        """Lets gradients reach the weights that are not frozen, or none."""
        for parameter in self.trained:
            parameter.requires_grad_(enabled)

    def step(self, scaler: torch.amp.GradScaler | None = None) -> None:
        """One optimiser step with the gradients gathered so far, averaged over all processes, which it then drops."""
        average_gradients(self.trained)
        if scaler is None:
            self.optimiser.step()
        else:
            scaler.step(self.optimiser)
            scaler.update()
        self.optimiser.zero_grad(set_to_none=True)


def parameter_groups(player: Player, config: TrainConfig, rate: float) -> list[dict[str, Any]]:
    """The weights that learn, with their learning rates: the mapping network has its own, unless it is the same.

    A flow learns at a hundredth, as the fully connected layers do by their own scale.
    """
    mapping = {p for name, p in player.network.named_parameters() if name.startswith("mapping.")} & set(player.trained)
    factor = config.mapping_rate * (FLOW_RATE if config.model.mapping == "flow" else 1.0)
    if factor == 1.0 or not mapping:
        return [{"params": player.trained, "lr": rate}]
    others = [p for p in player.trained if p not in mapping]
    return [
        {"params": others, "lr": rate},
        {"params": [p for p in player.trained if p in mapping], "lr": rate * factor},
    ]


def pace_at(kimg: float, decay_kimg: float) -> float:
    """The share of the learning rates after kimg thousand pictures: a quarter of a cosine, then a fiftieth."""
    return max(0.02, math.cos(min(1.0, kimg / decay_kimg) * math.pi / 2)) if decay_kimg else 1.0


def schedule(step: int, steps: int, warm_up: int) -> float:
    """The share of the learning rate in a stage of so many steps: a linear rise, then a quarter of a cosine to a fiftieth."""
    return min(1.0, (step + 1) / warm_up) * max(0.02, math.cos(step / steps * math.pi / 2))


class Precision:
    """Autocast and, for float16, the scale that keeps small gradients above zero."""

    def __init__(self, config: TrainConfig) -> None:
        self.dtype = DTYPES[config.precision]
        self.device = torch.device(config.device).type
        self.scaler = torch.amp.GradScaler(self.device) if self.dtype == torch.float16 else None

    @contextmanager
    def reduced(self) -> Iterator[None]:
        """Runs what is inside in the reduced precision, where one was chosen."""
        with torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32):
            yield

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss, scaled in float16."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()


def frozen_generator(config: TrainConfig) -> set[str]:
    """Prefixes of the generator's weights that stay as they are."""
    return {"mapping."} if config.freeze_mapping else set()


def frozen_discriminator(config: TrainConfig) -> set[str]:
    """Prefixes of the discriminator's weights that stay: its first blocks, the finest (Mo et al. 2020, arXiv:2002.10964)."""
    count = config.freeze_discriminator_layers
    return {"from_image.", *(f"blocks.{index}." for index in range(count))} if count else set()


def build(config: TrainConfig) -> tuple[Generator, Discriminator]:
    """Both networks with the random weights of the seed, on the device, channels last."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        networks = Generator(config.model), Discriminator(config.model)
    for network in networks:
        network.to(device=config.device, memory_format=torch.channels_last)
    return networks
