#!/usr/bin/env python3
"""protoc plug-in: one C# class `<Service>Client` a service, over the package's `ITransport`.

`protoc --plugin=protoc-gen-metabridge=THIS_FILE --metabridge_out=OUT ...`; needs the Python package protobuf. Unary calls
return a task, server streams take a callback whose task is awaited before more is read, streams both ways are calls to write
to and read from; a file with the fourth kind of call is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto

SERVICE_FIELD = 6
METHOD_FIELD = 2


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Return one C# file for each service of the files to generate, or an error that names the unsupported call."""
    response = plugin_pb2.CodeGeneratorResponse()
    response.supported_features = plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    names = {f".{file.package}.{message.name}": message.name for file in request.proto_file for message in file.message_type}
    for file in request.proto_file:
        if file.name not in request.file_to_generate:
            continue
        for index, service in enumerate(file.service):
            streaming = [method.name for method in service.method if method.client_streaming and not method.server_streaming]
            if streaming:
                response.error = f"{file.name}: {service.name}.{streaming[0]} streams from the client, which is not supported"
                return response
            lines = client_class(file, index, service, names)
            response.file.add(name=f"{service.name}Client.cs", content="\n".join(lines) + "\n")
    return response


def client_class(
    file: FileDescriptorProto, index: int, service: ServiceDescriptorProto, names: dict[str, str]
) -> Iterator[str]:
    """Yield the lines of one client class."""
    yield f"// Generated from {file.name} by proto/protoc_gen_metabridge_csharp.py; never edited."
    yield "using System;"
    yield "using System.Threading.Tasks;"
    yield "using Metabridge.Transport;"
    yield ""
    yield f"namespace {file.options.csharp_namespace}"
    yield "{"
    yield from summary(file, (SERVICE_FIELD, index), 4)
    yield f"    public sealed class {service.name}Client"
    yield "    {"
    for method in service.method:
        yield from descriptor(f"{file.package}.{service.name}", method, names)
    yield "        readonly ITransport transport;"
    yield ""
    yield "        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>"
    yield f"        public {service.name}Client(ITransport transport)"
    yield "        {"
    yield "            this.transport = transport;"
    yield "        }"
    for position, method in enumerate(service.method):
        yield ""
        yield from summary(file, (SERVICE_FIELD, index, METHOD_FIELD, position), 8)
        yield from call(method, names)
    yield "    }"
    yield "}"


def descriptor(service: str, method: MethodDescriptorProto, names: dict[str, str]) -> Iterator[str]:
    """Yield the static description of one method: its path and the parser of its answers."""
    kind = f"Method<{names[method.input_type]}, {names[method.output_type]}>"
    yield f"        static readonly {kind} {method.name}Method ="
    yield f'            new {kind}("/{service}/{method.name}", {names[method.output_type]}.Parser);'
    yield ""


def call(method: MethodDescriptorProto, names: dict[str, str]) -> Iterator[str]:
    """Yield one call: a task of the answer, a task that ends with the stream, or a call that goes both ways."""
    request, answer = names[method.input_type], names[method.output_type]
    if method.client_streaming:
        yield f"        public IDuplexCall<{request}, {answer}> {method.name}(CallOptions options = default)"
        inner = f"transport.Duplex({method.name}Method, options);"
    elif method.server_streaming:
        arguments = f"{request} request, Func<{answer}, Task> onMessage, CallOptions options = default"
        yield f"        public Task {method.name}Async({arguments})"
        inner = f"transport.ServerStreamAsync({method.name}Method, request, onMessage, options);"
    else:
        yield f"        public Task<{answer}> {method.name}Async({request} request, CallOptions options = default)"
        inner = f"transport.UnaryAsync({method.name}Method, request, options);"
    yield "        {"
    yield f"            return {inner}"
    yield "        }"


def summary(file: FileDescriptorProto, path: tuple[int, ...], indent: int) -> Iterator[str]:
    """Yield the proto file's comment at a path of its source info as a C# documentation comment."""
    for location in file.source_code_info.location:
        if tuple(location.path) != path or not location.leading_comments.strip():
            continue
        text = location.leading_comments.replace("&", "&amp;").replace("<", "&lt;")
        yield " " * indent + "/// <summary>"
        yield from (" " * indent + f"/// {line.strip()}" for line in text.strip().splitlines())
        yield " " * indent + "/// </summary>"


def main() -> None:
    """Answer the request on standard input on standard output, as protoc's plug-in protocol has it."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(request).SerializeToString())


if __name__ == "__main__":
    main()
