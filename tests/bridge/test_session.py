"""Sessions: what runs is what the card says, on the provider that is named."""

from __future__ import annotations

import logging

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny_models
from conftest import sidecar_in_thread

from bridge.model_card import TensorSpec, read_card, sha256_file
from bridge.providers import COREML, CPU, CUDA, DIRECTML, TENSORRT, ProviderError, choose_providers, cuda_driver
from bridge.session import Session, SessionError

NO_CUDA = CUDA not in ort.get_available_providers() or not cuda_driver()
FEEDS = {"position": np.ones((2, 3), np.float32), "noise": np.zeros((2, 7), np.float32), "action_mask": np.ones((2, 5), bool)}


@pytest.fixture
def bundle(tmp_path):
    """A real bundle's folder and its only graph."""
    folder = tiny_models.write_npc(tmp_path)
    return folder, read_card(folder / "card.json").graph("policy")


CAPPED = {"device_id": "1", "gpu_mem_limit": str(512 << 20), "arena_extend_strategy": "kSameAsRequested"}


def opened(folder, graph, **options):
    defaults = {"providers": [CPU], "threads": 1, "warm_up_rows": 4, "strict": False}
    return Session(folder, graph, **(defaults | options))


def test_a_graph_runs_by_the_names_of_its_card(bundle):
    outputs = opened(*bundle).run(FEEDS)
    assert {name: (array.shape, array.dtype.name) for name, array in outputs.items()} == {
        "move": ((2, 2), "float32"),
        "act": ((2, 2), "int64"),
    }


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_the_batch_is_free(bundle, rows):
    feeds = {name: np.repeat(array[:1], rows, axis=0) for name, array in FEEDS.items()}
    assert len(opened(*bundle).run(feeds)["move"]) == rows


def test_the_provider_is_named(bundle):
    assert opened(*bundle).provider == CPU


def test_no_thread_spins_and_policies_get_the_threads_they_are_given(bundle):
    options = opened(*bundle, threads=3)._session.get_session_options()
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"


SPECS = {
    "position": TensorSpec(name="position", dtype="float32", shape=["batch", 3]),
    "noise": TensorSpec(name="noise", dtype="float32", shape=["batch", 7]),
    "action_mask": TensorSpec(name="action_mask", dtype="bool", shape=["batch", 5]),
}


@pytest.mark.parametrize(
    "changed",
    [
        {"position": {"name": "place"}},
        {"position": {"dtype": "float64"}},
        {"position": {"shape": ["batch", 4]}},
        {"position": {"shape": ["batch", 3, 1]}},
        {"position": {"shape": ["batch", "any"]}},
        {"position": {"shape": ["batch"]}},
    ],
)
def test_a_card_whose_inputs_are_not_the_files_is_refused(bundle, changed):
    folder, graph = bundle
    inputs = [msgspec.structs.replace(spec, **changed.get(spec.name, {})) for spec in graph.inputs]
    with pytest.raises(SessionError, match=r"inputs are .* the card says .*export it again"):
        opened(folder, msgspec.structs.replace(graph, inputs=inputs))


@pytest.mark.parametrize("kept", [0, 1])
def test_a_card_that_leaves_out_an_output_is_refused(bundle, kept):
    folder, graph = bundle
    with pytest.raises(SessionError, match="outputs are"):
        opened(folder, msgspec.structs.replace(graph, outputs=graph.outputs[kept : kept + 1]))


def test_a_graph_that_cannot_run_is_refused_at_load_and_not_at_the_first_call(bundle):
    folder, graph = bundle
    path = folder / graph.file
    model = onnx.load(path)
    for weights in model.graph.initializer:
        if weights.name == "weights_move":
            weights.CopyFrom(onnx.numpy_helper.from_array(np.zeros((4, 2), np.float32), "weights_move"))
    del model.graph.value_info[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SessionError, match=r"policy\.onnx"):
        opened(folder, msgspec.structs.replace(graph, sha256=sha256_file(path)))


def test_a_graph_with_a_fixed_batch_is_refused_at_load(bundle):
    folder, graph = bundle
    path = folder / graph.file
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SessionError, match="inputs are"):
        opened(folder, msgspec.structs.replace(graph, sha256=sha256_file(path)))


def test_the_cpu_is_taken_when_it_is_asked_for():
    assert choose_providers(["cpu"]) == [CPU]


@pytest.mark.skipif(not NO_CUDA, reason="there is a CUDA device here")
def test_strict_fails_without_cuda_and_says_what_to_do():
    with pytest.raises(
        ProviderError, match=r"--providers strict wants CUDAExecutionProvider, but .*install .*or use --providers auto"
    ):
        choose_providers(["strict"])


