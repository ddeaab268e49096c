"""Rules of the avatar benches: what they compare computes the same, and each writes its own part of the results."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tiny_training import TINY, noise_pictures, tiny_config

from bench.avatar_training import VARIANTS, TrainingBenchConfig, default_layout, measure, plain_adam, plain_grouped, report
from bench.grouped_conv import GroupedConv, use_grouped_convolutions
from bench.results import write_part
from export.avatar.layers import Resample
from export.avatar.model import Generator, ModelConfig
from export.avatar.trainer import Trainer


@pytest.mark.parametrize("resample", ["nearest", "linear"])
def test_grouped_convolutions_give_the_same_pictures_and_gradients(resample: Resample) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = Generator(ModelConfig(latent_size=8, mapping_layers=1, channels=(5, 4, 3, 2), resample=resample)).double()
    plain = copy.deepcopy(ours)
    use_grouped_convolutions(plain)
    assert any(isinstance(module, GroupedConv) for module in plain.modules())
    w = torch.randn(3, ours.config.num_layers, 8, dtype=torch.float64)
    noise = torch.randn(3, ours.config.noise_size, dtype=torch.float64)
    pictures = [network.synthesis(w, noise) for network in (ours, plain)]
    torch.testing.assert_close(*pictures)
    for picture in pictures:
        picture.square().sum().backward()
    for (name, first), (_, second) in zip(ours.named_parameters(), plain.named_parameters(), strict=True):
        if first.grad is not None:
            torch.testing.assert_close(first.grad, second.grad, msg=name)


@pytest.mark.parametrize("change", [plain_grouped, default_layout, plain_adam])
def test_the_variants_take_the_trainers_step(tmp_path: Path, change) -> None:
    trainer, variant = (Trainer(tiny_config(tmp_path), noise_pictures()) for _ in range(2))
    change(variant)
    for one in (trainer, variant):
        one.train_step()
    assert variant.collect_metrics() == pytest.approx(trainer.collect_metrics(), rel=1e-4, abs=1e-6)


def test_every_variant_is_measured(tmp_path: Path) -> None:
    config = TrainingBenchConfig(batch=4, turns=2, steps=1)
    seconds = measure(config, TINY)
    assert seconds.keys() == VARIANTS.keys()
    assert all(len(values) == 1 and values[0] > 0 for values in seconds.values())
    text = report(config, {"32 px, nearest": seconds})
    assert all(f"| {name} |" in text for name in seconds)


def test_a_part_of_the_results_is_replaced_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_part(path, "first", "one")
    write_part(path, "second", "two")
    write_part(path, "first", "three")
    text = path.read_text()
    assert "one" not in text
    assert text.index("# Measured figures") < text.index("three") < text.index("two")
    assert text.count("<!-- first -->") == 1
