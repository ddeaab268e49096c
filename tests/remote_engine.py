"""An engine in Python that offers a tiny world to a trainer: report by report where it misbehaves, or played in a thread."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from wire import Wire

from bridge import tensors
from bridge.v1 import environment_service_pb2 as pb

STREAM_SECONDS = 600.0
LINKS = ("stream", "grpc", "grpc-web", "connect")
METHOD = "bridge.v1.EnvironmentService"
BOX, DISCRETE = pb.SPACE_KIND_BOX, pb.SPACE_KIND_DISCRETE
DONE, HEARTBEAT, OFFER, CLOSE = (getattr(pb, f"REPORT_KIND_{name}") for name in ("DONE", "HEARTBEAT", "OFFER", "CLOSE"))


class Refused(Exception):
    """A call that failed: gRPC's code, the message, the fields at fault."""

    def __init__(self, code: str, text: str, fields: list[str]) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text, self.fields = code, text, fields


class Stream:
    """One bidirectional call."""

    def __init__(self, address: str, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._reports: queue.Queue[bytes | None] = queue.Queue()
        method = self._channel.stream_stream(f"/{METHOD}/OfferEnvironment")
        self._call = method(iter(self._reports.get, None), timeout=STREAM_SECONDS, metadata=metadata)

    def send(self, data: bytes) -> pb.EnvironmentCommand:
        """Send a request's bytes and return the command that answers it."""
        self._reports.put(data)
        try:
            answer = next(self._call)
        except StopIteration:
            raise Refused("OK", "the trainer ended the stream", []) from None
        except grpc.RpcError as error:
            status = Status.FromString(dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b""))
            fields = []
            for detail in status.details:
                bad = BadRequest()
                if detail.Unpack(bad):
                    fields += [violation.field for violation in bad.field_violations]
            raise Refused(error.code().name, error.details(), fields) from None
        return pb.OfferEnvironmentResponse.FromString(answer).command

    def close(self) -> None:
        """Cut the connection without a word."""
        self._reports.put(None)
        self._call.cancel()
        self._channel.close()


class Exchange:
    """One call for each report."""

    def __init__(self, protocol: str, address: str, web: str) -> None:
        self._wire = Wire(protocol, address, web)

    def send(self, data: bytes) -> pb.EnvironmentCommand:
        """Send a request's bytes and return the command that answers it."""
        answer = self._wire.call(f"{METHOD}/ExchangeEnvironment", data)
        if answer.code != "OK":
            raise Refused(answer.code, answer.text, answer.fields)
        return pb.ExchangeEnvironmentResponse.FromString(answer.message).command

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()


def box_spec(rows: int = 2, shape: tuple[int, ...] = (3,), choices: int = 2, **settings: Any) -> pb.EnvironmentSpec:
    """Return an offer of numbers and one choice."""
    spec = pb.EnvironmentSpec(name="tiny", environments=rows, **settings)
    spec.observations.add(kind=BOX, shape=shape)
    spec.actions.add(kind=DISCRETE, choices=[choices])
    return spec


@dataclass
class World:
    """Rows that count their ticks: a row observes its seed, tick and last action, and ends after `length + row` ticks.

    The reward is 1 for action 1, else 0; rows whose number is odd terminate, the others are cut short.
    """

    rows: int = 2
    length: int = 4
    masked: bool = False
    seeds: Any = None
    ticks: Any = None
    actions: Any = None

    def __post_init__(self) -> None:
        self.seeds, self.ticks, self.actions = (np.zeros(self.rows, np.int64) for _ in range(3))

    @property
    def spec(self) -> pb.EnvironmentSpec:
        """The offer."""
        return box_spec(self.rows, mask_width=2 if self.masked else 0, tick_seconds=0.1)

    def observe(self) -> np.ndarray:
        """Return float32[rows, 3]."""
        return np.stack([self.seeds, self.ticks, self.actions], axis=1).astype(np.float32)

    def reset(self, command: pb.EnvironmentCommand) -> pb.EnvironmentReport:
        """Begin anew in the rows that are chosen."""
        chosen = np.array(command.chosen or [True] * self.rows)
        if command.is_seeded:
            self.seeds[chosen] = (command.seed + np.arange(self.rows))[chosen] % 1000
        self.ticks[chosen] = self.actions[chosen] = 0
        return self._report()

    def step(self, command: pb.EnvironmentCommand) -> pb.EnvironmentReport:
        """Act in every row."""
        self.actions = np.array(tensors.to_array(command.actions[0].tensor, "actions"))
        self.ticks += 1
        ended = self.ticks >= self.length + np.arange(self.rows)
        terminated = ended & (np.arange(self.rows) % 2 == 1)
        rewards, final = (self.actions == 1).astype(float), self.observe()[ended]
        self.ticks[ended] = self.actions[ended] = 0
        report = self._report()
        report.rewards.extend(rewards)
        report.terminated.extend(terminated.tolist())
        report.truncated.extend((ended & ~terminated).tolist())
        if ended.any():
            report.final_observations.extend(tensors.from_arrays({"observation": final}))
        report.infos.extend(tensors.from_arrays({"ticks": self.ticks.copy()}))
        return report

    def _report(self) -> pb.EnvironmentReport:
        report = pb.EnvironmentReport(kind=DONE, observations=tensors.from_arrays({"observation": self.observe()}))
        if self.masked:
            report.action_mask.CopyFrom(tensors.from_array(np.stack([self.ticks % 2 == 0, np.ones(self.rows, bool)], axis=1)))
        return report


