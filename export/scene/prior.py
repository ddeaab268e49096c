"""Priors over the code grid: masked (MaskGIT, Chang et al. 2022, arXiv:2202.04200) and autoregressive, for comparison."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.scene.attention import Block, Cache, start_small
from export.scene.classes import BIOMES, GROUND
from export.scene.prior_config import PriorConfig

FREE = -1
"""A condition that is not asked for."""


class Conditions(NamedTuple):
    """What tiles are asked to be; FREE where nothing is asked.

    painted int64 [N, G, G] (ground classes), biome int64 [N], ruggedness and water share float32 [N].
    """

    painted: Tensor
    biome: Tensor
    ruggedness: Tensor
    water_share: Tensor


class ConditionInput(nn.Module):
    """Biome, ruggedness and water share as one vector [N, W]; free ones have a vector of their own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.biome = nn.Embedding(len(BIOMES) + 1, width)
        self.numbers = nn.Linear(4, width)

    def forward(self, conditions: Conditions) -> Tensor:
        pairs = []
        for value in (conditions.ruggedness, conditions.water_share):
            known = (value >= 0.0).to(value.dtype)
            pairs += [value * known, known]
        return self.biome(conditions.biome + 1) + self.numbers(torch.stack(pairs, dim=1))


class GridInput(nn.Module):
    """Tokens on a grid to features of codes [N, E, S, S]: embedded, what is painted added, and mixed with near codes."""

    def __init__(self, codes: int, config: PriorConfig) -> None:
        super().__init__()
        self.margin = config.margin
        self.codes = nn.Embedding(codes + 2, config.code_width)
        self.painted = nn.Embedding(len(GROUND) + 1, config.code_width)
        self.near = nn.Conv2d(config.code_width, config.code_width, 3, padding=1)

    def forward(self, tokens: Tensor, painted: Tensor) -> Tensor:
        around = F.pad(painted + 1, [self.margin] * 4)  # nothing is painted on neighbours
        x = (self.codes(tokens) + self.painted(around)).permute(0, 3, 1, 2)
        return x + F.gelu(self.near(x), approximate="tanh")


