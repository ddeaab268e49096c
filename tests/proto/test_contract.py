"""The contract's style: every part explained, families alike, and nothing that an engine's generator cannot hold."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from bridge.services import FAMILIES, family_modules
from bridge.v1 import model_service_pb2

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
NAMES = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.glob("bridge/v1/*.proto"))
MESSAGE, NESTED, ENUM, SERVICE, FIELD, VALUE, METHOD = 4, 3, 5, 6, 2, 2, 2


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, FileDescriptorProto]:
    """The contract with its comments, by file."""
    out = tmp_path_factory.mktemp("descriptors") / "contract.binpb"
    command = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    assert command, "buf is not there: pip install buf-bin"
    subprocess.run([command, "build", "-o", out], cwd=ROOT, check=True, timeout=120)
    return {file.name: file for file in FileDescriptorSet.FromString(out.read_bytes()).file if file.name in NAMES}


def parts(file):
    """Yield path, name and descriptor of every message, field, enum, value, service and method."""
    for i, message in enumerate(file.message_type):
        nested = [inner.name for inner in message.nested_type if not inner.options.map_entry]
        assert not nested, f"{message.name} nests {nested}"
        yield (MESSAGE, i), message.name, message
        for j, field in enumerate(message.field):
            yield (MESSAGE, i, FIELD, j), f"{message.name}.{field.name}", field
    for i, enum in enumerate(file.enum_type):
        yield (ENUM, i), enum.name, enum
        for j, value in enumerate(enum.value):
            yield (ENUM, i, VALUE, j), f"{enum.name}.{value.name}", value
    for i, service in enumerate(file.service):
        yield (SERVICE, i), service.name, service
        for j, method in enumerate(service.method):
            yield (SERVICE, i, METHOD, j), f"{service.name}.{method.name}", method


def test_every_part_has_a_comment_that_is_a_sentence(files):
    assert sorted(files) == NAMES
    for file in files.values():
        comments = {tuple(location.path): location.leading_comments.strip() for location in file.source_code_info.location}
        for path, name, _ in parts(file):
            assert comments.get(path, "").endswith((".", ":")), f"{file.name}: {name} has the comment {comments.get(path)!r}"


def test_every_enums_zero_is_unspecified(files):
    for file in files.values():
        for enum in file.enum_type:
            assert enum.value[0].number == 0
            assert enum.value[0].name.endswith("_UNSPECIFIED"), enum.name


def test_nothing_is_used_that_an_engines_generator_cannot_hold(files):
    for file in files.values():
        assert file.syntax == "proto3"
        assert all(name in NAMES for name in file.dependency), f"{file.name} imports {list(file.dependency)}"
        for message in file.message_type:
            assert not message.oneof_decl, f"{message.name} has an optional field or a oneof"
            for field in message.field:
                assert field.type != FieldDescriptor.TYPE_GROUP
                assert field.type_name != ".google.protobuf.Any"


def test_units_stand_in_the_names_of_pixels(files):
    for file in files.values():
        for _, name, part in parts(file):
            if name.rpartition(".")[2] in ("width", "height", "size"):
                raise AssertionError(f"{name} has no unit in its name: {part}")


def test_every_file_has_the_package_and_the_namespace_of_its_folder(files):
    for file in files.values():
        assert file.package == "bridge.v1"
        assert file.options.csharp_namespace == "Metabridge.V1"


def test_methods_are_verbs_with_requests_and_responses_of_their_names(files):
    for file in files.values():
        for service in file.service:
            for method in service.method:
                assert method.input_type == f".bridge.v1.{method.name}Request"
                assert method.output_type == f".bridge.v1.{method.name}Response"
                assert method.server_streaming or not method.client_streaming, f"{method.name} has a stream up and none down"


def test_every_stream_from_the_client_has_a_unary_twin_for_grpc_web(files):
    services = [service for file in files.values() for service in file.service]
    streamed = {service.name: [method.name for method in service.method if method.client_streaming] for service in services}
    assert {name: methods for name, methods in streamed.items() if methods} == {"EnvironmentService": ["OfferEnvironment"]}
    messages = {message.name: message for file in files.values() for message in file.message_type}
    for end in ("Request", "Response"):
        stream, unary = messages[f"OfferEnvironment{end}"], messages[f"ExchangeEnvironment{end}"]
        assert [(f.name, f.number, f.type_name) for f in stream.field] == [(f.name, f.number, f.type_name) for f in unary.field]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_the_same_files_and_names(family):
    assert f"bridge/v1/{family}_service.proto" in NAMES
    module = family_modules()[family]
    assert module.DESCRIPTOR.full_name == f"bridge.v1.{family.capitalize()}Service"
    assert all(hasattr(module, name) for name in ("Spec", "Service", "GRAPHS", "MAX_BATCH", "THREADS"))
    for method in module.DESCRIPTOR.methods:
        assert callable(getattr(module.Service, method.name))


def test_a_model_is_named_and_answered_alike_in_every_family(files):
    selector, served = model_service_pb2.ModelSelector.DESCRIPTOR.full_name, model_service_pb2.ServedBy.DESCRIPTOR.full_name
    for family in FAMILIES:
        messages = files[f"bridge/v1/{family}_service.proto"].message_type
        selectors = [field for message in messages for field in message.field if field.type_name == f".{selector}"]
        answers = [field for message in messages for field in message.field if field.type_name == f".{served}"]
        assert selectors, family
        assert answers, family
        assert {field.name for field in (*selectors, *answers)} == {"model"}
