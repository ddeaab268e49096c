"""Rules of checkpoints: whole or not at all, of the right kind, and never code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from export import checkpoint
from export.checkpoint import CheckpointError


def test_what_is_saved_comes_back_equal(tmp_path: Path) -> None:
    state = {"step": 7, "weights": {"a": torch.randn(3, 4)}, "rng": torch.Generator().get_state(), "sizes": (1, 2)}
    checkpoint.save(tmp_path / "deep" / "run.pt", "avatar", state)
    loaded = checkpoint.load(tmp_path / "deep" / "run.pt", "avatar")
    assert loaded["step"] == 7
    assert loaded["sizes"] == (1, 2)
    assert torch.equal(loaded["weights"]["a"], state["weights"]["a"])
    assert torch.equal(loaded["rng"], state["rng"])


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(path, "avatar", {"step": 1})
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        checkpoint.save(path, "avatar", {"step": 2, "bad": lambda: None})
    assert checkpoint.load(path, "avatar")["step"] == 1


def test_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "run.pt", "npc", {})
    with pytest.raises(CheckpointError, match="kind 'npc', not \"avatar\""):
        checkpoint.load(tmp_path / "run.pt", "avatar")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="train first"):
        checkpoint.load(tmp_path / "none.pt", "avatar")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04cut"])
def test_unreadable_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.load(path, "avatar")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(path, "avatar", {"weights": torch.randn(1000)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.load(path, "avatar")


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"kind": "avatar", "state": Attack(tmp_path / "owned")}, tmp_path / "run.pt")
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path / "run.pt", "avatar")
    assert not (tmp_path / "owned").exists()
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
