"""Servers while they are measured: started, waited for, called by a client program, ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers import environments
from bench.peers.environments import PeerError, interpreter
from bench.peers.peers import Peer
from bench.peers.process_tree import process_tree
from bench.peers.target import PROGRAMS, Target
from bench.processes import sidecar

START_SECONDS = 180.0
"""In which a server has to give its first answer."""
ANSWER_SECONDS = 90.0
"""That a client program may need beside the seconds of its measurement: for its start, its connections and its last calls."""


@dataclass(frozen=True)
class Server:
    """A server that can be measured: its name in the results, what travels, its client program, and how it is opened.

    `open` yields the client's Python and the server's address; the server answers by then. `PeerError` where it does not.
    """

    name: str
    wire: str
    client: str
    open: Callable[[Target], AbstractContextManager[tuple[Path, str]]]


def sidecars(workers: int) -> list[Server]:
    """Return both ports of the sidecar with so many workers."""
    suffix = f", {workers} workers" if workers > 1 else ""
    return [
        Server(f"Metabridge{suffix}", "gRPC", "sidecar_grpc_client.py", partial(_sidecar, workers, False)),
        Server(f"Metabridge, web port{suffix}", "Connect", "sidecar_web_client.py", partial(_sidecar, workers, True)),
    ]


def peer_server(peer: Peer) -> Server:
    """Return a peer as a server that can be measured."""
    return Server(peer.name, peer.wire, peer.client, partial(_peer, peer))


@contextlib.contextmanager
def _sidecar(workers: int, web: bool, target: Target) -> Iterator[tuple[Path, str]]:
    """Run a sidecar that serves the policy and nothing else, as the peers do."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(target.models / target.name, Path(folder, target.name))
        with sidecar(Path(folder), "--workers", str(workers)) as process:
            yield Path(sys.executable), process.web.removeprefix("http://") if web else process.address


@contextlib.contextmanager
def _peer(peer: Peer, target: Target) -> Iterator[tuple[Path, str]]:
    python = interpreter(peer.short, peer.environment)
    port, other_port = _free_ports(2)
    program, *arguments = (part.format(port=port, other_port=other_port) for part in peer.server)
    command = [str(python.with_name(program)), *arguments]
    variables = target.variables() | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    log = environments.CACHE / f"{peer.short}.log"
    with _scratch() as scratch, process_tree(command, variables | scratch, log, PROGRAMS) as process:
        try:
            _wait(process, port, lambda: ask(python, peer.client, f"127.0.0.1:{port}", 1, 0.1, target))
        except PeerError as error:
            raise PeerError(f"{peer.name} does not serve: {error}; its log {log} ends with {_end_of(log)!r}") from error
        yield python, f"127.0.0.1:{port}"


@contextlib.contextmanager
def _scratch() -> Iterator[dict[str, str]]:
    """Yield the variables that keep what a server writes in a folder that is removed when the block ends."""
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        yield dict.fromkeys(("TMPDIR", "RAY_TMPDIR", "PYTRITON_HOME", "BENTOML_HOME"), folder)


def ask(python: Path, client: str, address: str, clients: int, seconds: float, target: Target) -> dict[str, Any]:
    """Run a client program; return the milliseconds of its calls and the seconds they took. `PeerError` where calls fail."""
    command = [str(python), str(PROGRAMS / client), address, str(clients), str(seconds)]
    limit = seconds + ANSWER_SECONDS
    try:
        done = subprocess.run(command, env=target.variables(), capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{client} with {clients} clients did not end within {limit:g} s") from error
    if done.returncode:
        raise PeerError(f"{client} ended with {done.returncode}: {(done.stderr.splitlines() or [''])[-1][:300]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["errors"]:
        raise PeerError(f"{client} with {clients} clients: {result['errors'][0]}")
    if not result["ms"]:
        raise PeerError(f"{client} with {clients} clients: no call was answered within {seconds:g} s")
    return result


def _wait(process: subprocess.Popen[bytes], port: int, call: Callable[[], object]) -> None:
    """Wait until a server's port is open and a call is answered; `PeerError` when it has ended or its time is up."""
    end = time.monotonic() + START_SECONDS
    reason = f"nothing listens on its port {port}"
    while time.monotonic() < end:
        if process.poll() is not None:
            raise PeerError(f"it ended with {process.returncode}")
        if _open(port):
            try:
                call()
            except PeerError as error:
                reason = str(error)
            else:
                return
        time.sleep(0.2)
    raise PeerError(f"{reason} after {START_SECONDS:g} s")


def _open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _end_of(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return (lines or [""])[-1].strip()[:200]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
