"""What violates gRPC over HTTP/2 itself: gRPC's core answers before any code of the sidecar, and the sidecar serves on.

Where that is INTERNAL, `docs/decisions/0099` says why. Spoilt messages inside of good frames are test_fuzz's.
"""

from __future__ import annotations

import struct

import pytest
from raw_http2 import DATA, END_HEADERS, END_STREAM, HEADERS, frame, grpc_outcome, header_block

from bridge.client import Client

GOOD = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/bridge.v1.ModelService/ListModels",
    ":authority": "localhost",
    "te": "trailers",
    "content-type": "application/grpc",
}


def message(data: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    """Return a message in gRPC's framing, which may lie about its length."""
    return struct.pack(">BI", flags, len(data) if length is None else length) + data


def call(headers: dict[str, str], body: bytes = message()) -> bytes:
    """Return the frames of a call with more headers, or others; one that is empty is left out."""
    block = header_block({name: value for name, value in {**GOOD, **headers}.items() if value})
    return frame(HEADERS, block, END_HEADERS, 1) + frame(DATA, body, END_STREAM, 1)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"grpc-timeout": "soon"}, "Error parsing 'grpc-timeout' metadata"),
        ({"grpc-timeout": "-1S"}, "Error parsing 'grpc-timeout' metadata"),
        ({"grpc-encoding": "br"}, "Error parsing 'grpc-encoding' metadata"),
        ({"te": "gzip"}, "Error parsing 'te' metadata"),
        ({"x-some-bin": "!!!"}, "Error parsing 'x-some-bin' metadata: illegal base64 encoding"),
        ({"X-Some": "1"}, "Illegal header key: X-Some"),
    ],
)
def test_headers_that_are_not_grpcs_are_internal_by_grpcs_core(sidecar, headers, text) -> None:
    assert grpc_outcome(sidecar.address, call(headers)) == f"status 13: {text}"
    assert_serving(sidecar)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gzip", "Decompression failed due to zlib error"),
        ("deflate", "Decompression failed due to zlib error"),
        ("identity", "Compression bit set but no encoding configured"),
        ("", "Compression bit set but no encoding configured"),
    ],
)
def test_a_message_that_says_it_is_packed_and_is_not_is_internal_by_grpcs_core(sidecar, encoding, text) -> None:
    assert grpc_outcome(sidecar.address, call({"grpc-encoding": encoding}, message(b"abc", 1))) == f"status 13: {text}"
    assert_serving(sidecar)


def test_a_header_block_that_is_cut_is_internal_by_grpcs_core(sidecar) -> None:
    outcome = grpc_outcome(sidecar.address, frame(HEADERS, header_block(GOOD)[:-1], END_HEADERS | END_STREAM, 1))
    assert outcome.startswith("status 13: Failed parsing HTTP/2")
    assert_serving(sidecar)


@pytest.mark.parametrize("name", [":method", ":scheme", ":path", ":authority", "te"])
def test_a_call_without_a_header_that_grpc_needs_is_reset(sidecar, name) -> None:
    assert grpc_outcome(sidecar.address, call({name: ""})) == "reset 2"
    assert_serving(sidecar)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", "status 12: no message, expected one"),
        (b"\0\0", "status 12: no message, expected one"),
        (message(b"abc", length=100), "status 12: no message, expected one"),
        (message(length=5 << 20), "status 8: SERVER: Received message larger than max (5242880 vs. 4194304)"),
        (message(b"\xff"), "status 3: "),
        (message(), "status 0: "),
    ],
    ids=["no message", "a cut head", "a cut message", "a large message", "no protobuf", "a good one"],
)
def test_what_can_be_told_of_a_body_is_told_with_another_code(sidecar, body, outcome) -> None:
    assert grpc_outcome(sidecar.address, call({}, body)).startswith(outcome)
    assert_serving(sidecar)


def assert_serving(sidecar) -> None:
    with Client(sidecar.address) as client:
        assert client.models()
