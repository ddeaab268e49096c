"""gzip on the web port, for clients that ask for it: large answers are packed in a worker thread, small ones at once."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

from connectrpc.compression.gzip import GzipCompression
from connectrpc.request import RequestContext
from google.protobuf.message import Message

LEVEL = 1
LARGE_BYTES = 32 << 10


class Gzip(GzipCompression):
    """gzip at its quickest level. Requests are unpacked to at most the size that a request may have."""

    def __init__(self) -> None:
        super().__init__(LEVEL)

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        """Pack an answer, unless it comes packed."""
        return data.packed if isinstance(data, Packed) else super().compress(data)


class Packed(bytes):
    """The bytes of a message, with the same bytes as gzip in `packed`."""

    packed: bytes


class PackedMessage:
    """A large answer that was packed before it is written."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.data = Packed(message.SerializeToString())
        self.data.packed = gzip.compress(self.data, LEVEL)


async def pack(message: Message, context: RequestContext[Any, Any]) -> Message | PackedMessage:
    """Return an answer as it is to be written: large ones packed, where the client asks for gzip and not for JSON."""
    if message.ByteSize() < LARGE_BYTES or not _asks(context):
        return message
    return await asyncio.to_thread(PackedMessage, message)


def _asks(context: RequestContext[Any, Any]) -> bool:
    headers = context.request_headers
    kind = headers.get("content-type", "")
    if "json" in kind:
        return False
    prefix = "grpc-" if kind.startswith("application/grpc") else "connect-" if kind.startswith("application/connect") else ""
    return "gzip" in [name.strip() for name in headers.get(f"{prefix}accept-encoding", "").split(",")]
