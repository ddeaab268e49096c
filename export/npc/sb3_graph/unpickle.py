"""Pickles of strangers: only the classes that saved policies are made of are let in, and none of them runs the file's code."""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Collection
from typing import Any

import torch
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

EVERYTHING = "everything"
SPACES = ("Box", "Dict", "Discrete", "MultiBinary", "MultiDiscrete", "Text", "Tuple")
PLAIN = {
    "builtins": {"bytearray", "complex", "frozenset", "range", "set", "slice"},
    "collections": {"OrderedDict", "defaultdict", "deque"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.core.numeric": {"_frombuffer"},
}
RECORDS = {
    ("stable_baselines3.common.running_mean_std", "RunningMeanStd"),
    ("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize"),
}
CLASSES: dict[str, tuple[type, ...]] = {
    "torch.nn": (torch.nn.Module,),
    "torch.optim": (torch.optim.Optimizer,),
    "stable_baselines3": (BasePolicy, BaseFeaturesExtractor, torch.nn.Module, torch.optim.Optimizer),
    "export.npc": (BasePolicy, BaseFeaturesExtractor, torch.nn.Module),
    "sb3_contrib": (BasePolicy, BaseFeaturesExtractor, torch.nn.Module),
}


class UntrustedCode(ValueError):
    """A file names code that is not known to be harmless; the message says how to trust it."""


class Record:
    """Stands for an object of a class that is not loaded, such as a space's generator: its attributes, and no behaviour."""

    def __init__(self, *_: Any) -> None:
        """Take any arguments and forget them."""

    def __setstate__(self, state: Any) -> None:
        """Keep attributes, and forget a state of any other form."""
        if isinstance(state, dict):
            self.__dict__.update(state)


def loads(data: bytes, trust: Collection[str] = ()) -> Any:
    """Return what was pickled.

    `trust` names modules (with those below them) whose code the caller vouches for, or `everything`, which runs whatever the
    file asks for. Raises `UntrustedCode` for any class or function beyond those and the ones known here, and `ValueError` for
    bytes that are no pickle.
    """
    try:
        return _Unpickler(io.BytesIO(data), trust).load()
    except UntrustedCode:
        raise
    except Exception as error:  # a damaged pickle may fail in any way
        raise ValueError(f"cannot be unpickled: {type(error).__name__}: {error}") from error


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, trust: Collection[str]) -> None:
        super().__init__(stream)
        self._trust = trust

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in RECORDS or module.startswith("numpy.random"):
            return Record
        if name in PLAIN.get(module, ()) or self._is_trusted(module):
            return super().find_class(module, name)
        if module.startswith("gymnasium.spaces") and name in SPACES:
            return super().find_class(module, name)
        bases = next((kinds for package, kinds in CLASSES.items() if module == package or module.startswith(f"{package}.")), ())
        found = getattr(importlib.import_module(module), name, None) if bases and "." not in name else None
        if isinstance(found, type) and issubclass(found, bases):
            return found
        raise UntrustedCode(
            f'the file wants "{module}.{name}", whose code could do anything; if you trust the file and its maker, say '
            f"--trust {module}, or --trust {EVERYTHING} for code that lies in the file itself"
        )

    def _is_trusted(self, module: str) -> bool:
        return any(name == EVERYTHING or module == name or module.startswith(f"{name}.") for name in self._trust)
