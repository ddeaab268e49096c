"""The rule that binds trainer and sidecar: one seed is one picture, whoever draws it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import run_sidecar
from PIL import Image

from bridge.client import Client
from bridge.v1.avatar_service_pb2 import AvatarSpec, Truncation
from export.avatar.commands import main
from export.avatar.to_onnx import export_avatar
from export.avatar.trained import load_default

SEEDS = [7, 8, 2**64 - 1]


def sampled(path: Path, *options: str) -> np.ndarray:
    """What `python -m export avatar sample` draws for the seeds: int [N, H, W, 4]."""
    main(["sample", "--seed", *map(str, SEEDS), "--out", str(path), *options])
    with Image.open(path) as image:
        row = np.asarray(image).astype(int)
    return row.reshape(32, len(SEEDS), 32, 4).transpose(1, 0, 2, 3)


def served(client: Client, spec: AvatarSpec) -> np.ndarray:
    pictures = [Image.open(io.BytesIO(avatar.image.data)) for avatar in client.generate_avatars("pixel", spec).avatars]
    return np.stack([np.asarray(picture).astype(int) for picture in pictures])


def assert_same_pictures(first: np.ndarray, second: np.ndarray) -> None:
    difference = np.abs(first - second)
    # PyTorch and ONNX Runtime agree to 1e-4 of the range, so a value near the middle of two bytes may round either way.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002


def test_the_sampler_and_the_sidecar_draw_the_same_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_avatar(load_default(), tmp_path / "models", "pixel")
    with run_sidecar(tmp_path / "models") as sidecar, Client(sidecar.address) as client:
        together = served(client, AvatarSpec(seeds=SEEDS))
        assert_same_pictures(sampled(tmp_path / "a.png"), together)
        alone = np.concatenate([served(client, AvatarSpec(seeds=[seed])) for seed in SEEDS])
        assert_same_pictures(together, alone)
        tame = served(client, AvatarSpec(seeds=SEEDS, truncation=Truncation(psi=0.5)))
        assert_same_pictures(sampled(tmp_path / "b.png", "--truncation", "0.5"), tame)
        assert np.abs(tame - together).mean() > 1
        worn = served(client, AvatarSpec(seeds=SEEDS, controls={"glasses": 0.8, "hair_length": -0.4}))
        options = ("--control", "glasses=0.8", "--control", "hair_length=-0.4")
        assert_same_pictures(sampled(tmp_path / "c.png", *options), worn)
        assert np.abs(worn - together).mean() > 1
