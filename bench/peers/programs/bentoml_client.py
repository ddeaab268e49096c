"""grpcio with BentoML's own stubs, as its gRPC guide shows it."""

from __future__ import annotations

import grpc
from bentoml.grpc.v1 import service_pb2 as pb
from bentoml.grpc.v1 import service_pb2_grpc
from load import ROWS, SIZE, Call, main

VALUES = [0.25] * (ROWS * SIZE)


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
    stub = service_pb2_grpc.BentoServiceStub(channel)
    array = pb.NDArray(dtype=pb.NDArray.DTYPE_FLOAT, shape=[ROWS, SIZE], float_values=VALUES)
    request = pb.Request(api_name="choose", ndarray=array)

    def call() -> None:
        assert len(stub.Call(request, timeout=60).ndarray.float_values) == ROWS * 2

    return call


main(open_client)
