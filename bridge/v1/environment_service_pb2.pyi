from bridge.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SpaceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPACE_KIND_UNSPECIFIED: _ClassVar[SpaceKind]
    SPACE_KIND_BOX: _ClassVar[SpaceKind]
    SPACE_KIND_DISCRETE: _ClassVar[SpaceKind]
    SPACE_KIND_MULTI_DISCRETE: _ClassVar[SpaceKind]
    SPACE_KIND_MULTI_BINARY: _ClassVar[SpaceKind]

class ReportKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_KIND_UNSPECIFIED: _ClassVar[ReportKind]
    REPORT_KIND_OFFER: _ClassVar[ReportKind]
    REPORT_KIND_DONE: _ClassVar[ReportKind]
    REPORT_KIND_HEARTBEAT: _ClassVar[ReportKind]
    REPORT_KIND_CLOSE: _ClassVar[ReportKind]

class CommandKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMMAND_KIND_UNSPECIFIED: _ClassVar[CommandKind]
    COMMAND_KIND_WAIT: _ClassVar[CommandKind]
    COMMAND_KIND_RESET: _ClassVar[CommandKind]
    COMMAND_KIND_STEP: _ClassVar[CommandKind]
    COMMAND_KIND_CLOSE: _ClassVar[CommandKind]
SPACE_KIND_UNSPECIFIED: SpaceKind
SPACE_KIND_BOX: SpaceKind
SPACE_KIND_DISCRETE: SpaceKind
SPACE_KIND_MULTI_DISCRETE: SpaceKind
SPACE_KIND_MULTI_BINARY: SpaceKind
REPORT_KIND_UNSPECIFIED: ReportKind
REPORT_KIND_OFFER: ReportKind
REPORT_KIND_DONE: ReportKind
REPORT_KIND_HEARTBEAT: ReportKind
REPORT_KIND_CLOSE: ReportKind
COMMAND_KIND_UNSPECIFIED: CommandKind
COMMAND_KIND_WAIT: CommandKind
COMMAND_KIND_RESET: CommandKind
COMMAND_KIND_STEP: CommandKind
COMMAND_KIND_CLOSE: CommandKind

class SpaceSpec(_message.Message):
    __slots__ = ("name", "kind", "dtype", "shape", "low", "high", "choices")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: SpaceKind
    dtype: _tensor_pb2.DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    low: _containers.RepeatedScalarFieldContainer[float]
    high: _containers.RepeatedScalarFieldContainer[float]
    choices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[SpaceKind, str]] = ..., dtype: _Optional[_Union[_tensor_pb2.DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., low: _Optional[_Iterable[float]] = ..., high: _Optional[_Iterable[float]] = ..., choices: _Optional[_Iterable[int]] = ...) -> None: ...

class EnvironmentNote(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class EnvironmentSpec(_message.Message):
    __slots__ = ("name", "environments", "agents", "observations", "actions", "mask_width", "tick_seconds", "notes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    MASK_WIDTH_FIELD_NUMBER: _ClassVar[int]
    TICK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    environments: int
    agents: int
    observations: _containers.RepeatedCompositeFieldContainer[SpaceSpec]
    actions: _containers.RepeatedCompositeFieldContainer[SpaceSpec]
    mask_width: int
    tick_seconds: float
    notes: _containers.RepeatedCompositeFieldContainer[EnvironmentNote]
    def __init__(self, name: _Optional[str] = ..., environments: _Optional[int] = ..., agents: _Optional[int] = ..., observations: _Optional[_Iterable[_Union[SpaceSpec, _Mapping]]] = ..., actions: _Optional[_Iterable[_Union[SpaceSpec, _Mapping]]] = ..., mask_width: _Optional[int] = ..., tick_seconds: _Optional[float] = ..., notes: _Optional[_Iterable[_Union[EnvironmentNote, _Mapping]]] = ...) -> None: ...

class EnvironmentFailure(_message.Message):
    __slots__ = ("row", "message", "field")
    ROW_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    row: int
    message: str
    field: str
    def __init__(self, row: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class EnvironmentReport(_message.Message):
    __slots__ = ("kind", "protocol_version", "resume_token", "sequence", "spec", "observations", "action_mask", "rewards", "terminated", "truncated", "final_observations", "infos", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    ACTION_MASK_FIELD_NUMBER: _ClassVar[int]
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    TERMINATED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    FINAL_OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    INFOS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: ReportKind
    protocol_version: int
    resume_token: str
    sequence: int
    spec: EnvironmentSpec
    observations: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    action_mask: _tensor_pb2.Tensor
    rewards: _containers.RepeatedScalarFieldContainer[float]
    terminated: _containers.RepeatedScalarFieldContainer[bool]
    truncated: _containers.RepeatedScalarFieldContainer[bool]
    final_observations: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    infos: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    message: str
    def __init__(self, kind: _Optional[_Union[ReportKind, str]] = ..., protocol_version: _Optional[int] = ..., resume_token: _Optional[str] = ..., sequence: _Optional[int] = ..., spec: _Optional[_Union[EnvironmentSpec, _Mapping]] = ..., observations: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., action_mask: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., rewards: _Optional[_Iterable[float]] = ..., terminated: _Optional[_Iterable[bool]] = ..., truncated: _Optional[_Iterable[bool]] = ..., final_observations: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., infos: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., message: _Optional[str] = ...) -> None: ...

class EnvironmentCommand(_message.Message):
    __slots__ = ("kind", "sequence", "resume_token", "heartbeat_seconds", "silence_seconds", "is_seeded", "seed", "chosen", "options", "actions", "failures", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SILENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IS_SEEDED_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: CommandKind
    sequence: int
    resume_token: str
    heartbeat_seconds: float
    silence_seconds: float
    is_seeded: bool
    seed: int
    chosen: _containers.RepeatedScalarFieldContainer[bool]
    options: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    actions: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    failures: _containers.RepeatedCompositeFieldContainer[EnvironmentFailure]
    message: str
    def __init__(self, kind: _Optional[_Union[CommandKind, str]] = ..., sequence: _Optional[int] = ..., resume_token: _Optional[str] = ..., heartbeat_seconds: _Optional[float] = ..., silence_seconds: _Optional[float] = ..., is_seeded: bool = ..., seed: _Optional[int] = ..., chosen: _Optional[_Iterable[bool]] = ..., options: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., actions: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[EnvironmentFailure, _Mapping]]] = ..., message: _Optional[str] = ...) -> None: ...

class OfferEnvironmentRequest(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: EnvironmentReport
    def __init__(self, report: _Optional[_Union[EnvironmentReport, _Mapping]] = ...) -> None: ...

class OfferEnvironmentResponse(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: EnvironmentCommand
    def __init__(self, command: _Optional[_Union[EnvironmentCommand, _Mapping]] = ...) -> None: ...

class ExchangeEnvironmentRequest(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: EnvironmentReport
    def __init__(self, report: _Optional[_Union[EnvironmentReport, _Mapping]] = ...) -> None: ...

class ExchangeEnvironmentResponse(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: EnvironmentCommand
    def __init__(self, command: _Optional[_Union[EnvironmentCommand, _Mapping]] = ...) -> None: ...
