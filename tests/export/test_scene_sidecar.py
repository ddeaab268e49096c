"""The rule that binds trainer and sidecar: one seed and place is one tile, whoever draws it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import run_sidecar
from scene_examples import trained, world

from bridge import tensors
from bridge.client import Client, heights
from export.scene import block, reconstruction
from export.scene.sample import CHOICE_TEMPERATURE, STEPS
from export.scene.tiles import TileSource
from export.scene.to_onnx import export_scene

PLACES = [(0, 0), (1, 0), (1, 1), (2, 1)]


def test_the_block_and_the_sidecar_draw_the_same_world(tmp_path: Path) -> None:
    """Logits differ by rounding, so a draw may fall on either side of a border between codes; few do."""
    model = trained(tmp_path, 3)
    export_scene(model, tmp_path / "models", "waves")
    (grown,) = block.grow(model, [7], 3, steps=STEPS, choice_temperature=CHOICE_TEMPERATURE)
    tiles = TileSource([world()]).draw(2, 1)
    with run_sidecar(tmp_path / "models") as sidecar, Client(sidecar.address) as client:
        served = client.generate_scene("waves", [7], PLACES).tiles
        encoded = client.encode_scene("waves", tiles.height, ground=tiles.ground, objects=tiles.objects)
    for at, tile in zip(PLACES, served, strict=True):
        codes = tensors.to_array(tile.codes, "codes").astype(np.int64)
        assert (codes.reshape(16, 16) != grown[at].codes).mean() < 0.02
        assert np.median(np.abs(heights(tile.heights).reshape(65, 65) - grown[at].height)) < 1e-3
    codes = tensors.to_array(encoded.codes, "codes")
    assert (codes != reconstruction.encode(model.vqvae, tiles)).mean() < 0.01
