"""HTTP/2 by hand, for what no client library would send."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS = 0x1, 0x4
TIMEOUT_S = 60.0


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """Return a frame: of the connection itself (stream 0), or of a call."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header_block(headers: Mapping[str, str]) -> bytes:
    """Return headers of at most 126 bytes as HPACK's plain literals (RFC 7541, 6.2.2)."""
    texts = (text.encode() for pair in headers.items() for text in pair)
    return b"".join((b"" if place % 2 else b"\0") + bytes([len(text)]) + text for place, text in enumerate(texts))


def grpc_outcome(address: str, frames: bytes) -> str:
    """Send the frames of one call over a connection of its own; return how it ended.

    `status 13: why` is gRPC's status with its message, `reset 2` the code of a RST_STREAM, `goaway 1` that of a GOAWAY.
    """
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as plain, plain.makefile("rb") as answer:
        plain.sendall(PREFACE + frame(SETTINGS) + frames)
        while len(head := answer.read(9)) == 9:
            kind, payload = head[3], answer.read(int.from_bytes(head[:3], "big"))
            if kind == RST_STREAM:
                return f"reset {int.from_bytes(payload, 'big')}"
            if kind == GOAWAY:
                return f"goaway {int.from_bytes(payload[4:8], 'big')}"
            if kind == HEADERS and head[4] & END_STREAM:
                return f"status {_literal('grpc-status', payload)}: {_literal('grpc-message', payload)}"
    return "closed"


def _literal(name: str, block: bytes) -> str:
    """Return the value after a name in the first header block of a connection, which gRPC's core writes as plain literals."""
    found = re.search(re.escape(name.encode()) + rb"([\x00-\x7e])", block, re.DOTALL)
    return block[found.end() : found.end() + found[1][0]].decode("ascii") if found else ""
