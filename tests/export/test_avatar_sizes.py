"""Rules of large pictures: 256 px trains a step, passes the parity gate and runs in ONNX Runtime with any batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from tiny_training import noise_pictures, tiny_config

from export import checkpoint
from export.avatar.datasheet import Datasheet
from export.avatar.model import Generator, ModelConfig
from export.avatar.to_onnx import export_avatar
from export.avatar.trained import open_trained
from export.avatar.trainer import Trainer

NARROW = ModelConfig(
    image_size=256, image_channels=3, latent_size=16, mapping_layers=8, channels=(16, 16, 16, 16, 8, 4, 4), resample="linear"
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    trainer = Trainer(tiny_config(folder, model=NARROW, batch=2), noise_pictures(2, size=256))
    trainer.train_step()
    trainer.check_finite()
    terms = {"source": "noise", "style": "", "licence": "CC0-1.0", "licence_url": "", "attribution": ""}
    numbers = {"count": 2, "left_out": 0, "image_size": 256, "channels": 3, "pixel_size": 1, "seed": 0}
    sheet = Datasheet(**terms, **numbers, redistributable=True, split="train", versions={}, attributes={})
    trainer.datasheet = sheet.to_json()
    checkpoint.save(folder / "checkpoint.pt", "avatar", trainer.state())
    return export_avatar(open_trained(str(folder / "checkpoint.pt")), folder / "models", "large")


@pytest.mark.parametrize("batch", [1, 3])
def test_a_large_picture_comes_out_of_the_graph_in_any_batch(bundle: Path, batch: int) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    synthesis = ort.InferenceSession(bundle / "synthesis.onnx", options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    w = rng.standard_normal((batch, NARROW.num_layers, 16), np.float32)
    noise = rng.standard_normal((batch, NARROW.noise_size), np.float32)
    (image,) = synthesis.run(None, {"w": w, "noise": noise})
    assert image.shape == (batch, 3, 256, 256)
    alone = synthesis.run(None, {"w": w[-1:], "noise": noise[-1:]})[0]
    np.testing.assert_allclose(image[-1:], alone, atol=1e-4)


@pytest.mark.parametrize(("size", "layers", "finest"), [(256, 14, 128), (512, 16, 64), (1024, 18, 32)])
def test_config_f_has_the_papers_layers_and_widths(size: int, layers: int, finest: int) -> None:
    """Table 1 and section 2 of the paper: 18 styles at 1024 px, about 30 million weights in the generator."""
    config = ModelConfig(
        image_size=size, image_channels=3, latent_size=512, mapping_layers=8, channel_base=32768, channel_max=512
    )
    assert (config.num_layers, config.channels_at(size), config.channels_at(4)) == (layers, finest, 512)
    with torch.device("meta"):
        count = sum(weight.numel() for weight in Generator(config).parameters())
    assert round(count / 1e6) == 30
