"""Transformer blocks, pre-normalised (Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020, arXiv:2002.04745)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cache = tuple[Tensor, Tensor]
"""Keys and values of the tokens so far, each [N, heads, L, width / heads]."""


class Attention(nn.Module):
    """Multi-head self-attention; with `causal` a token sees itself and what came before."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Takes tokens [N, T, W] that follow those of the cache; returns [N, T, W] and the cache with them."""
        count, length, width = x.shape
        split = self.qkv(x).reshape(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = split[0], split[1], split[2]
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        # One new token sees everything; several without a cache see a triangle.
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal and length > 1)
        return self.out(mixed.transpose(1, 2).reshape(count, length, width)), (key, value)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each with its own normalisation and the input added."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal=causal)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Takes and returns what `Attention` does."""
        mixed, cache = self.attention(self.norm_attention(x), cache)
        x = x + mixed
        return x + self.mlp(self.norm_mlp(x)), cache


def start_small(module: nn.Module, depth: int) -> None:
    """Initialises linear layers and embeddings with deviation 0.02, the layers that add to the input smaller with depth."""
    for name, part in module.named_modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            adds = name.endswith(("attention.out", "mlp.2"))
            nn.init.normal_(part.weight, std=0.02 / (2 * depth) ** 0.5 if adds else 0.02)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
