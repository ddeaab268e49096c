"""The card: what is written is read back, and what is wrong is named with what was expected."""

from __future__ import annotations

import json

import pytest
import tiny_models

from bridge.model_card import MAX_CARD_BYTES, CardError, read_card, sha256_file, write_card


@pytest.fixture
def card(tmp_path):
    """The card of a real bundle as JSON, and where it lies."""
    path = tiny_models.write_npc(tmp_path) / "card.json"
    return json.loads(path.read_bytes()), path


def refused(data, path, message):
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(CardError, match=message) as caught:
        read_card(path)
    assert str(path) in str(caught.value)


def test_a_card_comes_back_as_it_was_written(card):
    _, path = card
    read = read_card(path)
    again = path.with_name("again.json")
    write_card(read, again)
    assert read_card(again) == read
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.5])
def test_another_schema_is_refused_with_advice(card, version):
    data, path = card
    refused(data | {"schema_version": version}, path, f"schema_version is {version!r}, this sidecar reads 1; export it again")


def test_a_card_without_a_schema_is_refused(card):
    data, path = card
    del data["schema_version"]
    refused(data, path, "schema_version is None")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Guard"}, 'name is "Guard", expected'),
        ({"name": ""}, 'name is ""'),
        ({"name": "../guard"}, r'name is "\.\./guard"'),
        ({"name": "g" * 65}, "name is"),
        ({"version": 0}, "version is 0, expected a positive integer"),
        ({"version": -1}, "version is -1"),
        ({"version": "1"}, "Expected `int`"),
        ({"graphs": []}, r"graphs are \[\], expected one or more"),
        ({"graphs": 7}, "Expected `array`"),
        ({"licence": "none"}, "unknown field `licence`"),
        ({"provenance": {}}, "missing required field `dataset`"),
    ],
)
def test_a_wrong_field_of_the_card_is_named(card, change, message):
    data, path = card
    refused(data | change, path, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../policy.onnx"}, r'graph "policy" is in file "\.\./policy\.onnx"'),
        ({"file": "/etc/policy.onnx"}, "is in file"),
        ({"file": "other.onnx"}, "is in file"),
        ({"name": "..", "file": "...onnx"}, "is in file"),
        ({"sha256": "abc"}, 'sha256 of "policy" is "abc", expected 64 hexadecimal digits'),
        ({"sha256": "Z" * 64}, "expected 64 hexadecimal digits"),
        ({"opset": 0}, 'opset of "policy" is 0'),
        ({"opset": 1 << 40}, 'opset of "policy" is'),
        ({"inputs": []}, "inputs or outputs"),
        ({"outputs": []}, "inputs or outputs"),
        ({"outputs": [{"name": "move", "dtype": "float32", "shape": ["batch"]}] * 2}, r"\['move', 'move'\]"),
        ({"outputs": [{"name": "move", "dtype": "complex64", "shape": ["batch"]}]}, 'move has dtype "complex64"'),
        ({"outputs": [{"name": "move", "dtype": "float32", "shape": []}]}, r'shape \[\], expected "batch" first'),
        ({"outputs": [{"name": "move", "dtype": "float32", "shape": [1, "batch"]}]}, 'expected "batch" first'),
        ({"outputs": [{"name": "move", "dtype": "float32", "shape": ["batch", 1.5]}]}, "Expected `int | str`"),
    ],
)
def test_a_wrong_field_of_a_graph_is_named(card, change, message):
    data, path = card
    data["graphs"][0] |= change
    refused(data, path, message)


def test_two_graphs_of_one_name_are_refused(card):
    data, path = card
    data["graphs"] *= 2
    refused(data, path, "expected one or more with different names")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema_version": 1}', b'{"a":' + b"[" * 100_000, b"\x00" * 100],
    ids=["empty", "cut", "list", "null", "no UTF-8", "bare", "deep", "zeros"],
)
def test_a_file_that_is_no_card_is_refused(tmp_path, content):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(CardError, match="card"):
        read_card(path)


def test_a_card_cut_anywhere_is_refused(card):
    _, path = card
    whole = path.read_bytes().rstrip()
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        with pytest.raises(CardError):
            read_card(path)


def test_a_huge_card_is_refused_without_being_read(tmp_path):
    path = tmp_path / "card.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_CARD_BYTES + 1)
    with pytest.raises(CardError, match=f"{MAX_CARD_BYTES + 1} bytes, a card has at most {MAX_CARD_BYTES}"):
        read_card(path)


def test_a_wrong_card_is_not_written(card):
    _, path = card
    wrong = read_card(path)
    wrong = type(wrong)(**{name: getattr(wrong, name) for name in wrong.__struct_fields__} | {"name": "Wrong"})
    with pytest.raises(CardError, match="Wrong"):
        write_card(wrong, path.with_name("new.json"))
    assert not path.with_name("new.json").exists()


def test_a_graph_that_is_not_there_is_named_with_those_that_are(card):
    _, path = card
    with pytest.raises(CardError, match=r"has graphs \['policy'\], not \"value\""):
        read_card(path).graph("value")


def test_the_hash_is_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
