"""BentoML's gRPC server: `bentoml serve-grpc bentoml_service:svc --port PORT`."""

from __future__ import annotations

import bentoml
import numpy as np
from bentoml.io import NumpyNdarray
from policy import open_policy

svc = bentoml.Service("policy")
choose_actions = open_policy()


@svc.api(input=NumpyNdarray(dtype="float32", shape=(-1, 17)), output=NumpyNdarray(dtype="float32"))
def choose(observation: np.ndarray) -> np.ndarray:
    """Choose."""
    return choose_actions(observation)
