"""One training step of a prior and everything that it changes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.scene import climate
from export.scene import prior as priors
from export.scene.code_windows import CodeWindows, fingerprint
from export.scene.config import check_same
from export.scene.masking import Batch, batch
from export.scene.prior_config import SESSION_FIELDS, PriorTrainConfig
from export.scene.reconstruction import decode
from export.scene.sample import draw_codes
from export.scene.tasks import rendered
from export.scene.vqvae import VQVAE

HELD_OUT = 1 << 32
SHOWN = 32


class PriorTrainer:
    """Prior, its average, optimiser and counters; batches are a function of seed and step. The VQ-VAE does not change."""

    def __init__(
        self, config: PriorTrainConfig, vqvae: VQVAE, vqvae_state: dict[str, Any], train: CodeWindows, held_out: CodeWindows
    ) -> None:
        self.config, self.vqvae, self.vqvae_state = config, vqvae, vqvae_state
        self.train, self.held_out = train, held_out
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.prior = priors.build(vqvae.codes, vqvae.config.grid, config.model)
        self.average = copy.deepcopy(self.prior).requires_grad_(False).eval()
        decayed = [p for p in self.prior.parameters() if p.ndim > 1]
        others = [p for p in self.prior.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
        self.step, self.seconds = 0, 0.0
        self.earlier: list[dict[str, Any]] = []
        self.metrics: dict[str, float] = {}

    @property
    def learning_rate(self) -> float:
        """The rate of the current step: a linear warm-up, then halved every `halve_ktiles`."""
        config = self.config
        halvings = self.step * config.batch / (config.halve_ktiles * 1000) if config.halve_ktiles else 0.0
        return config.learning_rate * min(1.0, (self.step + 1) / config.warm_up) * 0.5**halvings

    def start_from(self, prior: priors.Prior, stages: list[dict[str, Any]]) -> None:
        """Takes the weights of a prior of the same shape, and remembers the runs that led to it, the first one first."""
        for network in (self.prior, self.average):
            network.load_state_dict(prior.state_dict())
        self.earlier = stages

    def networks(self) -> dict[str, nn.Module]:
        """All networks that learn, by name."""
        return {"prior": self.prior}

    def train_step(self) -> None:
        """Cross-entropy of hidden codes (of all codes, for the autoregressive prior), one step of AdamW, the average."""
        rng = np.random.default_rng((self.config.seed, self.step))
        chosen = rng.integers(len(self.train), size=self.config.batch)
        value, accuracy = self._loss(self.prior, self._batch(self.train, chosen, rng), self.config.label_smoothing)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        norm = nn.utils.clip_grad_norm_(self.prior.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        if self.step % self.config.log_every == 0 or self.step == 1:
            found = {"loss/codes": value, "accuracy/codes": accuracy, "gradient/norm": norm}
            self.metrics |= {name: tensor.item() for name, tensor in found.items()} | {"learning_rate": self.learning_rate}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Cross-entropy (nats a code) and accuracy of the average on held-out windows, with equal masks every time."""
        rng = np.random.default_rng((self.config.seed, HELD_OUT))
        groups = np.array_split(np.arange(len(self.held_out)), -(-len(self.held_out) // 32))
        parts = [self._loss(self.average, self._batch(self.held_out, group, rng), 0.0) for group in groups]
        losses, accuracies = zip(*parts, strict=True)
        return {"nats": float(torch.stack(losses).mean()), "accuracy": float(torch.stack(accuracies).mean())}

    def sheet(self) -> np.ndarray:
        """Tiles of seeds 0 to 31, with nothing asked for."""
        return rendered(decode(self.vqvae, draw_codes(self.average, range(SHOWN))))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: enough to go on bit for bit, and the VQ-VAE whose codes these are."""
        return {
            "config": self.config.to_json(),
            "vqvae": self.vqvae_state,
            "vqvae_fingerprint": fingerprint(self.vqvae),
            "step": self.step,
            "seconds": self.seconds,
            "earlier": self.earlier,
            "metrics": self.metrics,
            "climate": climate.sampled(self.train),
            "prior": self.prior.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's state; raises ValueError when its configuration or VQ-VAE is another one."""
        check_same(state["config"], self.config.to_json(), SESSION_FIELDS)
        if state["vqvae_fingerprint"] != fingerprint(self.vqvae):
            raise ValueError("the checkpoint was trained on the codes of another VQ-VAE; give that one, or another --run name")
        self.prior.load_state_dict(state["prior"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.metrics = state["step"], state["seconds"], dict(state["metrics"])
        self.earlier = list(state["earlier"])

    def _batch(self, windows: CodeWindows, chosen: np.ndarray, rng: np.random.Generator) -> Batch:
        return batch(windows, chosen, self.vqvae.codes, self.config, rng)

    def _loss(self, prior: priors.Prior, drawn: Batch, smoothing: float) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy and accuracy over the codes that are asked for."""
        tokens, true, hidden, conditions = drawn
        if self.config.model.kind == "autoregressive":
            margin, grid = self.config.model.margin, true.shape[1]
            tokens = tokens.clone()
            tokens[:, margin : margin + grid, margin : margin + grid] = true
            hidden = torch.ones_like(hidden)
        logits, target = prior(tokens, *conditions)[hidden], true[hidden]
        accuracy = (logits.detach().argmax(dim=-1) == target).float().mean()
        return F.cross_entropy(logits, target, label_smoothing=smoothing), accuracy

    @torch.no_grad()
    def _update_average(self) -> None:
        weight = 1.0 - min(self.config.average, (1.0 + self.step) / (10.0 + self.step))
        for average, current in zip(self.average.parameters(), self.prior.parameters(), strict=True):
            average.lerp_(current, weight)
