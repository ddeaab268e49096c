"""httpx, as the documentation of mosec shows it: the observations' bytes in, the actions' bytes out."""

from __future__ import annotations

import struct

import httpx
from load import ROWS, SIZE, Call, main

BODY = struct.pack(f"<{ROWS * SIZE}f", *([0.25] * (ROWS * SIZE)))


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    client = httpx.Client(timeout=60, trust_env=False)

    def call() -> None:
        answer = client.post(f"http://{address}/inference", content=BODY)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) == ROWS * 2 * 4

    return call


main(open_client)
