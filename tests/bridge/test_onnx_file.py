"""ONNX files: what is damaged, exchanged or leads out of its bundle is refused before or by ONNX Runtime, with a reason."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import onnx
import pytest
import tiny_models

from bridge.model_card import read_card, sha256_file
from bridge.onnx_file import OnnxFileError, checked_source
from bridge.session import Session, SessionError


@pytest.fixture
def bundle(tmp_path):
    """A real bundle's folder and its only graph."""
    folder = tiny_models.write_npc(tmp_path)
    return folder, read_card(folder / "card.json").graph("policy")


def open_session(folder, graph):
    return Session(folder, graph, providers=["CPUExecutionProvider"], threads=1, warm_up_rows=2, strict=False)


def rehashed(folder, graph, **changes):
    return msgspec.structs.replace(graph, sha256=sha256_file(folder / graph.file), **changes)


def refused(folder, graph, message):
    with pytest.raises(OnnxFileError, match=message) as caught:
        checked_source(folder, graph)
    return str(caught.value)


def with_external_data(folder, graph, location, place=None):
    """Move the first weight out of the graph into the file `place` (default: `location` in the bundle)."""
    model = onnx.load(folder / graph.file)
    tensor = model.graph.initializer[0]
    place = place or folder / location
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / graph.file).write_bytes(model.SerializeToString())
    return rehashed(folder, graph)


def test_an_untouched_file_is_given_as_the_bytes_that_were_hashed(bundle):
    folder, graph = bundle
    assert checked_source(folder, graph) == (folder / graph.file).read_bytes()


def test_a_missing_file_is_refused(bundle):
    folder, graph = bundle
    (folder / graph.file).unlink()
    refused(folder, graph, "no such file, the card names it; export the bundle again")


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_truncated_file_is_refused(bundle, kept):
    folder, graph = bundle
    path = folder / graph.file
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder, graph, f"sha256 is [0-9a-f]{{64}}, the card says {graph.sha256}")


def test_a_single_flipped_bit_is_refused_wherever_it_is(bundle):
    folder, graph = bundle
    path = folder / graph.file
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        refused(folder, graph, "damaged or exchanged")


def test_a_damaged_file_with_a_fitting_hash_is_refused_or_runs_as_its_card_says(bundle):
    folder, graph = bundle
    path = folder / graph.file
    whole = path.read_bytes()
    refusals = []
    for place in range(0, len(whole), 41):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            open_session(folder, rehashed(folder, graph))
        except (OnnxFileError, SessionError) as error:
            refusals.append(str(error))
    assert len(refusals) > 5
    assert all(graph.file in refusal for refusal in refusals)


@pytest.mark.parametrize("content", [b"", b"not an ONNX file at all", b"\x00" * 1000, b"\xff" * 1000])
def test_a_file_that_is_no_model_is_refused_though_its_hash_fits(bundle, content):
    folder, graph = bundle
    (folder / graph.file).write_bytes(content)
    with pytest.raises((OnnxFileError, SessionError), match=r"policy\.onnx"):
        open_session(folder, rehashed(folder, graph))


@pytest.mark.parametrize(
    "location",
    ["../weights.bin", "a/../../weights.bin", "..", "/etc/hostname", "\\weights.bin", "..\\weights.bin", "C:\\weights", "C:x"],
)
def test_external_data_that_leaves_the_bundle_is_refused_even_if_the_card_lists_it(bundle, location):
    folder, graph = bundle
    changed = with_external_data(folder, graph, location, folder.parent / "weights.bin")
    digest = sha256_file(folder.parent / "weights.bin")
    assert location in refused(folder, changed, "leaves the bundle; save it beside the graph")
    assert location in refused(folder, msgspec.structs.replace(changed, external_files={location: digest}), "leaves the bundle")


def test_external_data_that_the_card_does_not_list_is_refused(bundle):
    folder, graph = bundle
    refused(folder, with_external_data(folder, graph, "weights.bin"), '"weights.bin" is not in the card')


def test_external_data_without_a_name_is_refused(bundle):
    folder, graph = bundle
    refused(folder, with_external_data(folder, graph, "", folder / "weights.bin"), '"" is not in the card')


def test_listed_external_data_runs_and_gives_what_the_whole_file_gave(bundle):
    folder, graph = bundle
    feeds = {
        "position": np.arange(6, dtype=np.float32).reshape(2, 3),
        "noise": np.zeros((2, 7), np.float32),
        "action_mask": np.ones((2, 5), bool),
    }
    before = open_session(folder, graph).run(feeds)
    changed = with_external_data(folder, graph, "weights.bin")
    listed = msgspec.structs.replace(changed, external_files={"weights.bin": sha256_file(folder / "weights.bin")})
    after = open_session(folder, listed).run(feeds)
    assert all((before[name] == after[name]).all() for name in before)


def test_listed_external_data_of_another_hash_is_refused(bundle):
    folder, graph = bundle
    changed = with_external_data(folder, graph, "weights.bin")
    listed = msgspec.structs.replace(changed, external_files={"weights.bin": "0" * 64})
    refused(folder, listed, f"the card says {'0' * 64}; export it again")


def test_listed_external_data_that_is_missing_is_refused(bundle):
    folder, graph = bundle
    changed = with_external_data(folder, graph, "weights.bin")
    (folder / "weights.bin").unlink()
    refused(folder, msgspec.structs.replace(changed, external_files={"weights.bin": "0" * 64}), "no such file")


def test_external_data_in_a_constant_of_a_subgraph_is_found(bundle):
    folder, graph = bundle
    hidden = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="/etc/hostname")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=hidden)
    branch = onnx.helper.make_graph([constant], "branch", [], [onnx.helper.make_tensor_value_info("c", 1, [1])])
    model = onnx.load(folder / graph.file)
    model.graph.node.append(onnx.helper.make_node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch))
    (folder / graph.file).write_bytes(model.SerializeToString())
    refused(folder, rehashed(folder, graph), '"/etc/hostname" leaves the bundle')


def test_external_data_in_a_function_is_found_though_its_data_location_denies_it(bundle):
    folder, graph = bundle
    hidden = onnx.TensorProto(name="w", data_type=1, dims=[1])
    hidden.external_data.add(key="location", value="../secret")
    model = onnx.load(folder / graph.file)
    default = onnx.helper.make_attribute("value", hidden)
    model.functions.append(onnx.FunctionProto(name="f", domain="d", attribute_proto=[default]))
    (folder / graph.file).write_bytes(model.SerializeToString())
    refused(folder, rehashed(folder, graph), '"../secret" leaves the bundle')


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_a_link_out_of_the_bundle_is_refused(bundle):
    folder, graph = bundle
    outside = folder.parent / "elsewhere.onnx"
    (folder / graph.file).rename(outside)
    (folder / graph.file).symlink_to(outside)
    refused(folder, graph, "leads out of the bundle to .*elsewhere")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_external_data_linked_out_of_the_bundle_is_refused(bundle):
    folder, graph = bundle
    changed = with_external_data(folder, graph, "weights.bin")
    (folder / "weights.bin").rename(folder.parent / "weights.bin")
    (folder / "weights.bin").symlink_to(folder.parent / "weights.bin")
    digest = sha256_file(folder / "weights.bin")
    refused(folder, msgspec.structs.replace(changed, external_files={"weights.bin": digest}), "leads out of the bundle")
