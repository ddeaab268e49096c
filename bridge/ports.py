"""The sidecar's doors: gRPC on TCP and on a Unix domain socket, the web's listener, and what gRPC keeps clients to."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from bridge.config import Limits
from bridge.start_checks import StartError
from bridge.tls import Tls

KEEPALIVE_SECONDS, KEEPALIVE_TIMEOUT_SECONDS = 60, 20
PING_STRIKES = 2
OPEN_PER_RUNNING = 4
MAX_FILES = 65_536


def channel_options(limits: Limits, shared: bool = False) -> list[tuple[str, int]]:
    """Return gRPC's settings for a server that clients cannot wedge.

    Half-open connections end after 80 seconds, idle ones after `idle_seconds`; a client that pings without pause gets GOAWAY.
    A `shared` port may be bound by other workers too.
    """
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(shared)),
        ("grpc.max_concurrent_streams", limits.max_streams),
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", round(limits.ping_seconds * 1000)),
        ("grpc.http2.max_ping_strikes", PING_STRIKES),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),  # the one that ends a silent connection
        ("grpc.http2.max_pings_without_data", 0),  # by default the third ping of a connection without data is not sent
        ("grpc.max_connection_idle_ms", round(limits.idle_seconds * 1000)),
    ]


def most_open_calls(limits: Limits) -> int:
    """Return how many calls gRPC may hold at once: those that run, and those that ended while their clients take nothing."""
    return max(limits.max_streams, OPEN_PER_RUNNING * limits.max_concurrent_calls)


def bind_tcp(server: Any, host: str, port: int, tls: Tls | None) -> int:
    """Bind gRPC to an address; return the port, `StartError` where it is taken."""
    address = f"{bracket(host)}:{port}"
    try:
        bound: int = server.add_secure_port(address, tls.server_credentials()) if tls else server.add_insecure_port(address)
    except RuntimeError as error:
        raise StartError(f"cannot bind {address}: {error}; choose another --port, or 0 for a free one") from error
    return bound


def bind_unix(server: Any, path: Path, mode: int) -> None:
    """Bind gRPC to a Unix domain socket with permissions; `StartError` where another process serves on it."""
    if path.exists():
        _check_stale(path)
    before = os.umask(0o777 & ~mode)
    try:
        server.add_insecure_port(f"unix:{path}")
        path.chmod(mode)
    except (RuntimeError, OSError) as error:
        raise StartError(f"cannot bind --unix-socket {path}: {error}; name a path in a folder that you may write to") from error
    finally:
        os.umask(before)


def _check_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise StartError(f"--unix-socket {path} is a file that is no socket; name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise StartError(f"another process serves on --unix-socket {path}; name another path, or stop it")
    path.unlink()


def raise_file_limit() -> None:
    """Let this process open as many files as its user may, up to `MAX_FILES`: connections are files, 1,024 a common default."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def bracket(host: str) -> str:
    """Return a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def listen(host: str, port: int, shared: bool = False) -> socket.socket:
    """Return the web's listener; `StartError` where the port is taken."""
    listener = _bound(host, port, "--web-port", shared)
    listener.listen(128)
    return listener


def reserve(host: str, port: int, flag: str) -> socket.socket:
    """Return a socket that holds a port for workers without taking its connections; `StartError` where it is taken."""
    alone = _bound(host, port, flag, shared=False)  # a shared one would be let in beside another program's workers
    port = alone.getsockname()[1]
    alone.close()
    return _bound(host, port, flag, shared=True)


def _bound(host: str, port: int, flag: str, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # unnamed, asyncio leaves Nagle's delay of 40 ms on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(f"cannot bind {host}:{port}: {error}; choose another {flag}, or 0 for a free one") from error
    return listener