class MaskedPrior(nn.Module):
    """One refinement step: tokens [N, G + 2p, G + 2p] and conditions to logits [N, G, G, K].

    A token is a code, K for a mask or K + 1 outside. The transformer sees squares of `patch` x `patch` codes.
    """

    def __init__(self, codes: int, grid: int, config: PriorConfig) -> None:
        super().__init__()
        if grid % config.patch:
            raise ValueError(f"the code grid has {grid} codes a side; patch is {config.patch} and must divide it")
        self.config, self.grid, self.codes = config, grid, codes
        patch, side = config.patch, (grid + 2 * config.margin) // config.patch
        self.input = GridInput(codes, config)
        self.conditions = ConditionInput(config.width)
        self.to_patch = nn.Linear(config.code_width * patch * patch, config.width)
        self.places = nn.Parameter(torch.randn(side * side, config.width) * 0.02)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, causal=False) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.from_patch = nn.Linear(config.width, config.code_width * patch * patch)
        self.norm_code = nn.LayerNorm(config.code_width)
        self.head = nn.Linear(config.code_width, codes)
        start_small(self, config.layers)

    def forward(self, tokens: Tensor, painted: Tensor, biome: Tensor, ruggedness: Tensor, water_share: Tensor) -> Tensor:
        conditions = Conditions(painted, biome, ruggedness, water_share)
        fine = self.input(tokens, painted)
        x = self.to_patch(self._patches(fine)) + self.places + self.conditions(conditions)[:, None]
        for block in self.blocks:
            x, _ = block(x)
        return self.head(self.norm_code(F.gelu(self._codes(self.from_patch(self.norm(x)), fine), approximate="tanh")))

    def _patches(self, fine: Tensor) -> Tensor:
        """[N, E, S, S] to [N, (S / patch)^2, E patch^2]."""
        count, width, side, patch = fine.shape[0], fine.shape[1], fine.shape[2], self.config.patch
        cut = fine.reshape(count, width, side // patch, patch, side // patch, patch)
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(count, -1, width * patch * patch)

    def _codes(self, patches: Tensor, fine: Tensor) -> Tensor:
        """[N, (S / patch)^2, E patch^2] back to codes, without the margin, with their own features added: [N, G, G, E]."""
        count, width, side, patch = fine.shape[0], fine.shape[1], fine.shape[2], self.config.patch
        whole = patches.reshape(count, side // patch, side // patch, width, patch, patch)
        whole = whole.permute(0, 1, 4, 2, 5, 3).reshape(count, side, side, width) + fine.permute(0, 2, 3, 1)
        inside = slice(self.config.margin, self.config.margin + self.grid)
        return whole[:, inside, inside]


class AutoregressivePrior(nn.Module):
    """Codes one after the other, row by row, each from those before it, the neighbours' codes and the conditions.

    The sequence is the margin's squares, a token with the conditions, and the codes; keys and values are kept.
    """

    def __init__(self, codes: int, grid: int, config: PriorConfig) -> None:
        super().__init__()
        self.config, self.grid, self.codes = config, grid, codes
        patch, side = config.patch, (grid + 2 * config.margin) // config.patch
        self.input = GridInput(codes, config)
        self.conditions = ConditionInput(config.width)
        self.to_patch = nn.Linear(config.code_width * patch * patch, config.width)
        self.from_code = nn.Linear(config.code_width, config.width)
        margin, squares = config.margin // patch, torch.arange(side * side)
        row, column = squares // side, squares % side
        inside = (row >= margin) & (row < side - margin) & (column >= margin) & (column < side - margin)
        self.border: Tensor
        self.register_buffer("border", squares[~inside], persistent=False)
        self.places = nn.Parameter(torch.randn(len(self.border) + grid * grid, config.width) * 0.02)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, causal=True) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, codes)
        start_small(self, config.layers)

    def forward(self, tokens: Tensor, painted: Tensor, biome: Tensor, ruggedness: Tensor, water_share: Tensor) -> Tensor:
        """Logits [N, G, G, K] of each code from those before it; tokens are the true codes with their margin."""
        start = self._start(tokens, Conditions(painted, biome, ruggedness, water_share))
        codes = self._inside(tokens).flatten(1)[:, :-1]
        x = torch.cat([start, self._later(codes, 1, painted)], dim=1)
        for block in self.blocks:
            x, _ = block(x)
        return self.head(self.norm(x[:, len(self.border) :])).unflatten(1, (self.grid, self.grid))

    @torch.no_grad()
    def sample(self, tokens: Tensor, conditions: Conditions, uniforms: Tensor) -> Tensor:
        """Draws codes int64 [N, G, G] with uniforms [N, G * G]; of tokens only the margin is looked at."""
        x, caches, drawn = self._start(tokens, conditions), [None] * len(self.blocks), []
        for place in range(self.grid * self.grid):
            last, caches = self._with_caches(x, caches)
            shares = self.head(self.norm(last)).softmax(dim=-1).cumsum(dim=-1)
            code = (shares < uniforms[:, place, None] * shares[:, -1:]).sum(dim=-1).clamp(max=self.codes - 1)
            drawn.append(code)
            if place + 1 < self.grid * self.grid:
                x = self._later(code[:, None], place + 1, conditions.painted)
        return torch.stack(drawn, dim=1).unflatten(1, (self.grid, self.grid))

    def _with_caches(self, x: Tensor, caches: list[Cache | None]) -> tuple[Tensor, list[Cache | None]]:
        kept: list[Cache | None] = []
        for block, cache in zip(self.blocks, caches, strict=True):
            x, cache = block(x, cache)
            kept.append(cache)
        return x[:, -1], kept

    def _start(self, tokens: Tensor, conditions: Conditions) -> Tensor:
        """The squares of the margin and the token that the first code follows: [N, B + 1, W]."""
        hidden = tokens.clone()
        inside = slice(self.config.margin, self.config.margin + self.grid)
        hidden[:, inside, inside] = self.codes  # masks: a square's neighbours must not give the answer away
        fine = self.input(hidden, conditions.painted)
        count, width, side, patch = fine.shape[0], fine.shape[1], fine.shape[2], self.config.patch
        cut = fine.reshape(count, width, side // patch, patch, side // patch, patch).permute(0, 2, 4, 1, 3, 5)
        squares = self.to_patch(cut.reshape(count, -1, width * patch * patch))[:, self.border]
        first = self.conditions(conditions)[:, None] + self._painted(conditions.painted, 0, 1)
        return torch.cat([squares, first], dim=1) + self.places[: len(self.border) + 1]

    def _later(self, codes: Tensor, place: int, painted: Tensor) -> Tensor:
        """Tokens of codes [N, T], the first of which is followed by code `place`; they know what is painted there."""
        at = len(self.border) + place
        x = self.from_code(self.input.codes(codes)) + self.places[at : at + codes.shape[1]]
        return x + self._painted(painted, place, codes.shape[1])

    def _painted(self, painted: Tensor, place: int, count: int) -> Tensor:
        return self.from_code(self.input.painted(painted.flatten(1)[:, place : place + count] + 1))

    def _inside(self, tokens: Tensor) -> Tensor:
        inside = slice(self.config.margin, self.config.margin + self.grid)
        return tokens[:, inside, inside]


Prior = MaskedPrior | AutoregressivePrior


def build(codes: int, grid: int, config: PriorConfig) -> Prior:
    """The prior that a configuration asks for."""
    return (MaskedPrior if config.kind == "masked" else AutoregressivePrior)(codes, grid, config)
