"""The policy as every peer runs it: one ONNX Runtime session with the sidecar's settings, observations in, actions out."""

from __future__ import annotations

import math
import os

import numpy as np
import onnxruntime as ort
from tick import ACTION, SPEC


def open_policy():  # noqa: ANN201 - the type is another library's in every environment
    """Return a function from observations float32[N, WIDTH] to actions [N, ...]; noise is zero and every choice is allowed."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(os.environ["POLICY"], options, providers=["CPUExecutionProvider"])

    def choose(rows: np.ndarray) -> np.ndarray:
        feeds, begin = {}, 0
        for name, shape in SPEC["observations"].items():
            end = begin + math.prod(shape)
            feeds[name] = rows[:, begin:end].reshape(-1, *shape)
            begin = end
        if SPEC["noise"]:
            feeds["noise"] = np.zeros((len(rows), SPEC["noise"]), np.float32)
        if SPEC["mask"]:
            feeds["action_mask"] = np.ones((len(rows), SPEC["mask"]), bool)
        return session.run([ACTION["name"]], feeds)[0]

    return choose
