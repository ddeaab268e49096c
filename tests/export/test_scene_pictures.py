"""Rules of the picture bundle: ONNX Runtime equal to PyTorch, and a sidecar that encodes and decodes as the model does."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import run_sidecar
from PIL import Image
from scene_examples import SMALL

from bridge import tensors
from bridge.client import Client
from bridge.model_card import read_card
from bridge.picture_card import Spec
from export.scene import commands
from export.scene.config import TrainConfig
from export.scene.pictures import read_folder, to_bytes, to_signed
from export.scene.train import train
from export.scene.trained import open_vqvae

SIDE = 32
PICTURES = dataclasses.replace(SMALL, mode="image", image_size=SIDE)


def draw(folder: Path, count: int = 20) -> None:
    """Write pictures of four coloured squares each."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        squares = rng.integers(0, 256, (2, 2, 3), np.uint8).repeat(SIDE // 2, axis=0).repeat(SIDE // 2, axis=1)
        Image.fromarray(squares).save(folder / f"{number:02}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures in art/, and a VQ-VAE that was trained on them for a few steps."""
    folder = tmp_path_factory.mktemp("pictures")
    draw(folder / "art")
    options = {"source": "folder", "path": str(folder / "art"), "licence": "CC0-1.0", "model": PICTURES}
    train(TrainConfig(run="art", runs=folder / "runs", batch=4, ktiles=0.04, log_every=1, **options))
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    run = folder / "runs" / "scene" / "art"
    commands.main(["onnx", "--from", str(run), "--name", "art", "--models", str(folder / "models")])
    return folder / "models" / "art" / "1"


def test_the_card_keeps_the_contract(bundle: Path) -> None:
    card = read_card(bundle / "card.json")
    assert card.family == "picture"
    assert [graph.name for graph in card.graphs] == ["encoder", "decoder"]
    assert all(graph.parity_error <= 1e-4 and graph.parity_batches == [1, 2, 7, 64] for graph in card.graphs)
    msgspec.convert(card.spec, Spec).check(card)
    assert card.provenance.dataset_licence == "CC0-1.0"
    assert card.provenance.metrics["held-out/psnr_db"] > 0.0
    assert card.provenance.metrics["pictures_seen"] == 40
    assert str(bundle.parents[1]) not in str(card.provenance)


def test_the_sidecar_encodes_and_decodes_as_the_model_does(folder: Path, bundle: Path) -> None:
    vqvae, _ = open_vqvae(str(folder / "runs" / "scene" / "art"))
    pictures = read_folder(folder / "art", SIDE)[:4]
    files = [path.read_bytes() for path in sorted((folder / "art").iterdir())[:4]]
    expected = vqvae.encode(to_signed(pictures))
    with run_sidecar(bundle.parents[1]) as sidecar, Client(sidecar.address) as client:
        encoded = client.encode_pictures("art", files)
        codes = tensors.to_array(encoded.codes, "codes")
        decoded = client.decode_pictures("art", codes)
    assert (codes != expected.numpy()).mean() < 0.01
    drawn = to_bytes(vqvae.decode(expected)).transpose(0, 2, 3, 1).astype(int)
    for image, own, picture, distance in zip(decoded.images, drawn, pictures, encoded.pixel_distances, strict=True):
        with Image.open(io.BytesIO(image.data)) as opened:
            assert np.median(np.abs(np.asarray(opened) - own)) <= 1
        assert distance == pytest.approx(np.abs(own - picture.transpose(1, 2, 0).astype(int)).mean() / 255, abs=0.02)


def test_a_size_that_no_texture_has_is_refused(folder: Path, tmp_path: Path) -> None:
    options = {"source": "folder", "path": str(folder / "art"), "model": dataclasses.replace(PICTURES, image_size=48)}
    path = train(TrainConfig(run="odd", runs=tmp_path, batch=4, ktiles=0.004, log_every=1, **options))
    with pytest.raises(SystemExit, match="its pictures have 48 px"):
        commands.main(["onnx", "--from", str(path.parent), "--name", "odd", "--models", str(tmp_path / "models")])
    assert not (tmp_path / "models").exists()
