"""Few pictures drawn by a trained generator, without a game: its drawings are matched with them and learn to be them.

As in implicit maximum likelihood estimation (Li and Malik 2018, arXiv:1809.09087) the synthesis network learns by
reconstruction to draw each picture from random styles whose drawings are near. There only the nearest style of each picture
learns; here, as in optimal transport, all styles do, so that none is left to draw something between the pictures. The mapping
network stays, so that styles keep what they mean as far as the new pictures have it: faces with light hair are matched with
pictures of light hair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from export.avatar.autoencoder import reconstruction_loss
from export.avatar.batches import batch_of
from export.avatar.model import Generator

COARSE = 16
"""Pictures are compared as averages over a grid of so many cells in a row: colours and shapes count, single pixels do not."""
PAIRS = 300
"""Random styles in a search, shared out among as many pictures at most."""
SEARCH_STEPS = 50
"""Steps between two searches, each among other random styles."""
STYLE_NOISE = 0.15
"""Deviation of the noise on a style, in deviations of random styles, so that its neighbours learn to draw the picture too."""
PART = 32


class OptimalTransport:
    """A generator's synthesis network while it learns to draw pictures uint8 [N, C, S, S].

    average, the averaged generator, is what the pictures look for styles in. Processes that train together all do the same.
    """

    def __init__(
        self, generator: Generator, average: Generator, images: np.ndarray, rng: torch.Generator, *, learning_rate: float
    ) -> None:
        self.generator, self.average, self.images, self.rng = generator, average, images, rng
        self.learning_rate = learning_rate
        self.optimiser = torch.optim.Adam(generator.synthesis.parameters(), learning_rate, betas=(0.9, 0.99), fused=True)
        self.device = generator.mapping.w_mean.device
        self.styles = self.deviation = torch.empty(0)
        self.rows = torch.empty(0, dtype=torch.int64)

    def train_step(self, step: int, count: int, pace: float) -> Tensor:
        """Draws so many pictures again, at a share of the learning rate; returns the loss."""
        if step % SEARCH_STEPS == 0:
            self.search()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * pace
        pairs = torch.randint(len(self.rows), (count,), generator=self.rng).sort().values  # sorted, as batch_of takes pictures
        noise = torch.randn(count, self.styles.shape[1], generator=self.rng)
        styles = (self.styles[pairs] + STYLE_NOISE * self.deviation * noise).to(self.device)
        images = batch_of(self.images, self.rows[pairs].numpy()).to(self.device)
        loss = reconstruction_loss(self.generator.synthesis, styles, images)
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    @torch.no_grad()
    def search(self) -> float:
        """Pairs random styles with pictures; returns the mean distance of the pairs.

        Every style is taken, every picture equally often, and the sum of the distances between pictures and the drawings of
        their styles is the least: the whole of what the generator draws moves to the whole of the pictures.
        """
        config = self.generator.config
        chosen = torch.randperm(len(self.images), generator=self.rng)[:PAIRS].sort().values
        each = PAIRS // len(chosen)
        z = torch.randn(each * len(chosen), config.latent_size, generator=self.rng).to(self.device)
        styles = self.average.mapping.to_w(z)
        drawn = torch.cat([coarse(self._draw(part)) for part in styles.split(PART)]).cpu()
        wanted = torch.cat([coarse(batch_of(self.images, part.numpy())) for part in chosen.split(PART)])
        distance = torch.cdist(wanted, drawn).repeat_interleave(each, dim=0).numpy()
        rows, columns = linear_sum_assignment(distance)
        self.rows = chosen.repeat_interleave(each)
        self.styles, self.deviation = styles.cpu()[torch.from_numpy(columns)], styles.std(dim=0).cpu()
        return float(distance[rows, columns].mean())

    def _draw(self, styles: Tensor) -> Tensor:
        config = self.generator.config
        noise = torch.zeros(len(styles), config.noise_size, device=self.device)
        image: Tensor = self.average.synthesis(styles[:, None].expand(-1, config.num_layers, -1), noise)
        return image

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"optimiser": self.optimiser.state_dict(), "styles": self.styles, "deviation": self.deviation, "rows": self.rows}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's state."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.styles, self.deviation, self.rows = state["styles"], state["deviation"], state["rows"]


def coarse(images: Tensor) -> Tensor:
    """Pictures [N, C, S, S] as averages over a grid of COARSE x COARSE cells: [N, C * COARSE * COARSE]."""
    return F.adaptive_avg_pool2d(images, COARSE).flatten(1)
