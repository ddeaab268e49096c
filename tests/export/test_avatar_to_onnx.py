"""Rules of avatar bundles: what ONNX Runtime draws is what PyTorch draws, in every batch, and the card fits it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from bridge import seeds as draws
from bridge.model_card import TensorSpec, read_card
from bridge.services.avatar import Spec
from export.avatar.model import Generator, ModelConfig
from export.avatar.pictures import to_uint8
from export.avatar.sample import generate
from export.avatar.to_onnx import SynthesisGraph, bake, export_avatar, random_styles, synthesis_graph
from export.avatar.trained import load_default
from export.onnx_model import ParityError, publish


def random_generator(config: ModelConfig) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(config)
        generator.mapping.w_mean.normal_()
        for conv in generator.synthesis.convs:
            conv.noise_strength.data.fill_(0.1)
            conv.bias.data.normal_()
        if generator.synthesis.palette is not None:
            generator.synthesis.palette.colours.uniform_(-1.0, 1.0)
    return generator.eval().requires_grad_(False)


NEAREST = ModelConfig(latent_size=8, mapping_layers=2, channels=(6, 5, 4, 3))
PALETTE = ModelConfig(latent_size=8, mapping_layers=2, channels=(6, 5, 4), pixel_size=2, palette_size=7)
FLOW = dataclasses.replace(PALETTE, mapping="flow", flow_width=12, flow_blocks=2, flow_steps=3)
LINEAR = ModelConfig(image_size=64, latent_size=8, mapping_layers=2, channels=(6, 5, 4, 3, 2), resample="linear")


@pytest.mark.parametrize("config", [NEAREST, LINEAR, PALETTE, FLOW])
def test_the_form_for_export_computes_the_same(config: ModelConfig) -> None:
    generator = random_generator(config).double()
    baked = bake(generator)
    z, z_mix = (torch.from_numpy(draws.latents([seed, 2], 8)).double() for seed in (1, 3))
    noise = torch.from_numpy(draws.avatar_noise([1, 2], config.noise_size)).double()
    feeds = (z, z_mix, torch.tensor([0.5, 1.0]).double(), torch.tensor([3, 0]), torch.tensor([8, 0]), noise)
    torch.testing.assert_close(baked(*feeds), generator(*feeds))
    assert not [
        name for name, _ in baked.named_parameters() if name in dict(generator.named_parameters()) and "conv.weight" in name
    ]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed default, published."""
    return export_avatar(load_default(), tmp_path_factory.mktemp("models"), "pixel")


def session(bundle: Path, graph: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(bundle / f"{graph}.onnx"), providers=["CPUExecutionProvider"])


def draw(bundle: Path, seeds: list[int], truncation: float = 1.0) -> np.ndarray:
    """Runs both graphs as the sidecar does: floats [N, 4, H, W]."""
    spec = read_card(bundle / "card.json").spec
    z = draws.latents(seeds, spec["latent_size"])
    feeds = {
        "z": z,
        "z_mix": z,
        "truncation": np.full(len(z), truncation, np.float32),
        "mix_start": np.zeros(len(z), np.int64),
        "mix_end": np.zeros(len(z), np.int64),
    }
    (w,) = session(bundle, "mapping").run(["w"], feeds)
    noise = draws.avatar_noise(seeds, spec["noise_size"])
    (image,) = session(bundle, "synthesis").run(["image"], {"w": w, "noise": noise})
    return image


def test_the_sidecar_accepts_the_card(bundle: Path) -> None:
    card = read_card(bundle / "card.json")
    msgspec.convert(card.spec, Spec).check(card)
    controls = card.spec.pop("controls")
    assert card.spec == {
        "image_size": 32,
        "image_channels": 4,
        "latent_size": 64,
        "num_layers": 6,
        "noise_size": 656,
        "default_truncation": load_default().generator.config.default_truncation,
        "attribution": [],
        "projection_steps": card.spec["projection_steps"],
    }
    assert len(controls) >= 8
    assert {"glasses", "hair_length"} <= {control["name"] for control in controls}
    assert [graph.name for graph in card.graphs] == ["mapping", "synthesis", "control", "encoder"]
    assert card.provenance.datasheet == load_default().record["datasheet"]
    assert (card.family, card.provenance.dataset, card.provenance.dataset_licence) == (
        "avatar",
        "DiceBear pixel-art",
        "CC0-1.0",
    )
    for graph in card.graphs:
        assert graph.parity_batches == [1, 2, 7, 64]
        assert graph.parity_error <= 1e-4


def test_onnx_runtime_and_the_sampler_draw_the_same_pictures(bundle: Path) -> None:
    seeds = [0, 7, 2**63, 2**64 - 1]
    expected, actual = generate(load_default().generator, seeds), to_uint8(draw(bundle, seeds))
    difference = np.abs(expected.astype(int) - actual.astype(int))
    # Rounding to bytes may turn an error within the parity limit into one level.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002


def test_a_picture_is_the_same_alone_and_in_a_batch(bundle: Path) -> None:
    together = draw(bundle, list(range(9)))
    for seed in (0, 4, 8):
        assert np.abs(draw(bundle, [seed])[0] - together[seed]).max() <= 1e-4


def test_pictures_stay_in_range_at_any_truncation(bundle: Path) -> None:
    image = draw(bundle, list(range(8)), truncation=2.0)
    assert image.min() >= -1.0
    assert image.max() <= 1.0


def test_the_graphs_hold_constant_weights_and_plain_convolutions(bundle: Path) -> None:
    proto = onnx.load(bundle / "synthesis.onnx")
    constants = {tensor.name for tensor in proto.graph.initializer}
    convolutions = [node for node in proto.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(convolutions) == 5 + 3
    for node in convolutions:
        assert node.input[1] in constants
        groups = [attribute.i for attribute in node.attribute if attribute.name == "group"]
        assert groups in ([], [1])


def test_a_generator_that_was_changed_on_the_way_is_not_published(tmp_path: Path) -> None:
    generator = random_generator(NEAREST)
    good = synthesis_graph(generator)
    changed = bake(generator.synthesis)
    changed.convs[3].conv.kernel[0, 0, 1, 1] += 0.5
    graph = dataclasses.replace(good, module=SynthesisGraph(changed))
    models = tmp_path / "models"
    with pytest.raises(ParityError, match='graph "synthesis", output "image", batch 1'):
        publish(models, name="bad", family="avatar", graphs=[graph], spec={}, provenance=load_default().provenance)
    assert list(models.iterdir()) == []


def test_a_declared_scale_is_needed_for_a_larger_error() -> None:
    assert synthesis_graph(random_generator(NEAREST)).outputs == (
        TensorSpec("image", "float32", ["batch", 4, 32, 32], low=-1.0, high=1.0, scale=1.0),
    )


def test_random_styles_cover_mixing_and_truncation() -> None:
    generator = random_generator(NEAREST)
    w = random_styles(generator.mapping, np.random.default_rng(0), 200)
    assert w.shape == (200, 8, 8)
    mixed = (w != w[:, :1]).any(axis=(1, 2)).mean()
    assert 0.3 < mixed < 0.6
