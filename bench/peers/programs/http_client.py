"""httpx, as the documentation of mosec shows it: the observations' bytes in, the actions' bytes out."""

from __future__ import annotations

import httpx
from load import Call, main
from tick import ACTION_BYTES, BODY


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    client = httpx.Client(timeout=60, trust_env=False)

    def call() -> None:
        answer = client.post(f"http://{address}/inference", content=BODY)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) == ACTION_BYTES

    return call


main(open_client)
