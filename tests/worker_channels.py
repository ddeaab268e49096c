"""Channels to every worker of a sidecar that has several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import grpc
import psutil
from conftest import LiveSidecar

from bridge.v1 import model_service_pb2
from bridge.v1.model_service_pb2_grpc import ModelServiceStub

PATIENCE_S = 60
MOST_CONNECTIONS = 60


def pids(live: LiveSidecar) -> list[int]:
    """Return the process ids of the workers."""
    return [child.pid for child in psutil.Process(live.process.pid).children()]


def connections(pid: int, port: int) -> int:
    """Return how many connections a process has on one of its ports."""
    return sum(c.laddr.port == port and c.status == psutil.CONN_ESTABLISHED for c in psutil.Process(pid).net_connections("tcp"))


def port_of(address: str) -> int:
    """Return the port of an address as 127.0.0.1:50051 or http://127.0.0.1:50052."""
    return int(address.rsplit(":", 1)[1])


@contextlib.contextmanager
def channels_to_all(live: LiveSidecar) -> Iterator[list[grpc.Channel]]:
    """Open channels, each with a connection of its own, until every worker has one; yield them."""
    with contextlib.ExitStack() as stack:
        opened: list[grpc.Channel] = []
        while len(opened) < MOST_CONNECTIONS:
            channel = stack.enter_context(grpc.insecure_channel(live.address, options=[("grpc.use_local_subchannel_pool", 1)]))
            names(channel)
            opened.append(channel)
            if all(connections(pid, port_of(live.address)) for pid in pids(live)):
                yield opened
                return
        raise AssertionError(f"{MOST_CONNECTIONS} connections went to one worker alone")


def names(channel: grpc.Channel) -> list[str]:
    """Return the names of the models that a worker serves."""
    answer = ModelServiceStub(channel).ListModels(
        model_service_pb2.ListModelsRequest(), timeout=PATIENCE_S, wait_for_ready=True
    )
    return [model.name for model in answer.models if model.state == model_service_pb2.MODEL_STATE_SERVING]
