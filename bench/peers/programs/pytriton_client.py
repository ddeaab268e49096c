"""PyTriton's ModelClient over gRPC, as its documentation shows it."""

from __future__ import annotations

import numpy as np
from load import Call, main
from pytriton.client import ModelClient
from tick import ACTION, ROWS, WIDTH

OBSERVATION = np.full((ROWS, WIDTH), 0.25, np.float32)


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    client = ModelClient(f"grpc://{address}", "policy", init_timeout_s=60, inference_timeout_s=60)

    def call() -> None:
        assert client.infer_batch(OBSERVATION)["action"].shape == (ROWS, *ACTION["shape"])

    return call


main(open_client)
