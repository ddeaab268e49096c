"""The commands that ask a running sidecar: `python -m bridge models` and `python -m bridge call`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from bridge.access import ADMIN_SERVICE, ADMIN_TOKEN_VARIABLE, TOKEN_VARIABLE, TokenError, read_token
from bridge.client import Client, ClientError, client_error
from bridge.client_channel import ClientTls
from bridge.config import CallConfig, ModelsConfig
from bridge.services import admin, family_modules, kserve
from bridge.services import model as model_service
from bridge.v1 import model_service_pb2


def models(config: ModelsConfig) -> int:
    """Print a line a bundle: name, version, family, state, and provider or the reason of a refusal."""
    try:
        token = read_token(config.token_file, TOKEN_VARIABLE)
        with Client(config.address, timeout=config.timeout, token=token, tls=_tls(config)) as client:
            for model in client.models():
                state = model_service_pb2.ModelState.Name(model.state).removeprefix("MODEL_STATE_").lower()
                print(f"{model.name}\t{model.version}\t{model.family}\t{state}\t{model.provider or model.reason}")
    except (TokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ClientError as error:
        return _explain(error, config.address)
    return 0


def call(config: CallConfig) -> int:
    """Call a method with a JSON request; print the answer, or for a stream one answer a line, as JSON."""
    method = _method(config.method)
    if method is None:
        print(f'error: there is no method "{config.method}", there are {sorted(_methods())}', file=sys.stderr)
        return 2
    try:
        request = json_format.Parse(_text(config.data), GetMessageClass(method.input_type)())
    except (json_format.ParseError, OSError, UnicodeDecodeError) as error:
        print(f"error: --data is not a {method.input_type.full_name}: {error}", file=sys.stderr)
        return 2
    variable = ADMIN_TOKEN_VARIABLE if method.containing_service.full_name == ADMIN_SERVICE else TOKEN_VARIABLE
    try:
        client = Client(config.address, token=read_token(config.token_file, variable), tls=_tls(config))
    except (TokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with client:
        try:
            for answer in _answers(client, method, request, config.timeout):
                indent = None if method.server_streaming else 2
                print(json_format.MessageToJson(answer, preserving_proto_field_name=True, indent=indent))
        except grpc.RpcError as error:
            return _explain(client_error(error), config.address)
    return 0


def _tls(config: ModelsConfig | CallConfig) -> ClientTls | None:
    return ClientTls(config.tls_ca, config.tls_cert, config.tls_key) if config.tls_ca else None


def _answers(client: Client, method: MethodDescriptor, request: Any, timeout: float) -> Any:
    path = f"/{method.containing_service.full_name}/{method.name}"
    parse = GetMessageClass(method.output_type).FromString
    if method.server_streaming:
        return client.channel.unary_stream(path, type(request).SerializeToString, parse)(request, timeout=timeout)
    return [client.channel.unary_unary(path, type(request).SerializeToString, parse)(request, timeout=timeout)]


def _methods() -> dict[str, MethodDescriptor]:
    descriptors = [
        admin.DESCRIPTOR,
        kserve.DESCRIPTOR,
        model_service.DESCRIPTOR,
        *(module.DESCRIPTOR for module in family_modules().values()),
    ]
    return {f"{service.name}/{method.name}": method for service in descriptors for method in service.methods}


def _method(name: str) -> MethodDescriptor | None:
    return _methods().get(name.removeprefix("/").removeprefix("bridge.v1."))


def _text(data: str) -> str:
    if data == "-":
        return sys.stdin.read()
    return Path(data[1:]).read_text("utf-8") if data.startswith("@") else data


def _explain(error: ClientError, address: str) -> int:
    if error.code is grpc.StatusCode.UNAVAILABLE:
        print(f"error: no sidecar answers at {address}; start one with python -m bridge serve", file=sys.stderr)
    else:
        print(f"error: {error}", file=sys.stderr)
    return 1
