"""Bundles whose policy crashes, hangs or starves ONNX Runtime when it is loaded and warmed up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny_models

MOVE = "move = Min (at_least, high)"
CRASH = """
  least = Constant <value_int: int = -9223372036854775808> ()
  minus = Constant <value_int: int = -1> ()
  beyond = Div (least, minus)
  number = Cast <to: int = 1> (beyond)
  bounded = Min (at_least, high)
  move = Add (bounded, number)
"""
HANG = """
  turns = Constant <value_int: int = 4611686018427387904> ()
  yes = Constant <value = bool {1}> ()
  bounded = Min (at_least, high)
  move = Loop (turns, yes, bounded) <body = turn (int64 i, bool go, float[batch,2] a) => (bool on, float[batch,2] b) {
    on = Identity (go)
    b = Neg (a)
  }>
"""
STARVE = """
  size = Constant <value_ints: ints = [805306368]> ()
  zeros = ConstantOfShape (size)
  sum = ReduceSum <keepdims: int = 0> (zeros)
  bounded = Min (at_least, high)
  move = Add (bounded, sum)
"""


def write_bad(models: Path, nodes: str, name: str = "bad", version: int = 1) -> Path:
    """Write a policy whose `move` comes from `nodes`; return the bundle's folder."""
    weights = {"weights_move": (3, 2), "weights_act": (3, 5), "low": (2,), "high": (2,)}
    values = {weight: np.ones(shape) for weight, shape in weights.items()}
    text = tiny_models.POLICY.replace(MOVE, nodes)
    return tiny_models.write_bundle(models, name, version, "npc", {"policy": (text, values)}, tiny_models.NPC_SPEC)
