"""All randomness of the sidecar and of the exporters' samplers: counter-based, so that every draw has an address.

Philox-4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011), vectorised in NumPy. The key is
the 64-bit seed; the counter is (purpose and block, tick, agent). The same address gives the same number whether it is
drawn alone or in a batch, on any machine, in any order. The numbers are frozen: `tests/bridge/test_seeds.py` holds
vectors, and a change of any of them is a breaking change of the contract.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array32 = npt.NDArray[np.uint32]
Array64 = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
MAX_SEED = (1 << 64) - 1
MAX_BLOCKS = 1 << 24

ROUNDS = 10
CACHED = 1 << 12
"""Counters that are worked on at once: their words fit into a core's cache."""
_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint32).reshape(2, 1, 1)
_WEYL_STEPS = np.arange(ROUNDS, dtype=np.uint32).reshape(-1, 1, 1, 1) * _WEYL
_LOW_HALF, _HIGH_HALF = (0, 1) if sys.byteorder == "little" else (1, 0)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


class Purpose(IntEnum):
    """What a draw is for: equal seeds for different purposes give independent numbers."""

    LATENT = 0
    AVATAR_NOISE = 1
    ACTION_NORMAL = 2
    ACTION_GUMBEL = 3
    SCENE_CODES = 4
    SCENE_OBJECTS = 5
    ACTION_UNIFORM = 6
    SCENE_CLIMATE = 7


