"""grpcio with the sidecar's own stubs."""

from __future__ import annotations

import os

import grpc
from load import Call, main
from sidecar_tick import check, tick

from bridge.v1.npc_service_pb2_grpc import NpcServiceStub


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
    stub, request = NpcServiceStub(channel), tick(os.urandom(8).hex())

    def call() -> None:
        check(stub.ChooseActions(request, timeout=60))

    return call


main(open_client)
