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
    """Agents in one ChooseActions call; of one group no more are kept from call to call, either."""
    max_avatars: int = 256
    """Avatars in one call."""
    max_frames: int = 36_000
    """Frames of one morph."""
    max_picture_pixels: int = 1 << 24
    """Pixels of a picture that is sent; larger ones are refused before they are decoded."""
    max_pictures: int = 256
    """Pictures that are encoded or decoded in one call."""
    max_tiles: int = 1_024
    """Tiles of scenes in one call."""
    cached_tiles: int = 2_048
    """Tiles of endless worlds that are kept, about 30 kB each; the least recently used one goes first."""
    max_concurrent_calls: int = 256
    """Calls that run at the same time, on both ports together; one more is answered with RESOURCE_EXHAUSTED.

    Half of them may hold game sessions.
    """
    max_streams: int = 1_024
    """Calls at the same time on one gRPC connection; more are held back by the client, or refused as UNAVAILABLE. Keep it above
    --limits.max-concurrent-calls, whose RESOURCE_EXHAUSTED says more."""
    max_header_bytes: int = 16_384
    """Bytes of the headers of one request."""
    head_seconds: float = 30.0
    """Seconds in which a connection of the web port must have sent a whole head of a request; a slower one is closed."""
    request_seconds: float = 30.0
    """Seconds in which the request of a call must have come in whole; a slower one is answered with DEADLINE_EXCEEDED."""
    answer_seconds: float = 60.0
    """Seconds for which a client may leave what is sent to it untaken; then its stream, or its web connection, is ended."""
    ping_seconds: float = 10.0
    """Least seconds between two pings of a gRPC client without data; one that goes on pinging is sent away."""
    idle_seconds: float = 3_600.0
    """Seconds after which a gRPC connection without calls is closed; clients connect again by themselves."""
    max_sessions: int = 1_024
    """Game sessions that are kept; the least recently used one goes first."""
    session_seconds: float = 600.0
    """Seconds without a call after which a game session is forgotten, and of a session that goes on an agent."""
    kept_agents: int = 262_144
    """Agents of all game sessions whose last action and recurrent state are kept. When there are more, the group longest not
    used goes first, and of the last group the agents longest not seen; they are told so (AGENT_STATUS_STATE_LOST)."""
    kept_mib: int = 256
    """MiB that those actions and states may take; more are forgotten as with --limits.kept-agents."""


@dataclass(frozen=True)
class ServeConfig:
    """Serve the model bundles of a folder over gRPC (HTTP/2) and over gRPC-Web and Connect (HTTP/1.1)."""

    models: Path = Path("models")
    """Folder with the bundles, <name>/<version>/card.json."""
    host: str = "127.0.0.1"
    """Address to bind; one that other machines can reach needs TLS and a token, or --insecure."""
    port: int = 50_051
    """Port for gRPC; 0 takes a free one."""
    web_port: int | None = None
    """Port for gRPC-Web and Connect: by default the one after --port, or a free one if that is 0; -1 leaves it out."""
    unix_socket: Path | None = None
    """Unix domain socket that serves gRPC too, in the clear, to those whom --unix-mode lets in."""
    unix_mode: str = "600"
    """Permissions of the Unix domain socket, in octal digits as chmod takes them."""
    tls_cert: Path | None = None
    """PEM file with the certificate chain of both ports, read again when it changes; without one they speak in the clear."""
    tls_key: Path | None = None
    """PEM file with the key of --tls-cert."""
    tls_client_ca: Path | None = None
    """PEM file with the authorities of clients' certificates (mutual TLS): who has none is not let in."""
    insecure: bool = False
    """Let other machines in without TLS or a token: on a network where everybody is trusted."""
    workers: int = 1
    """Processes that serve both ports together, on Linux: each has its own models, sessions and limits, and keeps its
    connections. 1 serves in this process."""
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages that may call the web port, https://game.example; none by default."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside localhost and addresses, by which the web port may be called; any other Host header is refused."""
    providers: tuple[Literal["auto", "strict", "tensorrt", "cuda", "directml", "coreml", "cpu"], ...] = ("auto",)
    """ONNX Runtime's execution providers in order of preference, the CPU always last. auto: CUDA; strict: fail where the first
    of them, or CUDA, cannot be had, instead of falling back."""
    device_id: int = 0
    """The GPU to use, by its number."""
    gpu_memory_mib: int = 0
    """MiB of GPU memory that each graph's session may take; 0 leaves it to ONNX Runtime."""
    io_binding: Literal["gpu", "always", "never"] = "gpu"
    """Bind inputs and outputs to their places before a run. gpu: for graphs on CUDA or TensorRT; always: on the CPU too."""
    allow_bare_onnx: bool = False
    """Serve <name>/<version>/model.onnx without a card too, over the Open Inference Protocol alone."""
    threads: int | None = None
    """ONNX Runtime's threads in one run, 0 for all cores; by default the card's, else the family's (policies 1, others 0)."""
    max_batch: int | None = None
    """Rows in one ONNX Runtime run; by default what the card says, else the family (policies 4096, avatars 16, scenes 1)."""
    max_wait_ms: float | None = None
    """Milliseconds that a request waits for others to share its run; by default what the card says, else 0: only those that
    are already there."""
    queue_capacity: int | None = None
    """Requests that may wait for one graph, one more is answered with RESOURCE_EXHAUSTED; by default the card's, else 256."""
    instances: int | None = None
    """Runs of one graph at the same time; by default what the card says, else 1."""
    model_settings: tuple[str, ...] = ()
    """Settings of single models, before all others: guard.max_batch=64 guard.instances=2."""
    latest: int = 0
    """Serve only this many of the latest versions of each model that load; 0 serves all."""
    pin: tuple[str, ...] = ()
    """Serve only these versions of the models named: guard=3 guard=5 face=1."""
    watch_seconds: float = 1.0
    """Seconds between two looks at the models folder; bundles that changed and then kept still are loaded. 0 looks at the start
    alone."""
    load_seconds: float = 600.0
    """Seconds after which a bundle that does not finish loading is refused."""
    load_isolation: Literal["new", "always", "never"] = "new"
    """Which bundles are loaded in a process of their own first, so that one that crashes, hangs or takes all memory is refused.
    new: those that did not pass before on this machine; always: all; never: none."""
    load_memory_mib: int = 8_192
    """MiB of memory that loading one bundle may take in the process of its own, or less where the machine has less free (Linux,
    on the CPU)."""
    token_file: Path | None = None
    """File with the bearer token that calls must carry; without one, that of METABRIDGE_TOKEN, else none."""
    admin_token_file: Path | None = None
    """File with the bearer token of AdminService; without one, that of METABRIDGE_ADMIN_TOKEN, else AdminService is off."""
    log_format: Literal["text", "json"] = "text"
    """text: lines for people; json: an object a line, for machines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged; debug has a line for every call."""
    drain_seconds: float = 10.0
    """Seconds that a stop gives the calls that run."""
    limits: Limits = field(default_factory=Limits)
    """What one client may ask for."""


