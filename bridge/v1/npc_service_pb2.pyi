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
    AGENT_STATUS_STATE_LOST: _ClassVar[AgentStatus]
    AGENT_STATUS_LATE: _ClassVar[AgentStatus]

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_MODEL: _ClassVar[Source]
    SOURCE_CACHE: _ClassVar[Source]
    SOURCE_FALLBACK: _ClassVar[Source]

class ImageLayout(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_LAYOUT_UNSPECIFIED: _ClassVar[ImageLayout]
    IMAGE_LAYOUT_HWC: _ClassVar[ImageLayout]
    IMAGE_LAYOUT_CHW: _ClassVar[ImageLayout]

class ActionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_KIND_UNSPECIFIED: _ClassVar[ActionKind]
    ACTION_KIND_CONTINUOUS: _ClassVar[ActionKind]
    ACTION_KIND_DISCRETE: _ClassVar[ActionKind]
SAMPLING_UNSPECIFIED: Sampling
SAMPLING_DETERMINISTIC: Sampling
SAMPLING_SEEDED: Sampling
AGENT_STATUS_UNSPECIFIED: AgentStatus
AGENT_STATUS_OK: AgentStatus
AGENT_STATUS_INVALID_OBSERVATION: AgentStatus
AGENT_STATUS_ALL_ACTIONS_MASKED: AgentStatus
AGENT_STATUS_STATE_LOST: AgentStatus
AGENT_STATUS_LATE: AgentStatus
SOURCE_UNSPECIFIED: Source
SOURCE_MODEL: Source
SOURCE_CACHE: Source
SOURCE_FALLBACK: Source
IMAGE_LAYOUT_UNSPECIFIED: ImageLayout
IMAGE_LAYOUT_HWC: ImageLayout
IMAGE_LAYOUT_CHW: ImageLayout
ACTION_KIND_UNSPECIFIED: ActionKind
ACTION_KIND_CONTINUOUS: ActionKind
ACTION_KIND_DISCRETE: ActionKind

class PolicyGroup(_message.Message):
    __slots__ = ("name", "model", "agent_ids", "observations", "episode_starts", "action_mask", "sampling", "states", "frame_budget_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AGENT_IDS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    EPISODE_STARTS_FIELD_NUMBER: _ClassVar[int]
    ACTION_MASK_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    FRAME_BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: _model_service_pb2.ModelSelector
    agent_ids: _containers.RepeatedScalarFieldContainer[int]
    observations: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    episode_starts: _containers.RepeatedScalarFieldContainer[bool]
    action_mask: _tensor_pb2.Tensor
    sampling: Sampling
    states: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    frame_budget_ms: float
    def __init__(self, name: _Optional[str] = ..., model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., agent_ids: _Optional[_Iterable[int]] = ..., observations: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., episode_starts: _Optional[_Iterable[bool]] = ..., action_mask: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, str]] = ..., states: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., frame_budget_ms: _Optional[float] = ...) -> None: ...

class ChooseActionsRequest(_message.Message):
    __slots__ = ("session_id", "groups", "tick", "seed", "frame_budget_ms", "keeper")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FRAME_BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    KEEPER_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    groups: _containers.RepeatedCompositeFieldContainer[PolicyGroup]
    tick: int
    seed: int
    frame_budget_ms: float
    keeper: int
    def __init__(self, session_id: _Optional[str] = ..., groups: _Optional[_Iterable[_Union[PolicyGroup, _Mapping]]] = ..., tick: _Optional[int] = ..., seed: _Optional[int] = ..., frame_budget_ms: _Optional[float] = ..., keeper: _Optional[int] = ...) -> None: ...

