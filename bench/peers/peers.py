"""The servers that are compared: how each is installed, started and called, with the settings that it has by default."""

from __future__ import annotations

from dataclasses import dataclass

import onnxruntime

from bench.peers.environments import Environment

ONNX_RUNTIME = f"onnxruntime=={onnxruntime.__version__}"
"""All run the graph with the same version as the sidecar."""

BENTOML_OPTIONS = ("--port", "{port}", "--host", "127.0.0.1", "--api-workers", "1", "--quiet")
"""Quiet, since it would write a line for every call."""


@dataclass(frozen=True)
class Peer:
    """A server: its name in the results, what travels, its environment, and its programs.

    `{port}` and `{other_port}` in the server's command stand for free ports; clients call the first.
    """

    name: str
    wire: str
    environment: Environment
    server: tuple[str, ...]
    client: str

    @property
    def short(self) -> str:
        """The name without the version, in small letters: of its environment and its log."""
        return self.name.rpartition(" ")[0].replace(" ", "-").lower()


PEERS = (
    Peer(
        "PyTriton 0.7.0",
        "gRPC",
        Environment(("nvidia-pytriton==0.7.0", ONNX_RUNTIME), "/usr/bin/python3.11"),
        ("python", "pytriton_server.py", "{port}", "{other_port}"),
        "pytriton_client.py",
    ),
    Peer(
        "Ray Serve 2.60.0",
        "gRPC",
        Environment(("ray[serve]==2.60.0", ONNX_RUNTIME)),
        ("python", "ray_server.py", "{port}", "{other_port}"),
        "ray_client.py",
    ),
    Peer(
        "BentoML 1.4.39",
        "gRPC",
        Environment(
            (
                "bentoml[grpc,grpc-channelz,grpc-reflection]==1.4.39",
                *(f"grpcio{part}==1.71.2" for part in ("", "-reflection", "-health-checking", "-channelz")),
                "protobuf==5.29.6",
                ONNX_RUNTIME,
            )
        ),
        ("python", "-m", "bentoml", "serve-grpc", *BENTOML_OPTIONS, "bentoml_service:svc"),
        "bentoml_client.py",
    ),
    Peer(
        "mosec 0.9.8",
        "HTTP",
        Environment(("mosec==0.9.8", ONNX_RUNTIME, "httpx==0.28.1")),
        ("python", "mosec_server.py", "--address", "127.0.0.1", "--port", "{port}", "--timeout", "30000"),
        "http_client.py",
    ),
    Peer(
        "LitServe 0.2.19",
        "HTTP",
        Environment(("litserve==0.2.19", ONNX_RUNTIME, "httpx==0.28.1")),
        ("python", "litserve_server.py", "{port}"),
        "json_client.py",
    ),
)
