"""Settings of the sidecar; the docstring under each field is its `--help`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class Limits:
    """What one client may ask for."""

    max_message_bytes: int = 4 << 20
    """Bytes of one request or unary answer; gRPC clients refuse more than 4 MiB unless told otherwise."""
    max_agents: int = 16_384
    """Agents in one ChooseActions call."""
    max_avatars: int = 256
    """Avatars in one call."""
    max_frames: int = 36_000
    """Frames of one morph."""
    max_picture_pixels: int = 1 << 24
    """Pixels of a picture that is to be projected; larger ones are refused before they are decoded."""
    max_tiles: int = 1_024
    """Tiles of scenes in one call."""
    cached_tiles: int = 2_048
    """Tiles of endless worlds that are kept, about 30 kB each; the least recently used one goes first."""
    max_concurrent_calls: int = 256
    """Calls that run at the same time; one more is answered with RESOURCE_EXHAUSTED."""
    max_sessions: int = 1_024
    """Game sessions that are kept; the least recently used one goes first."""
    session_seconds: float = 600.0
    """Seconds without a call after which a game session is forgotten."""


@dataclass(frozen=True)
class ServeConfig:
    """Serve the model bundles of a folder over gRPC (HTTP/2) and over gRPC-Web and Connect (HTTP/1.1)."""

    models: Path = Path("models")
    """Folder with the bundles, <name>/<version>/card.json."""
    host: str = "127.0.0.1"
    """Address to bind; only loopback addresses are accepted."""
    port: int = 50_051
    """Port for gRPC; 0 takes a free one."""
    web_port: int | None = None
    """Port for gRPC-Web and Connect: by default the one after --port, or a free one if that is 0; -1 leaves it out."""
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages that may call the web port, https://game.example; none by default."""
    providers: Literal["auto", "cpu", "strict"] = "auto"
    """auto: CUDA if it loads, else the CPU; cpu: the CPU; strict: CUDA, or fail."""
    threads: int = 0
    """ONNX Runtime's threads a model; 0 leaves it to the family (policies 1, others all cores)."""
    max_batch: int = 0
    """Rows in one ONNX Runtime run; 0 leaves it to the family (policies 4096, avatars 16, scenes 1)."""
    max_wait_ms: float = 0.0
    """Milliseconds that a request waits for others to share its run; 0 takes only those that are already there."""
    queue_capacity: int = 256
    """Requests that may wait for one graph; one more is answered with RESOURCE_EXHAUSTED."""
    drain_seconds: float = 10.0
    """Seconds that a stop gives the calls that run."""
    limits: Limits = field(default_factory=Limits)
    """What one client may ask for."""


@dataclass(frozen=True)
class ModelsConfig:
    """List the models that a running sidecar serves."""

    address: str = "127.0.0.1:50051"
    """Address of the sidecar's gRPC port."""
    timeout: float = 10.0
    """Seconds to wait for the answer."""


@dataclass(frozen=True)
class CallConfig:
    """Call any method of a running sidecar with a request as JSON, and print the answer as JSON."""

    method: tyro.conf.Positional[str]
    """Service and method, AvatarService/GenerateAvatars."""
    data: str = "{}"
    """The request as JSON (field names as in the contract); @FILE reads it from a file, - from standard input."""
    address: str = "127.0.0.1:50051"
    """Address of the sidecar's gRPC port."""
    timeout: float = 30.0
    """Seconds to wait for the answer."""
