"""One training step of a VQ-VAE and everything that it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.scene.config import SESSION_FIELDS, TrainConfig, check_same
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
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.counts = torch.zeros(model.codes)
        """How often each code was chosen since the last look at the curves."""
        self.step, self.seconds, self.restarted = 0, 0.0, 0
        self.metrics: dict[str, float] = {}
        self.datasheet: dict[str, Any] = {}

    @property
    def learning_rate(self) -> float:
        """The rate of the current step: halved every `halve_ktiles`."""
        config = self.config
        halvings = self.step * config.batch / (config.halve_ktiles * 1000) if config.halve_ktiles else 0.0
        return config.learning_rate * 0.5**halvings

    def networks(self) -> dict[str, nn.Module]:
        """All networks, by name."""
        return {"model": self.model}

    def train_step(self) -> None:
        """Gradients of losses and commitment, then the codebook's averages, now and then restarts of dead codes."""
        inputs = self.task.draw(self.config.batch, self.config.seed, self.step)
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

    def measure(self) -> dict[str, float]:
        """Figures on held-out data."""
        return self.task.figures(self.model)

    def sheet(self) -> np.ndarray:
        """Held-out originals over reconstructions."""
        return self.task.sheet(self.model)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: enough to go on bit for bit."""
        return {
            "config": self.config.to_json(),
            "datasheet": self.datasheet,
            "step": self.step,
            "seconds": self.seconds,
            "restarted": self.restarted,
            "metrics": self.metrics,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counts": self.counts,
            "rng": self.rng.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's state; raises ValueError when its configuration trains another model."""
        check_same(state["config"], self.config.to_json(), SESSION_FIELDS)
        self.model.load_state_dict(state["model"])
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
