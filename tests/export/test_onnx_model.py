"""Rules of publishing: a bundle is whole, honest and checked by ONNX Runtime, or it is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from bridge.model_card import Provenance, TensorSpec, read_card, sha256_file
from export import parity
from export.onnx_model import Feeds, Graph, ParityError, next_version, publish

PROVENANCE = Provenance(dataset="numbers", dataset_licence="CC0-1.0", trainer="test", seed=3)


class Policy(nn.Module):
    """Two outputs of two kinds: a float and an index."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.layer(x) + noise
        return logits.clamp(-1.0, 1.0), logits.argmax(dim=1, keepdim=True)


class Skewed(Policy):
    """Computes a little more than what it is compared with."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        move, choice = super().forward(x, noise)
        return move + self.error, choice


class Flipped(Policy):
    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        move, choice = super().forward(x, noise)
        return move, (choice + 1) % 3


class NotANumber(Policy):
    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        move, choice = super().forward(x, noise)
        return torch.where(move > -2.0, torch.nan, move), choice


def sample(rng: np.random.Generator, batch: int) -> Feeds:
    shapes = {"x": (batch, 4), "noise": (batch, 3)}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def policy_graph(module: nn.Module, reference: nn.Module | None = None, scale: float = 1.0) -> Graph:
    inputs = (TensorSpec("x", "float32", ["batch", 4]), TensorSpec("noise", "float32", ["batch", 3]))
    move = TensorSpec("move", "float32", ["batch", 3], low=-1.0, high=1.0, scale=scale)
    return Graph("policy", module, inputs, (move, TensorSpec("choice", "int64", ["batch", 1])), sample, reference)


def publish_policy(models: Path, graph: Graph, name: str = "walker", version: int | None = None) -> Path:
    return publish(models, name=name, family="npc", graphs=[graph], spec={"a": [1]}, provenance=PROVENANCE, version=version)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return publish_policy(tmp_path_factory.mktemp("models"), policy_graph(Policy()))


def test_the_card_tells_all_about_the_bundle(bundle: Path) -> None:
    card = read_card(bundle / "card.json")
    graph = card.graph("policy")
    assert (card.name, card.family, card.version, card.spec) == ("walker", "npc", 1, {"a": [1]})
    assert bundle.parts[-2:] == ("walker", "1")
    assert card.provenance == PROVENANCE
    assert graph.sha256 == sha256_file(bundle / graph.file)
    assert graph.parity_batches == [1, 2, 7, 64]
    assert 0.0 <= graph.parity_error <= parity.TOLERANCE
    assert [tensor.name for tensor in graph.inputs] == ["x", "noise"]


def test_the_file_is_named_and_typed_as_the_card_says(bundle: Path) -> None:
    model = onnx.load(bundle / "policy.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "metabridge.name": "walker",
        "metabridge.version": "1",
        "metabridge.family": "npc",
        "metabridge.graph": "policy",
    }
    session = onnxruntime.InferenceSession(str(bundle / "policy.onnx"), providers=["CPUExecutionProvider"])
    values = {value.name: (value.type, value.shape) for value in (*session.get_inputs(), *session.get_outputs())}
    assert values["x"] == ("tensor(float)", ["batch", 4])
    assert values["choice"] == ("tensor(int64)", ["batch", 1])


def test_the_file_tells_nothing_about_the_machine(bundle: Path) -> None:
    content = (bundle / "policy.onnx").read_bytes()
    assert b"site-packages" not in content
    assert str(Path(__file__).parent).encode() not in content


def test_versions_count_up_and_are_never_replaced(tmp_path: Path) -> None:
    graph = policy_graph(Policy())
    assert next_version(tmp_path, "walker") == 1
    assert publish_policy(tmp_path, graph, version=9).name == "9"
    (tmp_path / "walker" / "notes").mkdir()
    assert next_version(tmp_path, "walker") == 10
    with pytest.raises(FileExistsError, match="versions are never replaced"):
        publish_policy(tmp_path, graph, version=9)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: Skewed(3e-4), r'graph "policy", output "move", batch 1, seed \d+: error 0\.0003.* limit 0\.0001'),
        (Flipped, r'output "choice", batch 1, seed \d+: 1 of 1 values differ'),
        (NotANumber, r'output "move", batch 1, seed \d+: error nan is over the limit'),
    ],
)
def test_a_graph_that_computes_something_else_is_not_published(
    tmp_path: Path, broken: Callable[[], Policy], message: str
) -> None:
    module, reference = broken(), Policy()
    module.load_state_dict(reference.state_dict())
    with pytest.raises(ParityError, match=message):
        publish_policy(tmp_path / "models", policy_graph(module, reference))
    assert list((tmp_path / "models").iterdir()) == []


def test_the_limit_grows_with_the_declared_scale(tmp_path: Path) -> None:
    module, reference = Skewed(3e-4), Policy()
    module.load_state_dict(reference.state_dict())
    folder = publish_policy(tmp_path, policy_graph(module, reference, scale=10.0))
    assert read_card(folder / "card.json").graph("policy").parity_error == pytest.approx(3e-5, rel=0.01)


def test_a_broken_weight_in_the_file_is_found(tmp_path: Path, bundle: Path) -> None:
    module = Policy()
    graph = policy_graph(module)
    with pytest.raises(ParityError, match='output "move"'):
        parity.check_parity(graph, bundle / "policy.onnx", seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"outputs": (TensorSpec("move", "float32", ["batch", 2]), TensorSpec("choice", "int64", ["batch", 1]))},
            "declared is float32",
        ),
        (
            {"outputs": (TensorSpec("move", "float32", ["batch", 3]), TensorSpec("choice", "int32", ["batch", 1]))},
            "declared is int32",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, change: dict[str, tuple[TensorSpec, ...]], message: str) -> None:
    good = policy_graph(Policy())
    graph = Graph(good.name, good.module, good.inputs, change["outputs"], good.sample)
    with pytest.raises(ValueError, match=message):
        publish_policy(tmp_path / "models", graph)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(("name", "version"), [("../up", None), ("", None), ("Walker", None), ("walker", 0)])
def test_bad_names_and_versions_are_refused(tmp_path: Path, name: str, version: int | None) -> None:
    with pytest.raises(ValueError, match=r"does not match|versions start at 1"):
        publish_policy(tmp_path / "models", policy_graph(Policy()), name, version)
    assert not (tmp_path / "models").exists()


def test_the_largest_batch_is_computed_from_what_one_run_takes() -> None:
    gibibyte = 2**30
    assert parity.fitting_batches(1) == [1, 2, 7, 64]
    assert parity.fitting_batches(gibibyte // 4) == [1, 2, 7, 16]
    assert parity.fitting_batches(gibibyte) == [1, 2, 4]
    assert parity.fitting_batches(9 * gibibyte) == [1]


class Wide(nn.Module):
    """Makes two tensors of a thousand floats a sample and holds both at once."""

    def forward(self, x: Tensor) -> Tensor:
        first = x.repeat(1, 250)
        second = first + 1.0
        return (first * second).sum(dim=1, keepdim=True)


def test_peak_memory_counts_what_lives_at_the_same_time() -> None:
    graph = Graph("wide", Wide(), (TensorSpec("x", "float32", ["batch", 4]),), (), sample)
    one = parity.peak_bytes(graph.module, graph, {"x": np.ones((1, 4), np.float32)})
    ten = parity.peak_bytes(graph.module, graph, {"x": np.ones((10, 4), np.float32)})
    assert 3 * 4000 <= one <= 4 * 4000
    assert ten == pytest.approx(10 * one, rel=0.01)
