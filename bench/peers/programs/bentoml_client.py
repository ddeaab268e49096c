"""grpcio with BentoML's own stubs and an NDArray, as its gRPC guide shows it; `serialized_bytes` are not for users, it says."""

from __future__ import annotations

import grpc
from bentoml.grpc.v1 import service_pb2 as pb
from bentoml.grpc.v1 import service_pb2_grpc
from load import Call, main
from tick import ACTION, ACTIONS, ROWS, VALUES, WIDTH

FIELD = {"float32": "float_values", "int64": "int64_values"}[ACTION["dtype"]]


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
    stub = service_pb2_grpc.BentoServiceStub(channel)
    array = pb.NDArray(dtype=pb.NDArray.DTYPE_FLOAT, shape=[ROWS, WIDTH], float_values=VALUES)
    request = pb.Request(api_name="choose", ndarray=array)

    def call() -> None:
        assert len(getattr(stub.Call(request, timeout=60).ndarray, FIELD)) == ACTIONS

    return call


main(open_client)
