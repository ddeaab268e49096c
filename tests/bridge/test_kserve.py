"""The Open Inference Protocol: every graph of every bundle is listed, described and run; so are bare ONNX files, if allowed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from conftest import sidecar_in_thread
from family_cases import write_models
from wire import PROTOCOLS, open_wire

from bridge import tensors
from bridge.kserve import inference_pb2 as pb
from bridge.model_card import read_card
from bridge.services import FAMILIES
from bridge.session import Session

SERVICE = "inference.GRPCInferenceService"
BARE = """
<ir_version: 10, opset_import: ["": 20]>
doubled (float[N,3] x, int8[N] shift) => (float[N,3] y, int8[N] same) {
  y = Add (x, x)
  same = Identity (shift)
}
"""
FIXED = BARE.replace("[N", "[2")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder with good and damaged bundles of every family, and two bare ONNX files."""
    folder = tmp_path_factory.mktemp("families")
    write_models(folder)
    for name, text in (("bare", BARE), ("fixed", FIXED)):
        (folder / name / "1").mkdir(parents=True)
        onnx.save(onnx.parser.parse_model(text), folder / name / "1/model.onnx")
    return folder


@pytest.fixture(scope="module")
def live(models):
    """A sidecar that serves bare ONNX files too."""
    with sidecar_in_thread(models, allow_bare_onnx=True) as sidecar:
        yield sidecar


def to(sidecar, protocol="grpc"):
    return open_wire(protocol, f"127.0.0.1:{sidecar.port}", f"http://127.0.0.1:{sidecar.web_port}")


@pytest.fixture
def ask(live):
    """Call a method with a request; return the answer's message, or fail."""
    with to(live) as wire:

        def call(method, request):
            answer = wire.call(f"{SERVICE}/{method}", request.SerializeToString())
            return getattr(pb, f"{method}Response").FromString(answer.message)

        yield call


@pytest.fixture
def refused(live):
    """Send a request that must be refused; return the text."""
    with to(live) as wire:

        def call(method, request, code, field):
            answer = wire.call(f"{SERVICE}/{method}", request.SerializeToString())
            assert (answer.code, answer.fields) == (code, [field]), answer.text
            return answer.text

        yield call


def feeds_of(graph, rows, seed):
    """Return inputs that a graph can take."""
    random = np.random.default_rng(seed)
    feeds = {}
    for spec in graph.inputs:
        shape = [rows, *(1 if isinstance(size, str) else size for size in spec.shape[1:])]
        feeds[spec.name] = random.integers(0, 2, shape).astype(spec.dtype)
    return feeds


def infer_request(model, feeds, version="", raw=True):
    request = pb.ModelInferRequest(model_name=model, model_version=version, id="7")
    for name, array in feeds.items():
        datatype = tensors.kserve_datatype(array.dtype.name)
        given = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            request.raw_input_contents.append(array.tobytes())
        else:
            getattr(given.contents, tensors._CONTENTS[datatype]).extend(array.ravel().tolist())
    return request


def arrays_of(answer):
    return {
        output.name: tensors.to_array(tensors.from_kserve(output, answer.raw_output_contents[i], "x"), "x")
        for i, output in enumerate(answer.outputs)
    }


def test_the_server_is_live_ready_and_named(ask):
    assert ask("ServerLive", pb.ServerLiveRequest()).live
    assert ask("ServerReady", pb.ServerReadyRequest()).ready
    metadata = ask("ServerMetadata", pb.ServerMetadataRequest())
    assert (metadata.name, list(metadata.extensions)) == ("metabridge", ["model_repository"])


