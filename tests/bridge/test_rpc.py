"""The gRPC edge: bytes that do not parse, unknown methods, the limits of a message, and callers that are gone."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire import open_wire

from bridge.calls import Calls
from bridge.errors import InvalidArgument
from bridge.rpc import _duplex, _stream, parse
from bridge.services import family_modules, kserve
from bridge.services import model as model_service
from bridge.v1 import avatar_service_pb2, environment_service_pb2
from bridge.v1 import npc_service_pb2 as pb

DESCRIPTORS = [model_service.DESCRIPTOR, kserve.DESCRIPTOR, *(module.DESCRIPTOR for module in family_modules().values())]
METHODS = [(f"{service.full_name}/{method.name}", method) for service in DESCRIPTORS for method in service.methods]
HEALTH = ("grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch")
REFLECTION = tuple(f"grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha"))


@pytest.fixture
def wire(sidecar):
    """gRPC to the sidecar."""
    with open_wire("grpc", sidecar.address, sidecar.web) as opened:
        yield opened


@pytest.mark.parametrize(("name", "method"), METHODS, ids=[name for name, _ in METHODS])
def test_bytes_that_do_not_parse_are_refused_by_every_method(wire, name, method):
    answer = wire.call(name, b"\xff\xff\xff", stream=method.server_streaming)
    assert (answer.code, answer.reasons) == ("INVALID_ARGUMENT", ["INVALID_ARGUMENT"])
    assert f"3 bytes are not a {method.input_type.full_name}" in answer.text


@pytest.mark.parametrize("name", HEALTH)
def test_bytes_that_do_not_parse_are_refused_by_health_too(wire, name):
    assert wire.call(name, b"\xff\xff\xff", stream=name.endswith("Watch")).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("name", REFLECTION)
def test_bytes_that_do_not_parse_are_refused_by_reflection_too(wire, name):
    with pytest.raises(grpc.RpcError) as caught:
        list(wire._channel.stream_stream(f"/{name}")(iter([b"\xff\xff\xff"]), timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from([name for name, method in METHODS if not method.server_streaming]))
def test_no_bytes_make_any_method_unknown_or_internal(wire, data, name):
    assert wire.call(name, data).code not in ("UNKNOWN", "INTERNAL")


@given(st.binary(max_size=60))
def test_parsing_gives_the_message_or_invalid_argument(data):
    method = pb.DESCRIPTOR.services_by_name["NpcService"].methods_by_name["ChooseActions"]
    try:
        expected = pb.ChooseActionsRequest.FromString(data)
    except DecodeError:
        with pytest.raises(InvalidArgument, match=f"{len(data)} bytes are not a"):
            parse(data, method)
    else:
        assert parse(data, method) == expected


@pytest.mark.parametrize("name", ["bridge.v1.NpcService/Nothing", "bridge.v2.NpcService/ChooseActions", "x/y"])
def test_a_method_that_is_not_there_is_unimplemented(wire, name):
    assert wire.call(name, b"").code == "UNIMPLEMENTED"


def test_a_request_over_4_mib_is_refused_and_one_below_is_read(wire):
    name = "bridge.v1.ModelService/ListModels"
    assert wire.call(name, b"\x0a\x80\x80\x80\x02" + b"a" * (4 << 20)).code == "RESOURCE_EXHAUSTED"
    assert wire.call(name, b"\x0a\x80\x80\xc0\x01" + b"a" * (3 << 20)).code == "OK"


class Gone:
    """gRPC's context of a call whose connection was cut: a write fails, and nothing else may be asked of it."""

    def invocation_metadata(self):
        return ()

    def time_remaining(self):
        return None

    async def read(self):
        return b""

    async def write(self, data):
        raise grpc.aio.InternalError(f"{len(data)} bytes were not sent")


@pytest.mark.parametrize(
    ("edge", "service", "name"),
    [
        (_stream, avatar_service_pb2.DESCRIPTOR.services_by_name["AvatarService"], "StreamAvatars"),
        (_duplex, environment_service_pb2.DESCRIPTOR.services_by_name["EnvironmentService"], "OfferEnvironment"),
    ],
    ids=["stream", "duplex"],
)
def test_a_stream_whose_caller_is_gone_is_cancelled_without_a_word_in_the_log(edge, service, name, caplog):
    ended, closed = [], []

    async def answers(request):
        try:
            while True:
                yield pb.ChooseActionsResponse()
        finally:
            closed.append(name)

    calls = Calls(observers=(ended.append,))
    call = edge(service.methods_by_name[name], answers, calls)
    with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError):
        asyncio.run(call(None, Gone()))
    assert closed == [name]
    assert [each.code for each in ended] == [grpc.StatusCode.CANCELLED]
    assert calls.places._taken == 0
    assert caplog.messages == []
