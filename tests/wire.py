"""The sidecar's three protocols as bytes in and bytes out, so that a test can send what no client would."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

import grpc
import httpx
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

PROTOCOLS = ("grpc", "grpc-web", "connect")
TIMEOUT_S = 60.0


@dataclass
class Answer:
    """What came back: the code's name, `OK` for success, the messages, and the details of an error."""

    code: str
    messages: list[bytes] = field(default_factory=list)
    text: str = ""
    details: Status = field(default_factory=Status)

    @property
    def message(self) -> bytes:
        """Return the only message of a unary answer."""
        assert self.code == "OK", (self.code, self.text)
        (only,) = self.messages
        return only

    @property
    def fields(self) -> list[str]:
        """Return the paths of the fields at fault."""
        return [v.field for detail in self._unpacked(BadRequest) for v in detail.field_violations]

    @property
    def reasons(self) -> list[str]:
        """Return the reasons of the ErrorInfo details."""
        return [detail.reason for detail in self._unpacked(ErrorInfo)]

    @property
    def retries(self) -> list[float]:
        """Return the seconds of the RetryInfo details."""
        return [detail.retry_delay.ToMilliseconds() / 1000 for detail in self._unpacked(RetryInfo)]

    def _unpacked(self, kind: type) -> Iterator:
        for detail in self.details.details:
            message = kind()
            if detail.Unpack(message):
                yield message


class Wire:
    """One protocol to one sidecar; `call` sends a method's bytes and returns the answer, whatever it is."""

    def __init__(self, protocol: str, address: str, web: str) -> None:
        self.protocol = protocol
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1)]
        )
        self._http = httpx.Client(base_url=web, timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()
        self._http.close()

    def call(self, method: str, data: bytes, *, stream: bool = False, timeout_s: float | None = None) -> Answer:
        """Call `package.Service/Method`; `timeout_s` is sent as the call's deadline."""
        if self.protocol == "grpc":
            return self._grpc(method, data, stream, timeout_s)
        if self.protocol == "grpc-web" or stream:
            return self._enveloped(method, data, timeout_s)
        return self._connect(method, data, timeout_s)

    def _grpc(self, method: str, data: bytes, stream: bool, timeout_s: float | None) -> Answer:
        try:
            if stream:
                return Answer("OK", list(self._channel.unary_stream(f"/{method}")(data, timeout=timeout_s or TIMEOUT_S)))
            return Answer("OK", [self._channel.unary_unary(f"/{method}")(data, timeout=timeout_s or TIMEOUT_S)])
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            return Answer(error.code().name, text=error.details(), details=Status.FromString(details))

    def _enveloped(self, method: str, data: bytes, timeout_s: float | None) -> Answer:
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        if timeout_s is not None:
            headers["grpc-timeout"] = f"{round(timeout_s * 1000)}m"
        response = self._http.post(f"/{method}", content=struct.pack(">BI", 0, len(data)) + data, headers=headers)
        assert response.status_code == 200, response.text
        messages, trailers = [], {}
        for flags, part in _envelopes(response.content):
            if flags & 0x80:
                trailers = _trailers(part)
            else:
                messages.append(part)
        code = _CODES[int(trailers["grpc-status"])]
        details = Status.FromString(_unpadded(trailers.get("grpc-status-details-bin", "")))
        return Answer(code, messages, unquote(trailers.get("grpc-message", "")), details)

    def _connect(self, method: str, data: bytes, timeout_s: float | None) -> Answer:
        headers = {"content-type": "application/proto", "connect-protocol-version": "1"}
        if timeout_s is not None:
            headers["connect-timeout-ms"] = str(round(timeout_s * 1000))
        response = self._http.post(f"/{method}", content=data, headers=headers)
        if response.status_code == 200:
            return Answer("OK", [response.content])
        return connect_error(response.content)


def connect_error(body: bytes) -> Answer:
    """Read the JSON body of a failed Connect call."""
    error = json.loads(body)
    status = Status()
    for detail in error.get("details", []):
        status.details.add(type_url="type.googleapis.com/" + detail["type"], value=_unpadded(detail["value"]))
    code = error["code"].upper()
    return Answer("CANCELLED" if code == "CANCELED" else code, text=error.get("message", ""), details=status)


@contextlib.contextmanager
def open_wire(protocol: str, address: str, web: str) -> Iterator[Wire]:
    """Connect, and close at the end."""
    wire = Wire(protocol, address, web)
    try:
        yield wire
    finally:
        wire.close()


def enveloped_answer(protocol: str, headers: dict[str, str], content: bytes) -> tuple[str, str]:
    """Return the code and the text at the end of an answer in envelopes, of gRPC-Web or of a Connect stream."""
    end = [(flags, part) for flags, part in _envelopes(content) if flags & 0x82]
    if protocol == "grpc-web":
        fields = _trailers(end[-1][1]) if end else {name.lower(): value for name, value in headers.items()}
        return _CODES[int(fields["grpc-status"])], unquote(fields.get("grpc-message", ""))
    error = json.loads(end[-1][1] or b"{}").get("error")
    if not error:
        return "OK", ""
    answer = connect_error(json.dumps(error).encode())
    return answer.code, answer.text


_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def _envelopes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the flags and the contents of each envelope, unpacked: trailers come as gzip too where it was asked for."""
    start = 0
    while start < len(data):
        flags, size = struct.unpack_from(">BI", data, start)
        part = data[start + 5 : start + 5 + size]
        yield flags, gzip.decompress(part) if flags & 0x01 else part
        start += 5 + size
    assert start == len(data)


def _trailers(part: bytes) -> dict[str, str]:
    lines = (line.split(":", 1) for line in part.decode("ascii").split("\r\n") if line)
    return {name.strip().lower(): value.strip() for name, value in lines}


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
