from bridge.v1 import model_service_pb2 as _model_service_pb2
from bridge.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Sampling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAMPLING_UNSPECIFIED: _ClassVar[Sampling]
    SAMPLING_DETERMINISTIC: _ClassVar[Sampling]
    SAMPLING_SEEDED: _ClassVar[Sampling]

class AgentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGENT_STATUS_UNSPECIFIED: _ClassVar[AgentStatus]
    AGENT_STATUS_OK: _ClassVar[AgentStatus]
    AGENT_STATUS_INVALID_OBSERVATION: _ClassVar[AgentStatus]
    AGENT_STATUS_ALL_ACTIONS_MASKED: _ClassVar[AgentStatus]

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_MODEL: _ClassVar[Source]
    SOURCE_CACHE: _ClassVar[Source]
    SOURCE_FALLBACK: _ClassVar[Source]
SAMPLING_UNSPECIFIED: Sampling
SAMPLING_DETERMINISTIC: Sampling
SAMPLING_SEEDED: Sampling
AGENT_STATUS_UNSPECIFIED: AgentStatus
AGENT_STATUS_OK: AgentStatus
AGENT_STATUS_INVALID_OBSERVATION: AgentStatus
AGENT_STATUS_ALL_ACTIONS_MASKED: AgentStatus
SOURCE_UNSPECIFIED: Source
SOURCE_MODEL: Source
SOURCE_CACHE: Source
SOURCE_FALLBACK: Source

class PolicyGroup(_message.Message):
    __slots__ = ("name", "model", "agent_ids", "observations", "episode_starts", "action_mask", "sampling")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AGENT_IDS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    EPISODE_STARTS_FIELD_NUMBER: _ClassVar[int]
    ACTION_MASK_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: _model_service_pb2.ModelSelector
    agent_ids: _containers.RepeatedScalarFieldContainer[int]
    observations: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    episode_starts: _containers.RepeatedScalarFieldContainer[bool]
    action_mask: _tensor_pb2.Tensor
    sampling: Sampling
    def __init__(self, name: _Optional[str] = ..., model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., agent_ids: _Optional[_Iterable[int]] = ..., observations: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., episode_starts: _Optional[_Iterable[bool]] = ..., action_mask: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, str]] = ...) -> None: ...

class ChooseActionsRequest(_message.Message):
    __slots__ = ("session_id", "groups", "tick", "seed")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    groups: _containers.RepeatedCompositeFieldContainer[PolicyGroup]
    tick: int
    seed: int
    def __init__(self, session_id: _Optional[str] = ..., groups: _Optional[_Iterable[_Union[PolicyGroup, _Mapping]]] = ..., tick: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class AgentFailure(_message.Message):
    __slots__ = ("agent_id", "message")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    agent_id: int
    message: str
    def __init__(self, agent_id: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class GroupActions(_message.Message):
    __slots__ = ("name", "model", "actions", "statuses", "sources", "failures")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: _model_service_pb2.ServedBy
    actions: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    statuses: _containers.RepeatedScalarFieldContainer[AgentStatus]
    sources: _containers.RepeatedScalarFieldContainer[Source]
    failures: _containers.RepeatedCompositeFieldContainer[AgentFailure]
    def __init__(self, name: _Optional[str] = ..., model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., actions: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., statuses: _Optional[_Iterable[_Union[AgentStatus, str]]] = ..., sources: _Optional[_Iterable[_Union[Source, str]]] = ..., failures: _Optional[_Iterable[_Union[AgentFailure, _Mapping]]] = ...) -> None: ...

class ChooseActionsResponse(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[GroupActions]
    def __init__(self, groups: _Optional[_Iterable[_Union[GroupActions, _Mapping]]] = ...) -> None: ...

class EndSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class EndSessionResponse(_message.Message):
    __slots__ = ("existed",)
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    existed: bool
    def __init__(self, existed: bool = ...) -> None: ...
