"""The policy as every peer runs it: one ONNX Runtime session with the sidecar's settings, observations in, actions out."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort

PATH, WIDTH = os.environ.get("POLICY", ""), int(os.environ.get("POLICY_NOISE", "0"))


def open_policy():  # noqa: ANN201 - the type is another library's in every environment
    """Return a function from observations float32[N, 17] to actions float32[N, 2]."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(PATH, options, providers=["CPUExecutionProvider"])

    def choose(observation: np.ndarray) -> np.ndarray:
        feeds = {"observation": observation}
        if WIDTH:
            feeds["noise"] = np.zeros((len(observation), WIDTH), np.float32)
        return session.run(None, feeds)[0]

    return choose
