"""PyTriton: `pytriton_server.py PORT`, with gRPC on PORT."""

from __future__ import annotations

import sys

import numpy as np
from policy import open_policy
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

choose = open_policy()


@batch
def infer(observation: np.ndarray) -> dict[str, np.ndarray]:
    """Choose."""
    return {"move": choose(observation)}


if __name__ == "__main__":
    port = int(sys.argv[1])
    config = TritonConfig(grpc_address="127.0.0.1", grpc_port=port, allow_http=True, http_port=port + 1, allow_metrics=False)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="policy",
            infer_func=infer,
            inputs=[Tensor(name="observation", dtype=np.float32, shape=(17,))],
            outputs=[Tensor(name="move", dtype=np.float32, shape=(2,))],
            config=ModelConfig(max_batch_size=4096),
        )
        triton.serve()
