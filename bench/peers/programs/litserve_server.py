"""LitServe: `litserve_server.py PORT`."""

from __future__ import annotations

import base64
import sys

import litserve as ls
import numpy as np
from policy import open_policy
from tick import WIDTH


class Policy(ls.LitAPI):
    """One worker process behind LitServe's HTTP server."""

    def setup(self, device: str) -> None:
        """Open the policy in the worker."""
        self.choose = open_policy()

    def decode_request(self, request: dict) -> np.ndarray:
        """Read the observations."""
        return np.frombuffer(base64.b64decode(request["observation"]), np.float32).reshape(-1, WIDTH)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Choose."""
        return self.choose(x)

    def encode_response(self, output: np.ndarray) -> dict:
        """Write the actions."""
        return {"action": base64.b64encode(output.tobytes()).decode()}


if __name__ == "__main__":
    ls.LitServer(Policy(), accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False
    )
