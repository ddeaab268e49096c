"""httpx on the sidecar's web port: Connect's binary protocol, which is a plain POST."""

from __future__ import annotations

import os

import httpx
from load import Call, main
from sidecar_tick import check, tick

from bridge.v1 import npc_service_pb2 as pb

HEADERS = {"content-type": "application/proto", "connect-protocol-version": "1"}


def open_client(address: str) -> Call:
    """Return a call over a connection of its own."""
    client = httpx.Client(timeout=60, trust_env=False)
    request = tick(os.urandom(8).hex())

    def call() -> None:
        content = request.SerializeToString()
        answer = client.post(f"http://{address}/bridge.v1.NpcService/ChooseActions", content=content, headers=HEADERS)
        assert answer.status_code == 200, answer.text
        check(pb.ChooseActionsResponse.FromString(answer.content))

    return call


main(open_client)
