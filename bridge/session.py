"""One graph in ONNX Runtime, set up for a life beside a game: no spinning threads, warmed up, provider known."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from bridge.model_card import GraphCard, TensorSpec
from bridge.onnx_file import checked_source
from bridge.providers import CUDA, TENSORRT, ProviderEntry, name_of

Array = npt.NDArray[Any]
INLINE_SECONDS = 1e-3
log = logging.getLogger("metabridge")

_ORT_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
}


class SessionError(RuntimeError):
    """A graph that ONNX Runtime cannot run, or not as its card says."""


class Session:
    """An `onnxruntime.InferenceSession` of one graph of a bundle.

    `run` takes and gives arrays by name and may be called from any thread. `inline(rows)` says whether a batch is so
    quick, measured at warm-up, that running it on the event loop costs less than a hop to a worker thread.

    `io_binding` binds inputs and outputs to places before a run: "gpu" where the graph runs on CUDA or TensorRT (outputs are
    made on the device and copied once), "always" on the CPU too, "never" leaves it to ONNX Runtime.
    """

    def __init__(
        self,
        folder: Path,
        graph: GraphCard,
        *,
        providers: Sequence[ProviderEntry],
        threads: int,
        warm_up_rows: int,
        strict: bool,
        io_binding: str = "never",
    ) -> None:
        self.graph = graph
        source = checked_source(folder, graph)
        try:
            self._session = ort.InferenceSession(source, _options(threads), providers=list(providers))
        except Exception as error:  # ONNX Runtime raises a different class for each kind of fault
            raise SessionError(f"{folder / graph.file}: ONNX Runtime refuses it: {error}; export it again") from error
        self.provider: str = self._session.get_providers()[0]
        first = name_of(providers[0])
        if strict and self.provider != first:
            raise SessionError(f"{folder / graph.file}: runs on {self.provider}, --providers strict wants {first}")
        if self.provider != first:
            log.warning("%s runs on %s, %s did not load", folder / graph.file, self.provider, first)
        self._outputs = [output.name for output in graph.outputs]
        _check_tensors(folder, graph, self._session)
        self.binds = io_binding == "always" or (io_binding == "gpu" and self.provider in (CUDA, TENSORRT))
        self._device = ("cuda", _device_id(providers)) if self.provider in (CUDA, TENSORRT) else ("cpu", 0)
        self._seconds_fixed, self._seconds_per_row = self._warm_up(warm_up_rows)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; `feeds` are arrays [rows, ...] of the card's types, so are the outputs.

        Raises `SessionError` for outputs of other rows: a batch would give one caller another's.
        """
        values = self._run_bound(feeds) if self.binds else self._session.run(self._outputs, feeds)
        outputs: dict[str, Array] = dict(zip(self._outputs, values, strict=True))
        rows = len(next(iter(feeds.values())))
        for name, value in outputs.items():
            if value.ndim == 0 or len(value) != rows:
                raise SessionError(f"{self.graph.file}: output {name} of {rows} rows has shape {list(value.shape)}")
        return outputs

    def _run_bound(self, feeds: Mapping[str, Array]) -> list[Array]:
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in self._outputs:
            binding.bind_output(name, *self._device)
        self._session.run_with_iobinding(binding)
        values: list[Array] = binding.copy_outputs_to_cpu()
        return values

    def inline(self, rows: int) -> bool:
        """Return whether a batch of `rows` takes less time than a hop to a worker thread is worth."""
        return self._seconds_fixed + self._seconds_per_row * rows < INLINE_SECONDS

    def _warm_up(self, rows: int) -> tuple[float, float]:
        """Run at batch 1 and at `rows`; return seconds a run and seconds a row, as a straight line through both."""
        one = self._timed(1)
        many = self._timed(rows) if rows > 1 else one
        per_row = max(many - one, 0.0) / max(rows - 1, 1)
        return max(one - per_row, 0.0), per_row

    def _timed(self, rows: int) -> float:
        feeds = {spec.name: _zeros(spec, rows) for spec in self.graph.inputs}
        try:
            self.run(feeds)
            start = time.perf_counter()
            self.run(feeds)
        except Exception as error:
            message = f"{self.graph.file}: does not run at batch {rows}: {error}; export it again"
            raise SessionError(message) from error
        return time.perf_counter() - start


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _device_id(providers: Sequence[ProviderEntry]) -> int:
    """Return the GPU that the first provider with a device is given."""
    return next((int(entry[1]["device_id"]) for entry in providers if not isinstance(entry, str)), 0)


def _zeros(spec: TensorSpec, rows: int) -> Array:
    shape = [rows if size == "batch" else 1 if isinstance(size, str) else size for size in spec.shape]
    return np.zeros(shape, spec.dtype)


def _check_tensors(folder: Path, graph: GraphCard, session: ort.InferenceSession) -> None:
    """Hold the card's inputs and outputs against the file's: a card that differs would mislead every check after it."""
    for kind, specs, nodes in (
        ("inputs", graph.inputs, session.get_inputs()),
        ("outputs", graph.outputs, session.get_outputs()),
    ):
        card = {spec.name: (spec.dtype, len(spec.shape), _sizes(spec.shape)) for spec in specs}
        file = {node.name: (_dtype(node.type), len(node.shape), _sizes(node.shape)) for node in nodes}
        if card != file:
            raise SessionError(f"{folder / graph.file}: {kind} are {file}, the card says {card}; export it again")


def _dtype(ort_type: str) -> str:
    return _ORT_TYPES.get(ort_type) or ort_type.removeprefix("tensor(").removesuffix(")")


def _sizes(shape: Sequence[int | str | None]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in shape)
