"""grpcio with the contract's stub, as Ray Serve's gRPC guide shows it."""

from __future__ import annotations

import struct

import grpc
from google.protobuf.wrappers_pb2 import BytesValue
from load import ROWS, SIZE, Call, main
from ray_contract import METHOD

REQUEST = BytesValue(value=struct.pack(f"<{ROWS * SIZE}f", *([0.25] * (ROWS * SIZE))))


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
    stub = channel.unary_unary(METHOD, BytesValue.SerializeToString, BytesValue.FromString)

    def call() -> None:
        assert len(stub(REQUEST, timeout=60, metadata=(("application", "default"),)).value) == ROWS * 2 * 4

    return call


main(open_client)