class AgentFailure(_message.Message):
    __slots__ = ("agent_id", "message", "field")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    agent_id: int
    message: str
    field: str
    def __init__(self, agent_id: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class GroupActions(_message.Message):
    __slots__ = ("name", "model", "actions", "statuses", "sources", "failures", "log_probabilities", "states")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: _model_service_pb2.ServedBy
    actions: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    statuses: _containers.RepeatedScalarFieldContainer[AgentStatus]
    sources: _containers.RepeatedScalarFieldContainer[Source]
    failures: _containers.RepeatedCompositeFieldContainer[AgentFailure]
    log_probabilities: _containers.RepeatedScalarFieldContainer[float]
    states: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.NamedTensor]
    def __init__(self, name: _Optional[str] = ..., model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., actions: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ..., statuses: _Optional[_Iterable[_Union[AgentStatus, str]]] = ..., sources: _Optional[_Iterable[_Union[Source, str]]] = ..., failures: _Optional[_Iterable[_Union[AgentFailure, _Mapping]]] = ..., log_probabilities: _Optional[_Iterable[float]] = ..., states: _Optional[_Iterable[_Union[_tensor_pb2.NamedTensor, _Mapping]]] = ...) -> None: ...

class ChooseActionsResponse(_message.Message):
    __slots__ = ("groups", "keeper", "session_restarted")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    KEEPER_FIELD_NUMBER: _ClassVar[int]
    SESSION_RESTARTED_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[GroupActions]
    keeper: int
    session_restarted: bool
    def __init__(self, groups: _Optional[_Iterable[_Union[GroupActions, _Mapping]]] = ..., keeper: _Optional[int] = ..., session_restarted: bool = ...) -> None: ...

class DescribePolicyRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ...) -> None: ...

class ObservationSpec(_message.Message):
    __slots__ = ("name", "dtype", "shape", "low", "high", "elements", "units", "layout")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: _tensor_pb2.DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    low: _containers.RepeatedScalarFieldContainer[float]
    high: _containers.RepeatedScalarFieldContainer[float]
    elements: _containers.RepeatedScalarFieldContainer[str]
    units: str
    layout: ImageLayout
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[_tensor_pb2.DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., low: _Optional[_Iterable[float]] = ..., high: _Optional[_Iterable[float]] = ..., elements: _Optional[_Iterable[str]] = ..., units: _Optional[str] = ..., layout: _Optional[_Union[ImageLayout, str]] = ...) -> None: ...

class ActionSpec(_message.Message):
    __slots__ = ("name", "kind", "shape", "low", "high", "branches", "elements", "units", "neutral")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ActionKind
    shape: _containers.RepeatedScalarFieldContainer[int]
    low: _containers.RepeatedScalarFieldContainer[float]
    high: _containers.RepeatedScalarFieldContainer[float]
    branches: _containers.RepeatedScalarFieldContainer[int]
    elements: _containers.RepeatedScalarFieldContainer[str]
    units: str
    neutral: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ActionKind, str]] = ..., shape: _Optional[_Iterable[int]] = ..., low: _Optional[_Iterable[float]] = ..., high: _Optional[_Iterable[float]] = ..., branches: _Optional[_Iterable[int]] = ..., elements: _Optional[_Iterable[str]] = ..., units: _Optional[str] = ..., neutral: _Optional[_Iterable[float]] = ...) -> None: ...

class StateSpec(_message.Message):
    __slots__ = ("name", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class DescribePolicyResponse(_message.Message):
    __slots__ = ("model", "observations", "actions", "mask_width", "states", "is_stochastic", "has_log_probabilities", "tick_seconds")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    MASK_WIDTH_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    IS_STOCHASTIC_FIELD_NUMBER: _ClassVar[int]
    HAS_LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    TICK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    observations: _containers.RepeatedCompositeFieldContainer[ObservationSpec]
    actions: _containers.RepeatedCompositeFieldContainer[ActionSpec]
    mask_width: int
    states: _containers.RepeatedCompositeFieldContainer[StateSpec]
    is_stochastic: bool
    has_log_probabilities: bool
    tick_seconds: float
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., observations: _Optional[_Iterable[_Union[ObservationSpec, _Mapping]]] = ..., actions: _Optional[_Iterable[_Union[ActionSpec, _Mapping]]] = ..., mask_width: _Optional[int] = ..., states: _Optional[_Iterable[_Union[StateSpec, _Mapping]]] = ..., is_stochastic: bool = ..., has_log_probabilities: bool = ..., tick_seconds: _Optional[float] = ...) -> None: ...

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

class HoldSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class HoldSessionResponse(_message.Message):
    __slots__ = ("keeper",)
    KEEPER_FIELD_NUMBER: _ClassVar[int]
    keeper: int
    def __init__(self, keeper: _Optional[int] = ...) -> None: ...
