"""The committed C# is what the generators make of proto/."""

from __future__ import annotations

import sys
from pathlib import Path

import generate
import pytest
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto

sys.path.append(str(generate.PROTO))
import protoc_gen_metabridge_csharp as plugin


def test_the_committed_csharp_is_byte_for_byte_what_proto_gives(generated: Path) -> None:
    fresh = {path.name: path.read_bytes() for path in generated.glob("*.cs")}
    committed = {path.name: path.read_bytes() for path in generate.GENERATED.glob("*.cs")}
    assert sorted(fresh) == sorted(committed)
    different = [name for name in fresh if fresh[name] != committed[name]]
    assert not different, f"{different} differ; run python unity_sample/headless/generate.py"


def test_every_service_has_a_client(generated: Path) -> None:
    services = {path.stem for path in generate.PROTO.glob("bridge/v1/*_service.proto")}
    names = {name.removesuffix("_service").capitalize() for name in services}
    assert {path.name for path in generated.glob("*ServiceClient.cs")} == {f"{name}ServiceClient.cs" for name in names}


def test_a_call_that_streams_from_the_client_is_refused_by_name() -> None:
    method = MethodDescriptorProto(name="Talk", input_type=".a.M", output_type=".a.M", client_streaming=True)
    file = FileDescriptorProto(name="a.proto", package="a", service=[ServiceDescriptorProto(name="Radio", method=[method])])
    response = plugin.generate(CodeGeneratorRequest(file_to_generate=["a.proto"], proto_file=[file]))
    assert response.error == "a.proto: Radio.Talk streams from the client, which is not supported"
    assert not response.file


def test_a_call_that_streams_both_ways_is_one_to_write_to_and_read_from() -> None:
    method = MethodDescriptorProto(
        name="Talk", input_type=".a.M", output_type=".a.N", client_streaming=True, server_streaming=True
    )
    file = FileDescriptorProto(name="a.proto", package="a", service=[ServiceDescriptorProto(name="Radio", method=[method])])
    file.message_type.add(name="M")
    file.message_type.add(name="N")
    file.options.csharp_namespace = "A"
    content = plugin.generate(CodeGeneratorRequest(file_to_generate=["a.proto"], proto_file=[file])).file[0].content
    assert "public IDuplexCall<M, N> Talk(CallOptions options = default)" in content


@pytest.mark.parametrize("streams", [False, True])
def test_a_comment_becomes_documentation(streams: bool) -> None:
    method = MethodDescriptorProto(name="Ask", input_type=".a.M", output_type=".a.M", server_streaming=streams)
    file = FileDescriptorProto(name="a.proto", package="a", service=[ServiceDescriptorProto(name="Radio", method=[method])])
    file.message_type.add(name="M")
    file.options.csharp_namespace = "A"
    file.source_code_info.location.add(path=[6, 0, 2, 0], leading_comments=" Asks <once> & waits.\n")
    content = plugin.generate(CodeGeneratorRequest(file_to_generate=["a.proto"], proto_file=[file])).file[0].content
    assert "/// Asks &lt;once> &amp; waits." in content
    assert ("Func<M, Task> onMessage" in content) is streams
