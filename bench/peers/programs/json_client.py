"""httpx with JSON, as LitServe's documentation shows it: LitServe reads requests as JSON, so the bytes travel as base64."""

from __future__ import annotations

import base64

import httpx
from load import Call, main
from tick import ACTION_BYTES, BODY

REQUEST = {"observation": base64.b64encode(BODY).decode()}


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    client = httpx.Client(timeout=60, trust_env=False)

    def call() -> None:
        answer = client.post(f"http://{address}/predict", json=REQUEST)
        assert answer.status_code == 200, answer.text
        assert len(base64.b64decode(answer.json()["action"])) == ACTION_BYTES

    return call


main(open_client)