@dataclass
class Engine:
    """What an engine knows: its connection and how to make another one, its token, the last command."""

    link: Any
    world: World
    anew: Callable[[], Any] = lambda: None
    token: str = ""
    sequence: int = 0
    commands: list[pb.EnvironmentCommand] = field(default_factory=list)

    def send(self, report: pb.EnvironmentReport) -> pb.EnvironmentCommand:
        """Send a report and return the command that answers it."""
        report.resume_token, report.sequence = report.resume_token or self.token, report.sequence or self.sequence
        request = pb.OfferEnvironmentRequest if isinstance(self.link, Stream) else pb.ExchangeEnvironmentRequest
        command = self.link.send(request(report=report).SerializeToString())
        self.token = command.resume_token or self.token
        self.sequence = max(self.sequence, command.sequence)
        self.commands.append(command)
        return command

    def offer(self, **settings: Any) -> pb.EnvironmentCommand:
        """Offer the world, again if there is a token."""
        return self.send(pb.EnvironmentReport(**{"kind": OFFER, "protocol_version": 1, "spec": self.world.spec} | settings))

    def heartbeat(self) -> pb.EnvironmentCommand:
        """Say that it is there."""
        return self.send(pb.EnvironmentReport(kind=HEARTBEAT))

    def next(self) -> pb.EnvironmentCommand:
        """Return the next command that is something to do, or the farewell."""
        while (command := self.heartbeat()).kind == pb.COMMAND_KIND_WAIT:
            pass
        return command

    def do(self, command: pb.EnvironmentCommand) -> pb.EnvironmentReport:
        """Return the report of a command."""
        return self.world.reset(command) if command.kind == pb.COMMAND_KIND_RESET else self.world.step(command)

    def play(
        self, change: Callable[[pb.EnvironmentReport, int], None] = lambda report, turn: None, turns: int = 1 << 30
    ) -> str:
        """Offer and do what the trainer says until it closes, at most so many turns; return its farewell.

        `change` may change each report before it is sent.
        """
        command = self.offer()
        for turn in range(turns):
            if command.kind == pb.COMMAND_KIND_CLOSE:
                return command.message
            if command.kind == pb.COMMAND_KIND_WAIT:
                command = self.heartbeat()
                continue
            report = self.do(command)
            change(report, turn)
            command = self.send(report)
        return ""


def connect(link: str, server: Any, world: World) -> Engine:
    """Return an engine that has not offered itself yet."""

    def open_link() -> Any:
        return Stream(server.address) if link == "stream" else Exchange(link, server.address, server.web)

    return Engine(open_link(), world, open_link)


@contextlib.contextmanager
def playing(link: str, server: Any, world: World, **how: Any) -> Iterator[Engine]:
    """Play a world in a thread until the trainer closes, or the block ends."""
    engine = connect(link, server, world)
    farewell: list[Any] = []

    def run() -> None:
        try:
            farewell.append(engine.play(**how))
        except Refused as error:
            farewell.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield engine
    finally:
        thread.join(STREAM_SECONDS)
        engine.link.close()
        assert not thread.is_alive()
        engine.farewell = farewell[0] if farewell else None
