"""grpcio with the contract's stub, as Ray Serve's gRPC guide shows it."""

from __future__ import annotations

import grpc
from google.protobuf.wrappers_pb2 import BytesValue
from load import Call, main
from ray_contract import METHOD
from tick import ACTION_BYTES, BODY

REQUEST = BytesValue(value=BODY)


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
    stub = channel.unary_unary(METHOD, BytesValue.SerializeToString, BytesValue.FromString)

    def call() -> None:
        assert len(stub(REQUEST, timeout=60, metadata=(("application", "default"),)).value) == ACTION_BYTES

    return call


main(open_client)
