"""The parity gate: ONNX Runtime must compute what PyTorch computes, for every batch size a game may send."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bridge.model_card import TensorSpec

if TYPE_CHECKING:
    from export.onnx_model import Feeds, Graph

TOLERANCE = 1e-4
"""Largest error of a float output, as a share of its declared scale."""
BATCHES = (1, 2, 7, 64)
MEMORY_LIMIT = 8 * 2**30


class ParityError(RuntimeError):
    """ONNX Runtime and PyTorch differ: the message names graph, output, batch, error, limit and seed."""


@dataclass(frozen=True)
class Parity:
    """What the gate measured: the largest error over all outputs, as a share of their scales, and the values left out.

    `report` holds what a gate of a family's own has to say beyond that.
    """

    error: float
    batches: list[int]
    ties: int = 0
    report: dict[str, Any] = field(default_factory=dict)


def check_parity(graph: Graph, path: Path, *, seed: int) -> Parity:
    """Compares the module with its ONNX file on random inputs drawn from `seed`; raises ParityError over the limit."""
    rng = np.random.default_rng(seed)
    module = graph.reference or graph.module
    if not isinstance(module, nn.Module):
        raise ValueError(f'graph "{graph.name}" is an ONNX model, expected a gate of its own for it')
    module = module.eval()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in graph.outputs]
    batches = fitting_batches(peak_bytes(module, graph, graph.sample(rng, 1)))
    worst, ties = 0.0, 0
    for batch in batches:
        feeds = graph.sample(rng, batch)
        expected = run_torch(module, graph, feeds)
        actual = session.run(names, feeds)
        if graph.ties is not None:
            for want, got, tied in zip(expected, actual, run_torch(graph.ties, graph, feeds), strict=True):
                differing = tied & (want != got)
                ties += int(np.count_nonzero(differing))
                got[differing] = want[differing]
        for tensor, want, got in zip(graph.outputs, expected, actual, strict=True):
            where = f'graph "{graph.name}", output "{tensor.name}", batch {batch}, seed {seed}'
            worst = max(worst, output_error(tensor, want, got, where))
    return Parity(worst, batches, ties)


def output_error(tensor: TensorSpec, want: np.ndarray, got: np.ndarray, where: str) -> float:
    """Returns the largest error of one output over its scale; whole numbers and booleans must be identical."""
    if want.shape != got.shape or want.dtype != got.dtype or got.dtype.name != tensor.dtype:
        raise ParityError(
            f"{where}: PyTorch gives {want.dtype} {want.shape}, ONNX Runtime {got.dtype} {got.shape}, "
            f"declared is {tensor.dtype} {tensor.shape}"
        )
    if not np.issubdtype(got.dtype, np.floating):
        differing = int(np.count_nonzero(want != got))
        if differing:
            raise ParityError(f"{where}: {differing} of {got.size} values differ; they must be equal (a tie breaks so)")
        return 0.0
    # A value that is not finite on either side is an error, even where both sides agree.
    error = float(np.max(np.abs(want.astype(np.float64) - got.astype(np.float64)), initial=0.0))
    limit = TOLERANCE * tensor.scale
    if not (math.isfinite(error) and error <= limit):
        raise ParityError(f"{where}: error {error:.3g} is over the limit {limit:.3g} (1e-4 x scale {tensor.scale:g})")
    return error / tensor.scale


@torch.no_grad()
def run_torch(module: nn.Module, graph: Graph, feeds: Feeds) -> list[np.ndarray]:
    """Runs the module on feeds and returns its outputs in order."""
    result = module(*(torch.from_numpy(feeds[tensor.name]) for tensor in graph.inputs))
    tensors = result if isinstance(result, (tuple, list)) else (result,)
    return [tensor.numpy() for tensor in tensors]


def fitting_batches(bytes_each: int) -> list[int]:
    """The batch sizes to try: 1, 2, 7 and 64, or the largest below 64 that fits the memory limit."""
    # ONNX Runtime's arena grows in powers of two, so it may take twice what is live.
    largest = max(1, min(BATCHES[-1], MEMORY_LIMIT // (2 * max(1, bytes_each))))
    return sorted({batch for batch in BATCHES if batch < largest} | {largest})


def peak_bytes(module: nn.Module, graph: Graph, feeds: Feeds) -> int:
    """Measures the most memory that live tensors take in one run of PyTorch on `feeds` (weights not counted)."""
    with _LiveBytes() as live:
        run_torch(module, graph, feeds)
    return live.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, while these live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage(), given)
        return result

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key = storage._cdata
        if key in self._seen or key in given:
            return
        self._seen.add(key)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, key, storage.nbytes())

    def _release(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size
