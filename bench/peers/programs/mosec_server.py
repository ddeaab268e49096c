"""mosec: `mosec_server.py --port PORT`."""

from __future__ import annotations

import numpy as np
from mosec import Server, Worker
from policy import open_policy
from tick import WIDTH


class Policy(Worker):
    """One worker process behind mosec's HTTP server."""

    def __init__(self) -> None:
        self.choose = open_policy()

    def deserialize(self, data: bytes) -> np.ndarray:
        """Read the observations."""
        return np.frombuffer(data, np.float32).reshape(-1, WIDTH)

    def serialize(self, data: np.ndarray) -> bytes:
        """Write the actions."""
        return data.tobytes()

    def forward(self, data: np.ndarray) -> np.ndarray:
        """Choose."""
        return self.choose(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Policy, num=1)
    server.run()
