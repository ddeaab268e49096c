"""Spoilt messages for every method of the sidecar, sent to a real one over every protocol, and what came back."""

from __future__ import annotations

import random
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import numpy as np
from conftest import LiveSidecar
from family_cases import CASES, WRITERS
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from mutations import mutate, mutate_json
from wire import connect_error, enveloped_answer

from bridge.kserve import inference_pb2
from bridge.v1 import admin_service_pb2, model_service_pb2, npc_service_pb2
from bridge.v1.model_service_pb2 import ModelSelector

ADMIN_TOKEN = "fuzzing-admin-token"
EDGES = ("grpc", "grpc-web", "connect", "json")
SECONDS = 2.0
OPTIONS = ("--limits.max-avatars", "4", "--limits.max-frames", "40", "--limits.max-tiles", "4", "--watch-seconds", "0")
SPARE = "spare"
BEYOND = ("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Services that the gRPC port alone has."""


@dataclass(frozen=True)
class Target:
    """A method, good requests for it, and how many messages of its stream are read before it is cancelled; 0 for no stream."""

    method: str
    seeds: tuple[Message, ...]
    stream: int = 0

    @property
    def edges(self) -> tuple[str, ...]:
        """Return the protocols that it can be called by."""
        return ("grpc",) if self.method.split("/")[0] in BEYOND else EDGES


@dataclass
class Tally:
    """Answers by edge and code, and the answers that no message may cause, each with what repeats it."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what another found."""
        self.codes += other.codes
        self.wrong += other.wrong


def write_models(models: Path) -> None:
    """Write a good bundle of each family, called as the family, and one that admin calls may take away."""
    for family, write in WRITERS.items():
        write(models, family, 1)
    WRITERS["npc"](models, SPARE, 1)
    (models / ".admin").write_text(ADMIN_TOKEN)


def targets() -> list[Target]:
    """Return every method of every service with good requests."""
    found = [Target(case.method, (case.request(1, 5), case.request(2, 9)), 6 if case.stream else 0) for case in CASES.values()]
    npc, spare = ModelSelector(name="npc"), ModelSelector(name=SPARE)
    infer = inference_pb2.ModelInferRequest(model_name="npc.policy")
    for name, datatype, array in (
        ("position", "FP32", np.ones((1, 3), "<f4")),
        ("noise", "FP32", np.ones((1, 7), "<f4")),
        ("action_mask", "BOOL", np.ones((1, 5), "?")),
    ):
        infer.inputs.add(name=name, datatype=datatype, shape=array.shape)
        infer.raw_input_contents.append(array.tobytes())
    by_name = {
        "bridge.v1.NpcService/DescribePolicy": npc_service_pb2.DescribePolicyRequest(model=npc),
        "bridge.v1.NpcService/EndSession": npc_service_pb2.EndSessionRequest(session_id="fuzz"),
        "bridge.v1.ModelService/ListModels": model_service_pb2.ListModelsRequest(family="npc"),
        "bridge.v1.ModelService/GetModel": model_service_pb2.GetModelRequest(model=npc),
        "bridge.v1.AdminService/ReloadModels": admin_service_pb2.ReloadModelsRequest(),
        "bridge.v1.AdminService/LoadModel": admin_service_pb2.LoadModelRequest(model=spare),
        "bridge.v1.AdminService/UnloadModel": admin_service_pb2.UnloadModelRequest(model=spare),
        "inference.GRPCInferenceService/ServerLive": inference_pb2.ServerLiveRequest(),
        "inference.GRPCInferenceService/ServerReady": inference_pb2.ServerReadyRequest(),
        "inference.GRPCInferenceService/ServerMetadata": inference_pb2.ServerMetadataRequest(),
        "inference.GRPCInferenceService/ModelReady": inference_pb2.ModelReadyRequest(name="npc.policy", version="1"),
        "inference.GRPCInferenceService/ModelMetadata": inference_pb2.ModelMetadataRequest(name="npc.policy", version="1"),
        "inference.GRPCInferenceService/ModelInfer": infer,
        "inference.GRPCInferenceService/RepositoryIndex": inference_pb2.RepositoryIndexRequest(ready=True),
        "grpc.health.v1.Health/Check": health_pb2.HealthCheckRequest(service="bridge.v1.NpcService"),
    }
    found += [Target(method, (request,)) for method, request in by_name.items()]
    reflection = reflection_pb2.ServerReflectionRequest(file_containing_symbol="bridge.v1.NpcService")
    found += [Target(f"{service}/ServerReflectionInfo", (reflection,), 1) for service in BEYOND[1:]]
    found.append(Target(f"{BEYOND[0]}/Watch", (health_pb2.HealthCheckRequest(service="bridge.v1.NpcService"),), 1))
    return found


def fuzz(live: LiveSidecar, count: int, seed: int = 0, threads: int = 4) -> Tally:
    """Send `count` spoilt messages, the same for the same seed, and return what came back."""
    tally, lock = Tally(), threading.Lock()

    def work(start: int) -> None:
        own = Tally()
        with ExitStack() as stack:
            sender = stack.enter_context(Sender(live))
            for number in range(start, count, threads):
                sender.send(seed, number, own)
        with lock:
            tally.add(own)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return tally


class Sender:
    """Connections to one sidecar over all protocols."""

    def __init__(self, live: LiveSidecar) -> None:
        self._live = live
        self._targets = targets()
        self._channel = grpc.insecure_channel(
            live.address, [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        )
        self._http = self._connect()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._http.close()

    def _connect(self) -> HTTPConnection:
        parts = urlsplit(self._live.web)
        return HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def send(self, seed: int, number: int, tally: Tally) -> None:
        """Send the message of a number and count its answer."""
        rng = random.Random(f"{seed} {number}")
        target = rng.choice(self._targets)
        edge = rng.choice(target.edges)
        request = rng.choice(target.seeds)
        kind, data = ("json", mutate_json(request, rng)) if edge == "json" else mutate(request, rng)
        code, text = self._grpc(target, data, rng) if edge == "grpc" else self._web(target, edge, data, rng)
        tally.codes[edge, code] += 1
        if code in ("UNKNOWN", "INTERNAL", "UNAVAILABLE", "LOST"):
            tally.wrong.append(f"{number}: {edge} {target.method} {kind} -> {code} {text[:300]}; {data[:200].hex()}")

    def _grpc(self, target: Target, data: bytes, rng: random.Random) -> tuple[str, str]:
        metadata = tuple({"authorization": f"Bearer {ADMIN_TOKEN}", **odd_header(rng)}.items())
        try:
            if target.stream:
                call = self._channel.stream_stream(f"/{target.method}")(iter([data]), timeout=SECONDS, metadata=metadata)
                got = len(list(islice(call, target.stream)))
                if got == target.stream:
                    call.cancel()
            else:
                self._channel.unary_unary(f"/{target.method}")(data, timeout=SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            Status.FromString(details)
            return error.code().name, error.details() or ""
        return "OK", ""

    def _web(self, target: Target, edge: str, data: bytes, rng: random.Random) -> tuple[str, str]:
        enveloped = edge == "grpc-web" or target.stream
        codec = "json" if edge == "json" else "proto"
        kinds = {"grpc-web": f"application/grpc-web+{codec}"}
        content_type = kinds.get(edge, f"application/connect+{codec}" if enveloped else f"application/{codec}")
        headers = {"content-type": content_type, "authorization": f"Bearer {ADMIN_TOKEN}", "host": "localhost"}
        milliseconds = "2000" if rng.random() < 0.9 else rng.choice(TIMES)
        headers |= {"grpc-timeout": f"{milliseconds}m"} if edge == "grpc-web" else {"connect-timeout-ms": milliseconds}
        headers |= odd_header(rng)
        if rng.random() < 0.03:
            headers |= {rng.choice(ENCODING_HEADERS): rng.choice(("gzip", "br", "identity", "", "x" * 300))}
        body = envelope(data, rng) if enveloped else data
        problem = ""
        for _ in range(2):  # the sidecar closes a connection that was idle for a while, which shows when it is used again
            try:
                self._http.request("POST", f"/{target.method}", body, headers)
                answer = self._http.getresponse()
                return read(edge, enveloped, answer.status, dict(answer.getheaders()), answer.read())
            except (OSError, HTTPException) as error:
                problem = repr(error)
                self._http.close()
                self._http = self._connect()
        return "LOST", problem


TIMES = ("1", "0", "-1", "99999999999999999999", "soon", "")


ENCODING_HEADERS = ("content-encoding", "accept-encoding", "grpc-encoding", "grpc-accept-encoding", "connect-content-encoding")
ODD_HEADERS = ("x-request-id", "traceparent", "authorization", "x-unheard-of", "grpc-previous-rpc-attempts")


def odd_header(rng: random.Random) -> dict[str, str]:
    """Return a header with a value that is none, for one call in ten."""
    if rng.random() < 0.9:
        return {}
    return {
        rng.choice(ODD_HEADERS): rng.choice(("", " ", "Bearer", "00-" + "f" * 32 + "-" + "0" * 16 + "-01", "%00", "~" * 2000))
    }


def envelope(data: bytes, rng: random.Random) -> bytes:
    """Put a message in an envelope, which is spoilt itself now and then."""
    act = rng.random()
    if act < 0.85:
        return struct.pack(">BI", 0, len(data)) + data
    flags, length = rng.choice((0, 1, 2, 128, 255)), rng.choice((0, 1, len(data) + 1, 2**32 - 1, 5 << 20))
    return (struct.pack(">BI", flags, length) + data)[: rng.choice((3, 5, None))]


def read(edge: str, enveloped: bool, status: int, headers: dict[str, str], content: bytes) -> tuple[str, str]:
    """Return the code and the text of a web answer."""
    if status != 200:
        if not content.startswith(b"{"):
            return f"HTTP {status}", content.decode("latin-1")
        error = connect_error(content)
        return error.code, error.text
    return enveloped_answer(edge, headers, content) if enveloped else ("OK", "")


def by_code(tally: Tally) -> Iterator[tuple[str, list[int]]]:
    """Yield each code with its answers on every edge, the most frequent first."""
    totals: Counter[str] = Counter()
    for (_, code), count in tally.codes.items():
        totals[code] += count
    for code, _ in totals.most_common():
        yield code, [tally.codes[edge, code] for edge in EDGES]
