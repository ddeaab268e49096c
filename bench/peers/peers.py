"""The servers that are compared: how each is installed, started and called, with the settings that it has by default."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers.environments import CACHE, Environment, PeerError, interpreter
from bench.processes import sidecar

PROGRAMS = Path(__file__).with_name("programs")
START_SECONDS, STOP_SECONDS = 120.0, 20.0


@dataclass(frozen=True)
class Peer:
    """A server: its name in the results, what travels, its environment, and its programs. `{port}` stands for a free port."""

    name: str
    wire: str
    environment: Environment
    server: tuple[str, ...]
    client: str


@dataclass(frozen=True)
class Target:
    """The policy that all serve: its file, its name, the width of its noise, and the models folder."""

    models: Path
    name: str
    path: Path
    noise: int

    def variables(self) -> dict[str, str]:
        """Return the environment of servers and clients: one thread a run, everywhere. `bridge` comes with our own Python."""
        settings = {"POLICY": str(self.path.resolve()), "POLICY_NAME": self.name, "POLICY_NOISE": str(self.noise)}
        return os.environ | settings | {"PYTHONPATH": str(PROGRAMS), "OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True"}


PEERS = (
    Peer(
        "PyTriton 0.7.0",
        "gRPC",
        Environment(("nvidia-pytriton==0.7.0", "onnxruntime"), "/usr/bin/python3.11"),
        ("python", "pytriton_server.py", "{port}"),
        "pytriton_client.py",
    ),
    Peer(
        "Ray Serve 2.60.0",
        "gRPC",
        Environment(("ray[serve]==2.60.0", "onnxruntime")),
        ("python", "ray_server.py", "{port}"),
        "ray_client.py",
    ),
    Peer(
        "BentoML 1.4.39",
        "gRPC",
        Environment(
            (
                "bentoml==1.4.39",
                *(f"grpcio{part}==1.71.2" for part in ("", "-reflection", "-health-checking", "-channelz")),
                "protobuf==5.29.6",
                "onnxruntime",
            )
        ),
        ("bentoml", "serve-grpc", "bentoml_service:svc", "--port", "{port}", "--host", "127.0.0.1", "--api-workers", "1"),
        "bentoml_client.py",
    ),
    Peer(
        "mosec 0.9.8",
        "HTTP",
        Environment(("mosec==0.9.8", "onnxruntime", "httpx")),
        ("python", "mosec_server.py", "--address", "127.0.0.1", "--port", "{port}", "--timeout", "30000"),
        "http_client.py",
    ),
    Peer(
        "LitServe 0.2.19",
        "HTTP",
        Environment(("litserve==0.2.19", "onnxruntime", "httpx")),
        ("python", "litserve_server.py", "{port}"),
        "json_client.py",
    ),
)


@contextlib.contextmanager
def running(peer: Peer, target: Target) -> Iterator[tuple[str, Path]]:
    """Run a peer until the block ends; yield its address and its environment's Python. `PeerError` where it does not serve."""
    python, port = interpreter(peer.name.split()[0].lower(), peer.environment), _free_port()
    program, *arguments = (part.format(port=port) for part in peer.server)
    command = [str(python.with_name(program)), *arguments]
    variables = target.variables() | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    with log_of(peer).open("w+") as log:
        process = subprocess.Popen(
            command, cwd=PROGRAMS, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield f"127.0.0.1:{port}", python
        finally:
            _end(process)


def log_of(peer: Peer) -> Path:
    """Return the file that a peer's server writes to."""
    return CACHE / f"{peer.name.split()[0].lower()}.log"


@contextlib.contextmanager
def sidecars(target: Target, workers: int) -> Iterator[tuple[str, str]]:
    """Run the sidecar; yield the addresses of its gRPC and its web port."""
    with sidecar(target.models, "--workers", str(workers)) as process:
        yield process.address, process.web.removeprefix("http://")


def ask(python: Path, client: str, address: str, clients: int, seconds: float, target: Target) -> dict[str, Any]:
    """Run a client program; return the milliseconds of its calls and the seconds they took. `PeerError` where calls fail."""
    command = [str(python), str(PROGRAMS / client), address, str(clients), str(seconds)]
    try:
        done = subprocess.run(
            command, env=target.variables(), capture_output=True, text=True, timeout=seconds + START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{client} with {clients} clients did not end") from error
    if done.returncode:
        raise PeerError(f"{client} ended with {done.returncode}: {(done.stderr.splitlines() or [''])[-1][:300]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["errors"]:
        raise PeerError(f"{client} with {clients} clients: {result['errors'][0]}")
    return result


def wait_until_it_answers(python: Path, peer: Peer, address: str, target: Target) -> None:
    """Call a peer until it answers; `PeerError` if it never does."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            ask(python, peer.client, address, 1, 0.1, target)
        except PeerError as error:
            if time.monotonic() > end:
                lines = log_of(peer).read_text(errors="replace").splitlines()
                raise PeerError(
                    f"{peer.name} does not serve: {error}; its log ends with {(lines or [''])[-1][:200]!r}"
                ) from error
            time.sleep(1)
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it started; one that does not end by itself is killed."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


OURS = Path(sys.executable)
