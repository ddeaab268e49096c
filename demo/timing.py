"""The timing table: calls of the Python client to the running sidecar."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bridge.client import Client, Group
from bridge.v1 import asset_pb2, avatar_service_pb2

SECONDS = 3.0
AGENTS = (1, 64, 1000)
AVATARS = (1, 16)


@dataclass(frozen=True)
class Row:
    """One line of the table: a call, how many rows it batches, milliseconds at the median and the 99th percentile."""

    client: str
    call: str
    batch: int
    calls: int
    p50_ms: float
    p99_ms: float
    provider: str


def time_calls(client: Client) -> list[Row]:
    """Time one tick for several numbers of agents, and batches of avatars."""
    spec = client.model("assistant")
    graph = spec.graphs[0]
    shapes = {t.name: [n for n in t.shape if n > 0] for t in graph.inputs if t.name not in ("noise", "action_mask")}
    provider = spec.model.provider
    rows = []
    for agents in AGENTS:
        generator = np.random.default_rng(agents)
        observations = {n: generator.normal(size=(agents, *shape)).astype(np.float32) for n, shape in shapes.items()}
        group = Group(model="assistant", agents=range(agents), observations=observations)
        rows.append(_time("ChooseActions", agents, provider, lambda g=group: client.choose_actions([g], session="timing")))
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)
    for count in AVATARS:
        wanted = avatar_service_pb2.AvatarSpec(seeds=range(count), image=image)
        rows.append(_time("GenerateAvatars", count, provider, lambda w=wanted: client.generate_avatars("pixel", w)))
    return rows


def _time(call: str, batch: int, provider: str, function: Callable[[], object]) -> Row:
    for _ in range(10):
        function()
    times = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append((time.perf_counter() - start) * 1000)
    p50, p99 = np.percentile(times, (50, 99))
    return Row("Python, HTTP/2", call, batch, len(times), float(p50), float(p99), provider)
