"""Ray Serve's gRPC proxy: `ray_server.py PORT HTTP_PORT`. Without its HTTP proxy it has no gRPC proxy either."""

from __future__ import annotations

import sys
import time

import numpy as np
import ray
from google.protobuf.wrappers_pb2 import BytesValue
from policy import open_policy
from ray import serve
from ray.serve.config import HTTPOptions, gRPCOptions
from ray.serve.schema import LoggingConfig
from tick import WIDTH


@serve.deployment(num_replicas=1, max_ongoing_requests=256)
class Policy:
    """One replica behind Ray Serve's gRPC proxy."""

    def __init__(self) -> None:
        self.choose = open_policy()

    def Choose(self, request: BytesValue) -> BytesValue:  # noqa: N802 - the method's name in the contract
        """Choose."""
        return BytesValue(value=self.choose(np.frombuffer(request.value, np.float32).reshape(-1, WIDTH)).tobytes())


if __name__ == "__main__":
    port, http_port = map(int, sys.argv[1:])
    ray.init(include_dashboard=False)
    grpc_options = gRPCOptions(port=port, grpc_servicer_functions=["ray_contract.add_PolicyServicer_to_server"])
    serve.start(
        grpc_options=grpc_options,
        http_options=HTTPOptions(host="127.0.0.1", port=http_port),
        logging_config=LoggingConfig(enable_access_log=False),
    )
    serve.run(Policy.bind())
    while True:
        time.sleep(3600)
