"""The autoencoder of `pretrain` while it learns: its steps, its state, and what it begins with."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from export.avatar.autoencoder import PictureEncoder, reconstruction_loss
from export.avatar.batches import batch_of
from export.avatar.model import Synthesis
from export.avatar.trained import Trained

if TYPE_CHECKING:
    from export.avatar.pretrain import PretrainConfig

WARM_UP_STEPS = 200
DRAWING_KIND = "avatar-drawing"
DRAWING_FIELDS = (
    *("source", "path", "faces", "model", "kimg", "batch", "learning_rate", "style_noise", "distance_weight"),
    *("start_from", "encoder_kimg", "seed"),
)
"""What must agree before a stopped autoencoder goes on."""


class Drawing:
    """The autoencoder while it learns: both networks, the averaged drawing network and what a stopped run needs."""

    def __init__(self, config: PretrainConfig, synthesis: Synthesis) -> None:
        torch.manual_seed(config.seed)
        self.config, self.synthesis = config, synthesis.requires_grad_(True)
        self.encoder = PictureEncoder(config.model).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(synthesis).requires_grad_(False)
        groups = [{"params": list(network.parameters())} for network in (synthesis, self.encoder)]
        self.optimiser = torch.optim.Adam(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
        self.rng = torch.Generator().manual_seed(config.seed)
        self.step, self.seconds, self.alone = 0, 0.0, 0
        self.earlier: list[dict[str, Any]] = []

    def train_step(self, images: np.ndarray, pace: float) -> Tensor:
        """Draws some pictures again, at a share of the learning rate; returns the loss.

        In the first `alone` steps the synthesis network stays as it is; then its rate rises as at a start.
        """
        synthesis, encoder = self.optimiser.param_groups
        encoder["lr"] = synthesis["lr"] = self.config.learning_rate * pace
        if self.alone:
            synthesis["lr"] *= min(1.0, max(0, self.step - self.alone) / WARM_UP_STEPS)
        batch = batch_of(images, torch.randint(len(images), (self.config.batch,), generator=self.rng).numpy())
        styles = self.encoder(batch)
        noisy = styles + self.config.style_noise * torch.randn(styles.shape, generator=self.rng)
        loss = reconstruction_loss(self.synthesis, noisy, batch, self.config.distance_weight)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        follow(self.average, self.synthesis, 0.01)
        self.step += 1
        return loss.detach()

    def not_finite(self) -> list[str]:
        """The names of the weights that are not all finite numbers."""
        weights = ((f"{name}.{key}", value) for name, net in self._networks().items() for key, value in net.named_parameters())
        return [name for name, weight in weights if not torch.isfinite(weight).all()]

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: enough to go on bit for bit."""
        return {
            "options": self._options(),
            "networks": {name: network.state_dict() for name, network in self._networks().items()},
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.get_state(),
            "step": self.step,
            "alone": self.alone,
            "seconds": self.seconds,
            "earlier": self.earlier,
            "command": self.config.command,
        }

    def begin_with(self, state: dict[str, Any]) -> None:
        """Takes the weights of another run's networks wherever name and shape agree, and remembers that run."""
        for name, network in self._networks().items():
            begin_with(network, state["networks"][name])
        then = state["options"]
        stage = {"source": then["source"], "faces": then["faces"], "pictures_seen": state["step"] * then["batch"]}
        stage |= {"hours": round(state["seconds"] / 3600, 3), "command": state["command"]}
        self.earlier = [*state["earlier"], stage]

    def begin_with_trained(self, trained: Trained, alone: int) -> None:
        """Takes the generator's drawing network and, for the encoder, the discriminator's layers; remembers their runs.

        The encoder learns alone for some steps, until it gives the styles that the drawing network knows.
        """
        weights = trained.generator.synthesis.state_dict()
        for network in (self.synthesis, self.average):
            begin_with(network, weights)
        begin_with(self.encoder.layers, trained.discriminator.state_dict())
        self.earlier, self.alone = trained.stages, alone

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's state; raises ValueError when it was made with other options."""
        for name, value in self._options().items():
            then = state["options"].get(name)
            if then != value:
                raise ValueError(f"the run was begun with {name} = {then}, not {value}; use another --run name")
        for name, network in self._networks().items():
            network.load_state_dict(state["networks"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.set_state(state["rng"])
        self.step, self.seconds, self.alone = state["step"], state["seconds"], state["alone"]
        self.earlier = state["earlier"]

    def _options(self) -> dict[str, Any]:
        values = dataclasses.asdict(self.config)
        shape = {key: value for key, value in values["model"].items() if not key.startswith(("mapping", "flow"))}
        return {name: values[name] for name in DRAWING_FIELDS} | {"model": shape}

    def _networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "synthesis": self.synthesis, "average": self.average}


@torch.no_grad()
def follow(average: nn.Module, current: nn.Module, weight: float) -> None:
    """Moves averaged weights towards the current ones."""
    for ours, theirs in zip(average.parameters(), current.parameters(), strict=True):
        ours.lerp_(theirs, weight)


@torch.no_grad()
def begin_with(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copies the weights whose names and shapes agree.

    Of a convolution with one input more or less, the discriminator's batch statistics, all but that one.
    """
    state: dict[str, Any] = network.state_dict()
    for name, weight in weights.items():
        if name not in state:
            continue
        if state[name].shape == weight.shape:
            state[name].copy_(weight)
        elif state[name].ndim == 4 and state[name][:, :-1].shape == weight.shape:
            state[name][:, :-1].copy_(weight)
        elif state[name].ndim == 4 and state[name].shape == weight[:, :-1].shape:
            state[name].copy_(weight[:, :-1])
