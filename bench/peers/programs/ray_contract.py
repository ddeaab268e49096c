"""What a generator would write of a service `policy.Policy` whose method `Choose` takes and returns a BytesValue."""

from __future__ import annotations

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

METHOD = "/policy.Policy/Choose"


def add_PolicyServicer_to_server(servicer: object, server: grpc.Server) -> None:  # noqa: N802 - a generator's name
    """Serve the method."""
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.Choose, request_deserializer=BytesValue.FromString, response_serializer=BytesValue.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("policy.Policy", {"Choose": handler}),))