def test_every_graph_is_listed_and_what_does_not_serve_with_the_reason(ask, live, models):
    index = ask("RepositoryIndex", pb.RepositoryIndexRequest())
    ready = {(m.name, m.version) for m in index.models if m.state == "READY"}
    expected = {
        (f"{name}.{graph.name}", str(version))
        for (name, version), model in live.registry.served.items()
        for graph in model.card.graphs
    }
    assert ready == expected
    assert ("avatar.synthesis", "2") in ready
    assert ("bare.model", "1") in ready
    others = {m.name: (m.state, m.reason) for m in index.models if m.state != "READY"}
    assert {f"{family}-broken" for family in FAMILIES} <= set(others)
    assert all(state == "UNAVAILABLE" and reason for state, reason in others.values())
    assert "expected a free first axis, the batch" in others["fixed"][1]
    only = ask("RepositoryIndex", pb.RepositoryIndexRequest(ready=True))
    assert {(m.name, m.version) for m in only.models} == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_graph_is_described_and_gives_what_onnx_runtime_gives(live, models, family, protocol):
    with to(live, protocol) as wire:
        card = read_card(models / family / "2/card.json")
        for graph in card.graphs:
            name = f"{family}.{graph.name}"
            asked = pb.ModelMetadataRequest(name=name).SerializeToString()
            metadata = pb.ModelMetadataResponse.FromString(wire.call(f"{SERVICE}/ModelMetadata", asked).message)
            assert (metadata.platform, list(metadata.versions)) == ("onnxruntime_onnx", ["1", "2"])
            assert [(t.name, t.shape[0]) for t in metadata.inputs] == [(spec.name, -1) for spec in graph.inputs]
            feeds = feeds_of(graph, 3, 5)
            data = infer_request(name, feeds).SerializeToString()
            answer = pb.ModelInferResponse.FromString(wire.call(f"{SERVICE}/ModelInfer", data).message)
            assert (answer.model_name, answer.model_version, answer.id) == (name, "2", "7")
            expected = alone(models / family / "2", graph).run(feeds)
            given = arrays_of(answer)
            assert list(given) == [spec.name for spec in graph.outputs]
            for output, array in expected.items():
                np.testing.assert_allclose(given[output], array, rtol=0, atol=1e-4)


def alone(folder, graph):
    return Session(folder, graph, providers=["CPUExecutionProvider"], threads=1, warm_up_rows=1, strict=False)


def test_a_version_is_served_as_it_is_named_and_outputs_as_they_are_wanted(ask, models):
    graph = read_card(models / "npc/1/card.json").graph("policy")
    feeds = feeds_of(graph, 2, 1)
    moves = []
    for version in ("1", "2"):
        request = infer_request("npc.policy", feeds, version)
        request.outputs.add(name="move")
        answer = ask("ModelInfer", request)
        assert (answer.model_version, [o.name for o in answer.outputs]) == (version, ["move"])
        moves.append(arrays_of(answer)["move"])
    assert not np.array_equal(*moves)


@pytest.mark.parametrize("raw", [True, False])
def test_a_bare_onnx_file_runs_from_raw_bytes_and_from_contents(ask, live, raw):
    feeds = {"x": np.array([[1, 2, 3], [4, 5, 6]], np.float32), "shift": np.array([-5, 7], np.int8)}
    given = arrays_of(ask("ModelInfer", infer_request("bare.model", feeds, raw=raw)))
    np.testing.assert_array_equal(given["y"], feeds["x"] * 2)
    np.testing.assert_array_equal(given["same"], feeds["shift"])
    assert live.registry.served["bare", 1].card.family == "onnx"


def test_bare_onnx_files_are_refused_unless_allowed(models):
    with sidecar_in_thread(models) as sidecar:
        assert "a bundle holds a card" in sidecar.registry.refused["bare", 1].reason


@pytest.mark.parametrize(
    ("name", "version", "code", "field", "text"),
    [
        ("", "", "INVALID_ARGUMENT", "model_name", 'expected "<bundle>.<graph>"'),
        ("npc", "", "INVALID_ARGUMENT", "model_name", 'expected "<bundle>.<graph>"'),
        ("npc.value", "", "NOT_FOUND", "model_name", "has graphs ['policy'], not"),
        ("nobody.policy", "", "NOT_FOUND", "model_name", 'there is no model "nobody"'),
        ("npc.policy", "9", "NOT_FOUND", "model_version", "has versions [1, 2], not 9"),
        ("npc.policy", "one", "INVALID_ARGUMENT", "model_version", "expected decimal digits"),
        ("npc.policy", "-1", "INVALID_ARGUMENT", "model_version", "expected decimal digits"),
        ("npc-broken.policy", "", "FAILED_PRECONDITION", "model_name", "is refused"),
    ],
)
def test_a_model_that_cannot_serve_is_an_error_of_its_own(refused, ask, name, version, code, field, text):
    assert text in refused("ModelInfer", pb.ModelInferRequest(model_name=name, model_version=version), code, field)
    assert not ask("ModelReady", pb.ModelReadyRequest(name=name, version=version)).ready
    assert ask("ModelReady", pb.ModelReadyRequest(name="npc.policy", version="1")).ready