@dataclass(frozen=True)
class ModelsConfig:
    """List the models that a running sidecar serves."""

    address: str = "127.0.0.1:50051"
    """Address of the sidecar's gRPC port, or unix:PATH."""
    tls_ca: Path | None = None
    """PEM file with the authority of the sidecar's certificate; without one the connection is in the clear."""
    tls_cert: Path | None = None
    """PEM file with this client's certificate, where the sidecar wants one; --tls-key is its key."""
    tls_key: Path | None = None
    """PEM file with the key of --tls-cert."""
    token_file: Path | None = None
    """File with the bearer token to send; without one, that of METABRIDGE_TOKEN, else none."""
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
    """Address of the sidecar's gRPC port, or unix:PATH."""
    tls_ca: Path | None = None
    """PEM file with the authority of the sidecar's certificate; without one the connection is in the clear."""
    tls_cert: Path | None = None
    """PEM file with this client's certificate, where the sidecar wants one; --tls-key is its key."""
    tls_key: Path | None = None
    """PEM file with the key of --tls-cert."""
    token_file: Path | None = None
    """File with the bearer token to send; without one, that of METABRIDGE_TOKEN, else none."""
    timeout: float = 30.0
    """Seconds to wait for the answer."""


@dataclass(frozen=True)
class TopConfig:
    """Show live what a running sidecar does: calls, times, batches, queues, memory."""

    web: str = "http://127.0.0.1:50052"
    """Address of the sidecar's web port."""
    seconds: float = 1.0
    """Seconds between two looks."""
    once: bool = False
    """Print one page, of everything since the sidecar's start, and end."""
    tls_ca: Path | None = None
    """PEM file with the authority of the sidecar's certificate, for an https address; without one, the system's authorities."""
    tls_cert: Path | None = None
    """PEM file with this client's certificate, where the sidecar wants one; --tls-key is its key."""
    tls_key: Path | None = None
    """PEM file with the key of --tls-cert."""
    token_file: Path | None = None
    """File with the bearer token to send; without one, that of METABRIDGE_TOKEN, else none."""
    timeout: float = 10.0
    """Seconds to wait for the answer."""


@dataclass(frozen=True)
class DoctorConfig:
    """Check what serving needs: Python, ONNX Runtime, ports, models folder, every bundle's hashes; say what to do."""

    models: Path = Path("models")
    """Folder with the bundles."""
    host: str = "127.0.0.1"
    """Address that is to be bound."""
    port: int = 50_051
    """Port for gRPC; the next one is for the web."""
