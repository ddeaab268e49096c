"""What all calls of Python's client share: the connection, its time limit, and errors as exceptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import grpc
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bridge.client_channel import ClientTls, open_channel
from bridge.rpc import DETAILS_KEY


class ClientError(RuntimeError):
    """A call that failed: gRPC's status code, the sidecar's message, and the path of the field at fault or empty."""

    def __init__(self, code: grpc.StatusCode, message: str, field: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.field = field


class Connection:
    """A channel to a sidecar; leaving its block closes it."""

    def __init__(self, address: str, *, timeout: float = 30.0, token: str = "", tls: ClientTls | None = None) -> None:
        self.channel = open_channel(address, token, tls)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.channel.close()

    def wait_until_serving(self, timeout: float = 30.0) -> None:
        """Return when the sidecar's health is SERVING; `TimeoutError` if that takes longer than `timeout` seconds."""
        stub = health_pb2_grpc.HealthStub(self.channel)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"the sidecar is not serving after {timeout:g} s; its log says why")

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise client_error(error) from error


def client_error(error: grpc.RpcError) -> ClientError:
    """Return the sidecar's error in a failed call, with the field path out of its google.rpc details."""
    call: Any = error
    fields = []
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY:
            for detail in Status.FromString(value).details:
                bad_request = BadRequest()
                if detail.Unpack(bad_request):
                    fields += [violation.field for violation in bad_request.field_violations]
    return ClientError(call.code(), call.details() or "", fields[0] if fields else "")


def messages(call: Any) -> Iterator[Any]:
    """Yield the messages of a stream; leaving the iteration ends the call."""
    try:
        yield from call
    except grpc.RpcError as error:
        raise client_error(error) from error
    finally:
        call.cancel()
