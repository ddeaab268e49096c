"""BentoML's gRPC server: `bentoml serve-grpc bentoml_service:svc --port PORT`."""

from __future__ import annotations

import bentoml.legacy
import numpy as np
from bentoml.io import NumpyNdarray
from policy import open_policy
from tick import ACTION, WIDTH

svc = bentoml.legacy.Service("policy")
choose_actions = open_policy()


@svc.api(input=NumpyNdarray(dtype="float32", shape=(-1, WIDTH)), output=NumpyNdarray(dtype=ACTION["dtype"]))
def choose(observation: np.ndarray) -> np.ndarray:
    """Choose."""
    return choose_actions(observation)
