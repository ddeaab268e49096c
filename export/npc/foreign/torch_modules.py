"""PyTorch modules with a hand-written spec: from a .pt2 file of torch.export, or from a function that makes one."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bridge.model_card import Provenance
from export.npc.policy_options import PolicyOptions
from export.npc.spec_file import PolicySpec
from export.npc.spec_gate import SpecGate, sample
from export.onnx_model import Graph, publish

Array = npt.NDArray[Any]


def open_program(path: Path) -> nn.Module:
    """Return the module of a .pt2 file. Loading one may run code: open only those of people you trust."""
    try:
        program = torch.export.load(path)
    except Exception as error:  # whatever torch says of a file that is no program
        raise ValueError(f"{path}: no program of torch.export: {error}") from error
    module = program.module()
    # An exported program has no training mode, and says so when it is asked for one.
    module.train = lambda mode=True: module  # type: ignore[method-assign]
    module.eval = lambda: module  # type: ignore[method-assign]
    return module


def call_factory(name: str) -> nn.Module:
    """Return what `module:function` returns; the module is looked for in the working folder too. Runs its code."""
    where, _, function = name.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(where), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f'"{name}" cannot be imported: {error}; expected MODULE:FUNCTION, as in my_game.policies:guard'
        ) from error
    made = found if isinstance(found, nn.Module) else found()
    if not isinstance(made, nn.Module):
        raise ValueError(f'"{name}" returned {type(made).__name__}, expected a torch.nn.Module')
    return made


def export_module(
    module: nn.Module,
    policy: PolicySpec,
    models: Path,
    name: str,
    *,
    source: str = "",
    options: PolicyOptions | None = None,
    version: int | None = None,
) -> Path:
    """Publish a module that takes the inputs of `policy` in their order and returns its outputs in theirs.

    Inputs: observations, states, `noise`, `action_mask`. Outputs: actions, next states, `log_probability`. Zeros for noise have
    to give the deterministic action. Raises `ValueError` for a module that does not run on such inputs, and what `publish`
    raises.
    """
    options = options or PolicyOptions()
    module = module.to("cpu").eval().requires_grad_(False)
    _try(module, policy)

    def reference(feeds: Mapping[str, Array], deterministic: bool) -> dict[str, Array]:
        return dict(zip((tensor.name for tensor in policy.outputs), run(module, policy, feeds), strict=True))

    graph = Graph(
        "policy",
        module,
        policy.inputs,
        policy.outputs,
        lambda rng, batch: sample(policy, rng, batch),
        gate=lambda path, seed: SpecGate(policy, reference, path, seed, options.recorded).check(),
    )
    provenance = Provenance(
        dataset=options.environment,
        dataset_licence=options.environment_licence,
        trainer="PyTorch",
        seed=0,
        config={"module": source or type(module).__name__},
    )
    return publish(models, name=name, family="npc", graphs=[graph], spec=policy.section, provenance=provenance, version=version)


@torch.no_grad()
def run(module: nn.Module, policy: PolicySpec, feeds: Mapping[str, Array]) -> list[Array]:
    """Run a module on feeds and return its outputs in order."""
    result = module(*(torch.from_numpy(np.ascontiguousarray(feeds[tensor.name])) for tensor in policy.inputs))
    return [part.numpy() for part in (result if isinstance(result, tuple | list) else (result,))]


def _try(module: nn.Module, policy: PolicySpec) -> None:
    """Hold what a module makes of three agents against its spec."""
    feeds = sample(policy, np.random.default_rng(0), 3)
    names = [tensor.name for tensor in policy.inputs]
    try:
        outputs = run(module, policy, feeds)
    except Exception as error:  # a module may fail in any way
        given = ", ".join(inspect.signature(module.forward).parameters)
        raise ValueError(f"the module ({given}) does not run on {names} in this order: {error}") from error
    found = [(array.dtype.name, list(array.shape)) for array in outputs]
    expected = [(tensor.dtype, [3, *tensor.shape[1:]]) for tensor in policy.outputs]
    if found != expected:
        called = [tensor.name for tensor in policy.outputs]
        raise ValueError(f"the module gives {found} for three agents, its spec says {called}: {expected}")