@pytest.mark.skipif(not NO_CUDA, reason="there is a CUDA device here")
def test_auto_falls_back_to_the_cpu_and_says_so_in_the_log(caplog):
    with caplog.at_level(logging.WARNING, logger="metabridge"):
        assert choose_providers(["auto"]) == [CPU]
    assert "serving without CUDAExecutionProvider: " in caplog.text


@pytest.mark.skipif(not NO_CUDA, reason="there is a CUDA device here")
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider' is not in available:UserWarning")
def test_a_strict_session_that_fell_back_is_refused_and_another_names_the_cpu(bundle):
    with pytest.raises(SessionError, match="runs on CPUExecutionProvider, --providers strict wants CUDAExecutionProvider"):
        opened(*bundle, providers=[CUDA, CPU], strict=True)
    assert opened(*bundle, providers=[CUDA, CPU]).provider == CPU


@pytest.fixture
def every_provider(monkeypatch):
    """A build of ONNX Runtime that offers every provider, on a machine with a CUDA driver."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [TENSORRT, CUDA, DIRECTML, COREML, CPU])
    monkeypatch.setattr("bridge.providers.cuda_driver", lambda: True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["auto"], [(CUDA, CAPPED), CPU]),
        (["strict"], [(CUDA, CAPPED), CPU]),
        (["tensorrt", "cuda"], [(TENSORRT, {"device_id": "1", "trt_max_workspace_size": str(512 << 20)}), (CUDA, CAPPED), CPU]),
        (["directml", "coreml"], [(DIRECTML, {"device_id": "1"}), COREML, CPU]),
        (["cpu", "cuda"], [CPU, (CUDA, CAPPED)]),
    ],
)
def test_providers_are_asked_for_in_order_with_device_and_memory(every_provider, words, expected):
    assert choose_providers(words, device_id=1, gpu_memory_mib=512) == expected


def test_a_provider_that_is_missing_is_passed_over_unless_it_is_the_first_of_strict(every_provider, monkeypatch, caplog):
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    with caplog.at_level(logging.WARNING, logger="metabridge"):
        assert choose_providers(["tensorrt", "cuda"]) == [(CUDA, {"device_id": "0"}), CPU]
    assert "serving without TensorrtExecutionProvider: this build of ONNX Runtime offers" in caplog.text
    assert choose_providers(["strict", "cuda", "tensorrt"]) == [(CUDA, {"device_id": "0"}), CPU]
    with pytest.raises(ProviderError, match="strict wants TensorrtExecutionProvider"):
        choose_providers(["strict", "tensorrt", "cuda"])


def test_the_options_of_a_provider_reach_onnx_runtime(bundle, monkeypatch):
    asked, real = [], ort.InferenceSession

    def record(source, options, providers):
        asked.append(providers)
        return real(source, options, providers=[CPU])

    monkeypatch.setattr(ort, "InferenceSession", record)
    entry = (CUDA, {"device_id": "1", "gpu_mem_limit": "1048576"})
    assert opened(*bundle, providers=[entry, CPU]).provider == CPU
    assert asked == [[entry, CPU]]


@pytest.mark.skipif(NO_CUDA, reason="no CUDA device here")
def test_a_graph_runs_on_cuda_as_on_the_cpu(bundle):
    session = opened(*bundle, providers=choose_providers(["strict"], gpu_memory_mib=512), strict=True)
    assert session.provider == CUDA
    assert session._session.get_provider_options()[CUDA]["gpu_mem_limit"] == str(512 << 20)
    np.testing.assert_allclose(session.run(FEEDS)["move"], opened(*bundle).run(FEEDS)["move"], atol=1e-4)


def test_small_batches_run_on_the_event_loop_and_large_ones_do_not(bundle):
    session = opened(*bundle)
    assert session.inline(1)
    session._seconds_per_row = 1e-4
    assert not session.inline(1000)


@pytest.mark.parametrize(("io_binding", "binds"), [("always", True), ("gpu", not NO_CUDA), ("never", False)])
def test_bound_inputs_and_outputs_give_the_same_answers(bundle, io_binding, binds):
    providers = [CPU] if NO_CUDA else choose_providers(["auto"])
    session = opened(*bundle, io_binding=io_binding, providers=providers)
    assert session.binds is binds
    feeds = FEEDS | {"position": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))}
    expected = opened(*bundle).run(feeds)
    for _ in range(2):
        outputs = session.run(feeds)
        assert outputs.keys() == expected.keys()
        for name, array in outputs.items():
            np.testing.assert_allclose(array, expected[name], atol=1e-5)


@pytest.mark.parametrize("io_binding", ["always", "gpu"])
def test_the_option_reaches_the_sessions_of_a_sidecar(tmp_path, io_binding):
    tiny_models.write_npc(tmp_path)
    with sidecar_in_thread(tmp_path, io_binding=io_binding) as sidecar:
        assert sidecar.registry.served["guard", 1].batchers["policy"]._session.binds is (io_binding == "always" or not NO_CUDA)
