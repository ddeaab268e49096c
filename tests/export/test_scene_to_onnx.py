"""Rules of the scene bundle: the contract's graphs and card, ONNX Runtime equal to PyTorch, defaults in float16."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest
import torch
from scene_examples import SMALL, SMALL_PRIOR, trained, trainer, world

from bridge.model_card import read_card
from bridge.scene_card import Spec
from bridge.scene_decoding import MaskedDrawing
from export import checkpoint
from export.onnx_model import export_graph
from export.parity import check_parity
from export.scene import sample
from export.scene.code_windows import CodeWindows, fingerprint
from export.scene.halo import DECODER_MARGIN
from export.scene.prior_config import PriorTrainConfig
from export.scene.prior_trainer import PriorTrainer
from export.scene.reconstruction import decode, encode
from export.scene.tiles import TileSource
from export.scene.to_onnx import EncoderTies, decoder_graph, encoder_graph, export_scene
from export.scene.trained import Trained, load_default, open_trained, open_vqvae, recorded, write_default
from export.scene.vqvae import VQVAE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("run"), 3)


@pytest.fixture(scope="module")
def bundle(model: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_scene(model, tmp_path_factory.mktemp("models"), "waves")


def session(bundle: Path, graph: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(bundle / f"{graph}.onnx"), providers=["CPUExecutionProvider"])


def test_the_card_keeps_the_contract(bundle: Path) -> None:
    card = read_card(bundle / "card.json")
    assert [graph.name for graph in card.graphs] == ["prior", "decoder", "encoder"]
    assert all(graph.parity_error <= 1e-4 and graph.parity_batches == [1, 2, 7, 64] for graph in card.graphs)
    msgspec.convert(card.spec, Spec).check(card)


def test_the_card_says_where_the_model_comes_from(bundle: Path) -> None:
    provenance = read_card(bundle / "card.json").provenance
    assert provenance.dataset == "waves"
    assert provenance.dataset_licence == "CC0-1.0"
    assert provenance.config["prior"]["model"]["width"] == SMALL_PRIOR.width
    assert "/" not in str(provenance.config)


def test_the_loop_around_the_graph_draws_what_the_sampler_draws(model: Trained, bundle: Path) -> None:
    prior, seeds = session(bundle, "prior"), [3, 4]
    spec = msgspec.convert(read_card(bundle / "card.json").spec, Spec)
    drawing = MaskedDrawing(
        sample.blank(2, spec.grid, spec.prior_margin, spec.codebook_size),
        spec.prior_margin,
        spec.codebook_size,
        seeds=seeds,
        places=[0, 0],
        steps=spec.steps,
        choice_temperature=spec.choice_temperature,
    )
    free = {name: value.numpy() for name, value in sample.free(2, spec.grid)._asdict().items()}
    while not drawing.finished:
        drawing.advance(prior.run(["logits"], {"tokens": drawing.tokens, **free})[0])
    assert (drawing.codes != sample.draw_codes(model.prior, seeds)).mean() < 0.02


def test_a_tile_through_both_graphs_is_the_models(model: Trained, bundle: Path) -> None:
    tiles = TileSource([world(1)]).draw(2, 1)
    feeds = {"height": tiles.height, "ground": tiles.ground.astype(np.int64), "objects": tiles.objects.astype(np.int64)}
    codes = session(bundle, "encoder").run(["codes"], feeds)[0]
    assert (codes != encode(model.vqvae, tiles)).mean() < 0.01
    alone = np.pad(codes, ((0, 0), *[(DECODER_MARGIN,) * 2] * 2), constant_values=model.vqvae.codes + 1)
    height, ground, _ = session(bundle, "decoder").run(None, {"codes": alone})
    expected = decode(model.vqvae, codes)
    assert np.allclose(height, expected.height, atol=1e-3)
    assert (ground.argmax(axis=1)[:, 1:-1, 1:-1] != expected.ground).mean() < 0.001


@pytest.mark.parametrize("changes", [{"quantiser": "fsq"}, {"downsampling": 8}])
def test_other_shapes_pass_the_gate_too(tmp_path: Path, changes: dict[str, object]) -> None:
    torch.manual_seed(0)
    vqvae = VQVAE(dataclasses.replace(SMALL, **changes), scale=5.0).eval()
    if vqvae.config.quantiser == "vq":
        vqvae.quantiser.codebook.normal_()
    for graph in (encoder_graph(vqvae), decoder_graph(vqvae)):
        path = tmp_path / f"{graph.name}.onnx"
        export_graph(graph, path, {})
        assert check_parity(graph, path, seed=1).error <= 1e-4


def test_two_codes_that_are_as_near_are_a_tie() -> None:
    vqvae = VQVAE(SMALL)
    vqvae.quantiser.codebook.normal_(generator=torch.Generator().manual_seed(0))
    inputs = (torch.zeros(1, 65, 65), torch.zeros(1, 64, 64, dtype=torch.int64), torch.zeros(1, 64, 64, dtype=torch.int64))
    assert not EncoderTies(vqvae)(*inputs).any()
    chosen = vqvae.encode(*inputs)
    vqvae.quantiser.codebook[(chosen[0, 0, 0] + 1) % 32] = vqvae.quantiser.codebook[chosen[0, 0, 0]]
    assert EncoderTies(vqvae)(*inputs)[0, 0, 0]


def test_an_autoregressive_prior_is_not_published(tmp_path: Path) -> None:
    made = trained(tmp_path, 1, model=dataclasses.replace(SMALL_PRIOR, kind="autoregressive"))
    with pytest.raises(ValueError, match="the prior is autoregressive, a baseline"):
        export_scene(made, tmp_path / "models", "waves")
    assert not (tmp_path / "models").exists()


def test_a_default_is_the_model_in_float16(model: Trained, tmp_path: Path) -> None:
    path = write_default(model, "waves", tmp_path)
    loaded = load_default("waves", tmp_path)
    codes = np.arange(256).reshape(1, 16, 16) % 32
    assert np.allclose(decode(loaded.vqvae, codes).height, decode(model.vqvae, codes).height, atol=0.05)
    assert loaded.record == model.record
    assert path.stat().st_size < 2.2 * sum(p.numel() for net in (model.vqvae, model.prior) for p in net.state_dict().values())


def test_the_vqvae_of_a_default_is_one_to_train_a_prior_over(
    model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_default(model, "waves", tmp_path)
    monkeypatch.setattr("export.scene.trained.DEFAULTS", tmp_path)
    vqvae, state = open_vqvae("waves")
    assert recorded(state) | {"earlier": state["earlier"]} == model.record["vqvae"]
    assert state["datasheet"] == model.datasheet
    empty = CodeWindows(*(np.zeros(shape, np.int64) for shape in ((0, 24, 24), (0, 16, 16), 0, 0, 0)))
    begun = PriorTrainer(PriorTrainConfig(model=SMALL_PRIOR), vqvae, state, empty, empty)
    checkpoint.save(tmp_path / "prior" / "checkpoint.pt", "scene-prior", begun.state())
    again = open_trained(str(tmp_path / "prior"))
    assert fingerprint(again.vqvae) == fingerprint(load_default("waves", tmp_path).vqvae)
    assert again.record["vqvae"] == model.record["vqvae"]


def test_data_without_known_terms_makes_no_default(model: Trained, tmp_path: Path) -> None:
    sheet = model.record["datasheet"] | {"redistributable": False, "licence": "unknown"}
    with pytest.raises(ValueError, match="waves has the licence unknown, which is not known to let a model be passed on"):
        write_default(dataclasses.replace(model, record=model.record | {"datasheet": sheet}), "waves", tmp_path)


def test_what_is_no_prior_is_refused(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match="neither a default"):
        open_trained(str(tmp_path / "nothing"))
    below = trainer(tmp_path)
    checkpoint.save(tmp_path / "vqvae" / "checkpoint.pt", "scene-vqvae", below.state())
    with pytest.raises(checkpoint.CheckpointError, match="is a VQ-VAE without a prior"):
        open_trained(str(tmp_path / "vqvae"))
    assert open_vqvae(str(tmp_path / "vqvae"))[0].codes == 32