GOOD = {"x": np.ones((2, 3), np.float32), "shift": np.ones(2, np.int8)}


@pytest.mark.parametrize(
    ("spoil", "field", "text"),
    [
        (lambda r: r.inputs.pop(), "raw_input_contents", "has 2 entries for 1 inputs"),
        (lambda r: (r.inputs.pop(), r.raw_input_contents.pop()), "inputs", "['shift'] missing"),
        (lambda r: setattr(r.inputs[1], "name", "x"), "inputs[1].name", '"x" is twice'),
        (lambda r: setattr(r.inputs[1], "name", "z"), "inputs[1].name", '"z" is unknown'),
        (lambda r: setattr(r.inputs[0], "datatype", "BYTES"), "inputs[0].datatype", 'is "BYTES"'),
        (lambda r: setattr(r.inputs[1], "datatype", "UINT8"), "inputs[1].dtype", "dtype is uint8, expected int8"),
        (lambda r: r.inputs[0].shape.append(1), "inputs[0].shape", "expected [2, 3]"),
        (lambda r: r.inputs[0].shape.__setitem__(0, -2), "inputs[0].shape", "sizes of at least 0"),
        (lambda r: r.raw_input_contents.__setitem__(0, b"1"), "inputs[0].data", "1 bytes for shape"),
        (lambda r: (r.outputs.add(name="y"), r.outputs.add(name="y")), "outputs[1].name", '"y" is twice'),
        (lambda r: r.outputs.add(name="z"), "outputs[0].name", '"z" is unknown'),
        (lambda r: r.inputs[0].parameters["shared_memory_region"].CopyFrom(pb.InferParameter(string_param="a")),
         "inputs[0].parameters", "names shared memory"),
    ],
)  # fmt: skip
def test_a_malformed_request_is_refused_by_the_path_of_what_is_wrong(refused, spoil, field, text):
    request = infer_request("bare.model", GOOD)
    spoil(request)
    assert text in refused("ModelInfer", request, "INVALID_ARGUMENT", field)


def test_no_rows_and_numbers_too_large_are_refused(refused):
    empty = infer_request("bare.model", {name: array[:0] for name, array in GOOD.items()})
    assert "expected 1 at least" in refused("ModelInfer", empty, "INVALID_ARGUMENT", "inputs[0].shape")
    large = infer_request("bare.model", GOOD, raw=False)
    large.inputs[1].contents.int_contents[0] = 300
    assert "out of bounds" in refused("ModelInfer", large, "INVALID_ARGUMENT", "inputs[1].contents")


def test_rows_whose_outputs_no_message_holds_are_refused_before_they_run(refused, live, models):
    graph = read_card(models / "avatar/2/card.json").graph("synthesis")
    sizes = live.registry.served["avatar", 2].batchers["synthesis"].batch_sizes
    before = len(sizes)
    request = infer_request("avatar.synthesis", feeds_of(graph, 20_000, 1))
    assert "expected at most 4194304" in refused("ModelInfer", request, "RESOURCE_EXHAUSTED", "outputs")
    assert len(sizes) == before


def test_a_bare_onnx_file_whose_outputs_have_other_rows_is_refused(tmp_path):
    text = '<ir_version: 10, opset_import: ["": 20]> g (float[N,3] x) => (float[M,3] y) { y = Concat <axis: int = 0> (x, x) }'
    (tmp_path / "odd/1").mkdir(parents=True)
    onnx.save(onnx.parser.parse_model(text), tmp_path / "odd/1/model.onnx")
    with sidecar_in_thread(tmp_path, allow_bare_onnx=True) as sidecar:
        assert "output y of 1 rows has shape" in sidecar.registry.refused["odd", 1].reason


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    onnx.save(onnx.parser.parse_model(BARE), tmp_path / "outside.onnx")
    (tmp_path / "models/bare/1").mkdir(parents=True)
    (tmp_path / "models/bare/1/model.onnx").symlink_to(tmp_path / "outside.onnx")
    with sidecar_in_thread(tmp_path / "models", allow_bare_onnx=True) as sidecar:
        assert "leads out of the bundle" in sidecar.registry.refused["bare", 1].reason