def philox(counter: Array32, key: Array32) -> Array32:
    """Return Philox-4x32-10 uint32[N, B, 4] of counters uint32[N or 1, B, 4], under keys uint32[N or 1, 2], one a row."""
    rows, blocks = len(key) if len(counter) == 1 else len(counter), counter.shape[1]
    drawn = np.empty((rows, blocks, 4), np.uint32)
    step = max(1, CACHED // blocks)
    for row in range(0, rows, step):
        part = slice(row, row + step)
        keys = key if len(key) == 1 else key[part]
        counters = counter if len(counter) == 1 else counter[part]
        for block in range(0, blocks, CACHED):
            cut = slice(block, block + CACHED)
            _rounds(counters[:, cut], keys, drawn[part, cut])
    return drawn


def _rounds(counter: Array32, key: Array32, drawn: Array32) -> None:
    """Write the ten rounds of a part into `drawn`.

    A round multiplies words 0 and 2, and each product's high half meets the other's words 1 and 3. Both are done at once: an
    array holds words 0 and after them words 2 from the last to the first, so that read backwards it pairs each with the other.
    Everything is one axis, which NumPy runs through without a plan for more; halves are views, and nothing is shifted.
    """
    words = counter.transpose(2, 0, 1)
    multiplied, kept = (_mirrored(words[i], words[i + 2], drawn.shape[:2]) for i in (0, 1))
    multipliers = np.repeat(_MULTIPLIERS, multiplied.size // 2)
    round_keys = _round_keys(key, drawn.shape[:2])
    factor = multiplied.view(np.uint32)[_LOW_HALF::2]
    products = np.empty((2, multiplied.size), np.uint64)
    backwards = products.view(np.uint32)[:, ::-1]
    high, low = backwards[:, _LOW_HALF::2], backwards[:, _HIGH_HALF::2]
    others = kept.view(np.uint32)[_LOW_HALF::2]
    turns = (*zip(products, high, low, strict=True),) * (ROUNDS // 2)  # each keeps what the other's `others` are views of
    for round_key, (product, high_half, low_half) in zip(round_keys, turns, strict=True):
        np.multiply(multiplied, multipliers, product)
        np.bitwise_xor(high_half, others, factor)
        np.bitwise_xor(multiplied, round_key, multiplied)
        others = low_half
    for i, result in enumerate((factor, others)):
        first, second = result.reshape(2, *drawn.shape[:2])
        drawn[..., i], drawn[..., i + 2] = first, second[::-1, ::-1]


def _mirrored(first: Array32, second: Array32, shape: tuple[int, ...]) -> Array64:
    """Return uint64[2 R B]: the first [R or 1, B], then the second from its last element to its first."""
    both = np.empty((2, *shape), np.uint64)
    both[0], both[1] = first, second[::-1, ::-1]
    return both.reshape(-1)


def _round_keys(key: Array32, shape: tuple[int, ...]) -> Array64:
    """Return the keys uint64[10, 2 R B] of all rounds, laid out as `_mirrored` does."""
    stepped = key.T[:, :, None] + _WEYL_STEPS
    keys = np.empty((ROUNDS, 2, *shape), np.uint64)
    keys[:, 0], keys[:, 1] = stepped[:, 0], stepped[:, 1, ::-1]
    return keys.reshape(ROUNDS, -1)


def latents(seeds: Sequence[int] | npt.NDArray[Any], size: int) -> Floats:
    """Return standard normal latents float32[len(seeds), size], one row a seed (0 .. 2^64 - 1)."""
    return _normals(_words(seeds, 0, 0, Purpose.LATENT, size), size)


def avatar_noise(seeds: Sequence[int] | npt.NDArray[Any], size: int) -> Floats:
    """Return the synthesis graph's noise float32[len(seeds), size], standard normal, one row a seed."""
    return _normals(_words(seeds, 0, 0, Purpose.AVATAR_NOISE, size), size)


def action_normals(seed: int, agents: npt.ArrayLike, tick: npt.ArrayLike, width: int) -> Floats:
    """Return standard normals float32[N, width] for agent ids uint64[N] at a tick (a number or one an agent)."""
    return _normals(_words([seed], tick, agents, Purpose.ACTION_NORMAL, width), width)


def action_gumbels(seed: int, agents: npt.ArrayLike, tick: npt.ArrayLike, width: int) -> Floats:
    """Return standard Gumbel numbers float32[N, width]: arg-max of logits plus these samples the categorical."""
    uniform = _uniforms(_words([seed], tick, agents, Purpose.ACTION_GUMBEL, width)).reshape(-1, _blocks(width) * 4)
    return (-np.log(-np.log(uniform[:, :width]))).astype(np.float32)


def action_uniforms(seed: int, agents: npt.ArrayLike, tick: npt.ArrayLike, width: int) -> Floats:
    """Return uniforms in (0, 1] float32[N, width] for agent ids uint64[N] at a tick."""
    words = _words([seed], tick, agents, Purpose.ACTION_UNIFORM, width)
    return _uniforms(words).reshape(-1, _blocks(width) * 4)[:, :width].astype(np.float32)


def scene_uniforms(
    seeds: Sequence[int] | npt.NDArray[Any], places: npt.ArrayLike, step: int, width: int
) -> npt.NDArray[np.float64]:
    """Return uniforms in (0, 1) float64[N, width] of a step of masked decoding; a row a seed and a place (uint64)."""
    uniform = _uniforms(_words(seeds, step, places, Purpose.SCENE_CODES, width))
    return uniform.reshape(len(uniform), -1)[:, :width]


def object_uniforms(seed: int, place: int, width: int) -> npt.NDArray[np.float64]:
    """Return uniforms in (0, 1) float64[width] by which the objects of a tile are placed."""
    return _uniforms(_words([seed], 0, [place], Purpose.SCENE_OBJECTS, width)).reshape(-1)[:width]


def climate_normals(seed: int, places: npt.ArrayLike) -> Floats:
    """Return standard normals float32[N] of a world's climate, one for each corner (uint64) of its lattice."""
    return _normals(_words([seed], 0, places, Purpose.SCENE_CLIMATE, 1), 1)[:, 0]


def _blocks(width: int) -> int:
    blocks = -(-width // 4)
    if not 0 < blocks < MAX_BLOCKS:
        raise ValueError(f"width is {width}, expected 1 .. {4 * MAX_BLOCKS - 4}")
    return blocks


def _words(
    seeds: Sequence[int] | npt.NDArray[Any], tick: npt.ArrayLike, agents: npt.ArrayLike, purpose: Purpose, width: int
) -> Array32:
    """Return random words uint32[N, blocks, 4], where N is the broadcast length of seeds, tick and agents."""
    seed = np.asarray(seeds, np.uint64).reshape(-1, 1)
    agent = np.asarray(agents, np.uint64).reshape(-1, 1)
    ticks = np.asarray(tick, np.uint64).reshape(-1, 1)
    blocks = _blocks(width)
    counter = np.empty((max(len(agent), len(ticks)), blocks, 4), np.uint32)
    counter[..., 0] = np.arange(blocks, dtype=np.uint32) | np.uint32(purpose << 24)
    counter[..., 1] = ticks & _LOW
    counter[..., 2] = agent & _LOW
    counter[..., 3] = agent >> _SHIFT
    key = np.concatenate([seed & _LOW, seed >> _SHIFT], axis=1, dtype=np.uint32, casting="unsafe")
    return philox(counter, key)


def _uniforms(words: Array32) -> npt.NDArray[np.float64]:
    """Map words to the open interval (0, 1): the middle of each of 2^32 equal cells."""
    uniform = words.astype(np.float64)
    uniform += 0.5
    uniform *= 2.0**-32
    return uniform


def _normals(words: Array32, width: int) -> Floats:
    """Box-Muller: each pair of words gives a pair of normals."""
    uniform = _uniforms(words).reshape(len(words), -1, 2)
    radius = np.log(uniform[..., 0])
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle = 2.0 * np.pi * uniform[..., 1]
    pairs = np.empty(uniform.shape, np.float32)
    np.multiply(radius, np.cos(angle), out=pairs[..., 0], casting="same_kind")
    np.multiply(radius, np.sin(angle, out=angle), out=pairs[..., 1], casting="same_kind")
    return np.ascontiguousarray(pairs.reshape(len(words), -1)[:, :width])
