"""Checkpoints: one file that holds everything a run needs to go on exactly where it stopped."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


class CheckpointError(ValueError):
    """A checkpoint that is missing, unreadable or of another kind than expected."""


def save(path: Path, kind: str, state: Mapping[str, Any]) -> None:
    """Writes a checkpoint; after a crash the old file or the new one is there, never half of one.

    kind names the trainer ("avatar", "npc"); `load` refuses a file of another kind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("wb") as file:
        torch.save({"kind": kind, "state": dict(state)}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path, kind: str) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU; never runs code from the file. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f'no checkpoint at "{path}"; train first or give the path of a .pt file')
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's own message advises loading the file with the guard against code switched off.
        raise CheckpointError(f'"{path}" is not a readable checkpoint: it holds no tensors, or more than those') from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f'"{path}" is not a readable checkpoint: {error}') from error
    found = content.get("kind") if isinstance(content, dict) else None
    if found != kind:
        raise CheckpointError(f'"{path}" is a checkpoint of kind {found!r}, not "{kind}"')
    return dict(content["state"])
