"""PyTriton: `pytriton_server.py PORT HTTP_PORT`."""

from __future__ import annotations

import sys

import numpy as np
from policy import open_policy
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from tick import ACTION, WIDTH

choose = open_policy()


@batch
def infer(observation: np.ndarray) -> dict[str, np.ndarray]:
    """Choose."""
    return {"action": choose(observation)}


if __name__ == "__main__":
    port, http_port = map(int, sys.argv[1:])
    config = TritonConfig(
        grpc_address="127.0.0.1", grpc_port=port, http_address="127.0.0.1", http_port=http_port, allow_metrics=False
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="policy",
            infer_func=infer,
            inputs=[Tensor(name="observation", dtype=np.float32, shape=(WIDTH,))],
            outputs=[Tensor(name="action", dtype=np.dtype(ACTION["dtype"]).type, shape=tuple(ACTION["shape"]))],
            config=ModelConfig(max_batch_size=4096),
        )
        triton.serve()
