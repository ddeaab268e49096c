"""One training step of a VQ-VAE and everything that it changes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.scene.config import SESSION_FIELDS, TrainConfig, check_same
from export.scene.critic import Critic
from export.scene.quantiser import VectorQuantiser, usage
from export.scene.tasks import Task
from export.scene.tiles import TileSource
from export.scene.vqvae import VQVAE


class VQVAETrainer:
    """Model, optimiser, counters and the random generator of restarts; batches are a function of seed and step."""

    def __init__(self, config: TrainConfig, task: Task, *, middle: float = 0.0, scale: float = 1.0) -> None:
        self.config, self.task = config, task
        self.rng = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = VQVAE(config.model, middle=middle, scale=scale)
        self.model = model.to(memory_format=torch.channels_last)
        if isinstance(model.quantiser, VectorQuantiser):
            model.quantiser.decay = config.decay
        self.drawing = nn.ModuleList([self.model.decoder, self.model.heads])
        """What still learns when a run goes on with another's codes."""
        self.average = copy.deepcopy(self.drawing).requires_grad_(False)
        self.critic = Critic(config.critic_rate, config.r1_gamma, config.seed) if config.adversarial_weight else None
        learning = self.drawing if config.start_from else self.model
        self.optimiser = torch.optim.Adam(learning.parameters(), lr=config.learning_rate)
        self.counts = torch.zeros(model.codes)
        """How often each code was chosen since the last look at the curves."""
        self.step, self.seconds, self.restarted = 0, 0.0, 0
        self.metrics: dict[str, float] = {}
        self.datasheet: dict[str, Any] = {}
        self.earlier: list[dict[str, Any]] = []

    def start_from(self, model: VQVAE, stages: list[dict[str, Any]]) -> None:
        """Takes a trained VQ-VAE, whose encoder and codebook stay as they are, and remembers the runs that led to it."""
        self.model.load_state_dict(model.state_dict())
        self.average.load_state_dict(self.drawing.state_dict())
        self.earlier = stages

    @property
    def learning_rate(self) -> float:
        """The rate of the current step: halved every `halve_ktiles`."""
        config = self.config
        halvings = self.step * config.batch / (config.halve_ktiles * 1000) if config.halve_ktiles else 0.0
        return config.learning_rate * 0.5**halvings

    def networks(self) -> dict[str, nn.Module]:
        """All networks, by name."""
        return {"model": self.model} | ({"critic": self.critic.network} if self.critic else {})

    def train_step(self) -> None:
        """Gradients of losses and commitment, then the codebook's averages, now and then restarts of dead codes."""
        inputs = self.task.draw(self.config.batch, self.config.seed, self.step)
        if self.config.start_from:
            self._draw_better(inputs)
            return
        if self.step == 0:
            self._start_codebook(inputs)
        decoded, quantised, vectors = self.model(*inputs)
        losses = self.task.losses(decoded, inputs)
        total = sum((self._weight(name) * value for name, value in losses.items()), self.config.commitment * quantised.loss)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.optimiser.step()
        self.step += 1
        self._learn_codes(vectors.detach(), quantised.codes)
        self._note(losses | {"commitment": quantised.loss}, total)

    def _draw_better(self, inputs: tuple[Tensor, ...]) -> None:
        """A step of decoder and heads alone, with the critic's opinion where there is one, and the critic's own step."""
        with torch.no_grad():
            vectors = self.model.quantiser.look_up(self.model.encode(*inputs))
        decoded = self.model.heads(self.model.decoder(vectors))
        losses = self.task.losses(decoded, inputs)
        total = sum(self._weight(name) * value for name, value in losses.items())
        found: dict[str, Tensor] = {}
        waiting = self.critic is not None and self.step * self.config.batch < self.config.head_start_ktiles * 1000
        if self.critic and not waiting:
            relief = sum(self._weight(name) * losses[name] for name in ("height", "slope"))
            opinion = self.critic.opinion(decoded.height, inputs[1], self.model.heads.height.weight, relief)
            total = total + self.config.adversarial_weight * opinion
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        if not waiting:
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()
            self.optimiser.step()
        if self.critic:
            found = self.critic.train_step(inputs[0], decoded.height, inputs[1], self.step)
        self.step += 1
        self._update_average()
        if self.step % self.config.log_every == 0 or self.step == 1:
            scalars = {f"loss/{name}": value for name, value in losses.items()} | {"loss/total": total} | found
            self.metrics |= {name: value.item() for name, value in scalars.items()} | {"learning_rate": self.learning_rate}

    @torch.no_grad()
    def _update_average(self) -> None:
        weight = 1.0 - min(self.config.average, (1.0 + self.step) / (10.0 + self.step)) if self.critic else 1.0
        for average, current in zip(self.average.parameters(), self.drawing.parameters(), strict=True):
            average.lerp_(current, weight)

    @property
    def kept(self) -> VQVAE:
        """The model that is measured and published: with a critic its decoder is the averaged one."""
        if not self.config.start_from:
            return self.model
        model = copy.deepcopy(self.model).requires_grad_(False)
        nn.ModuleList([model.decoder, model.heads]).load_state_dict(self.average.state_dict())
        return model

    def measure(self) -> dict[str, float]:
        """Figures on held-out data."""
        return self.task.figures(self.kept)

    def sheet(self) -> np.ndarray:
        """Held-out originals over reconstructions."""
        return self.task.sheet(self.kept)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: enough to go on bit for bit."""
        return {
            "config": self.config.to_json(),
            "datasheet": self.datasheet,
            "step": self.step,
            "seconds": self.seconds,
            "restarted": self.restarted,
            "metrics": self.metrics,
            "earlier": self.earlier,
            "model": self.kept.state_dict(),
            "drawing": self.drawing.state_dict(),
            "critic": self.critic.state() if self.critic else {},
            "optimiser": self.optimiser.state_dict(),
            "counts": self.counts,
            "rng": self.rng.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's state; raises ValueError when its configuration trains another model."""
        check_same(state["config"], self.config.to_json(), SESSION_FIELDS)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(nn.ModuleList([self.model.decoder, self.model.heads]).state_dict())
        self.drawing.load_state_dict(state["drawing"])
        if self.critic:
            self.critic.restore(state["critic"])
        self.earlier = state["earlier"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.set_state(state["rng"])
        self.counts = state["counts"]
        self.step, self.seconds, self.restarted = state["step"], state["seconds"], state["restarted"]
        self.metrics = dict(state["metrics"])

    def _weight(self, name: str) -> float:
        return getattr(self.config, f"{name}_weight", 1.0)

    @torch.no_grad()
    def _start_codebook(self, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(self.model.quantiser, VectorQuantiser):
            self.model.quantiser.start(self.model.vectors(*inputs), self.rng)

    @torch.no_grad()
    def _learn_codes(self, vectors: Tensor, codes: Tensor) -> None:
        self.counts += torch.bincount(codes.flatten(), minlength=self.model.codes)
        quantiser, config = self.model.quantiser, self.config
        if not isinstance(quantiser, VectorQuantiser):
            return
        quantiser.update(vectors, codes)
        if config.restart_share and self.step % config.restart_every == 0:
            self.restarted += quantiser.restart(vectors, config.restart_share * codes.numel() / quantiser.codes, self.rng)

    def _note(self, losses: dict[str, Tensor], total: Tensor) -> None:
        """Keeps the figures of this step when the loop is about to look at them."""
        if self.step % self.config.log_every and self.step > 1:
            return
        used, perplexity = usage(self.counts)
        self.counts.zero_()
        self.metrics |= {f"loss/{name}": value.item() for name, value in losses.items()} | {"loss/total": total.item()}
        self.metrics |= {"codes/used": used, "codes/perplexity": perplexity, "codes/restarted": float(self.restarted)}
        self.metrics["learning_rate"] = self.learning_rate


def normalisation(source: TileSource, tiles: int = 512) -> tuple[float, float]:
    """The middle and scale of heights in metres that the model normalises by: median, and half of what 5 % to 95 % span.

    Both are robust: a few summits do not press the plains flat.
    """
    low, middle, high = np.percentile(source.draw(tiles, 0).height, (5, 50, 95))
    return float(middle), max(float(high - low) / 2.0, 1e-3)
