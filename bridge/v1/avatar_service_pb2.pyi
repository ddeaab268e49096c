from bridge.v1 import asset_pb2 as _asset_pb2
from bridge.v1 import model_service_pb2 as _model_service_pb2
from bridge.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pacing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PACING_UNSPECIFIED: _ClassVar[Pacing]
    PACING_REAL_TIME: _ClassVar[Pacing]
    PACING_UNPACED: _ClassVar[Pacing]
PACING_UNSPECIFIED: Pacing
PACING_REAL_TIME: Pacing
PACING_UNPACED: Pacing

class Truncation(_message.Message):
    __slots__ = ("psi",)
    PSI_FIELD_NUMBER: _ClassVar[int]
    psi: float
    def __init__(self, psi: _Optional[float] = ...) -> None: ...

class StyleMixing(_message.Message):
    __slots__ = ("seeds", "first_layer", "last_layer")
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_LAYER_FIELD_NUMBER: _ClassVar[int]
    LAST_LAYER_FIELD_NUMBER: _ClassVar[int]
    seeds: _containers.RepeatedScalarFieldContainer[int]
    first_layer: int
    last_layer: int
    def __init__(self, seeds: _Optional[_Iterable[int]] = ..., first_layer: _Optional[int] = ..., last_layer: _Optional[int] = ...) -> None: ...

class AvatarSpec(_message.Message):
    __slots__ = ("seeds", "latents", "styles", "truncation", "style_mixing", "controls", "image", "return_styles")
    class ControlsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    STYLES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    STYLE_MIXING_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    RETURN_STYLES_FIELD_NUMBER: _ClassVar[int]
    seeds: _containers.RepeatedScalarFieldContainer[int]
    latents: _tensor_pb2.Tensor
    styles: _tensor_pb2.Tensor
    truncation: Truncation
    style_mixing: StyleMixing
    controls: _containers.ScalarMap[str, float]
    image: _asset_pb2.ImageSpec
    return_styles: bool
    def __init__(self, seeds: _Optional[_Iterable[int]] = ..., latents: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., styles: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., truncation: _Optional[_Union[Truncation, _Mapping]] = ..., style_mixing: _Optional[_Union[StyleMixing, _Mapping]] = ..., controls: _Optional[_Mapping[str, float]] = ..., image: _Optional[_Union[_asset_pb2.ImageSpec, _Mapping]] = ..., return_styles: bool = ...) -> None: ...

class Avatar(_message.Message):
    __slots__ = ("seed", "image", "styles")
    SEED_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    STYLES_FIELD_NUMBER: _ClassVar[int]
    seed: int
    image: _asset_pb2.Image
    styles: _tensor_pb2.Tensor
    def __init__(self, seed: _Optional[int] = ..., image: _Optional[_Union[_asset_pb2.Image, _Mapping]] = ..., styles: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class GenerateAvatarsRequest(_message.Message):
    __slots__ = ("model", "spec")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    spec: AvatarSpec
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., spec: _Optional[_Union[AvatarSpec, _Mapping]] = ...) -> None: ...

class GenerateAvatarsResponse(_message.Message):
    __slots__ = ("model", "avatars")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AVATARS_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    avatars: _containers.RepeatedCompositeFieldContainer[Avatar]
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., avatars: _Optional[_Iterable[_Union[Avatar, _Mapping]]] = ...) -> None: ...

class StreamAvatarsRequest(_message.Message):
    __slots__ = ("model", "spec")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    spec: AvatarSpec
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., spec: _Optional[_Union[AvatarSpec, _Mapping]] = ...) -> None: ...

class StreamAvatarsResponse(_message.Message):
    __slots__ = ("model", "index", "avatar", "chunk_index", "chunk_count")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AVATAR_FIELD_NUMBER: _ClassVar[int]
    CHUNK_INDEX_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    index: int
    avatar: Avatar
    chunk_index: int
    chunk_count: int
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., index: _Optional[int] = ..., avatar: _Optional[_Union[Avatar, _Mapping]] = ..., chunk_index: _Optional[int] = ..., chunk_count: _Optional[int] = ...) -> None: ...

class ProjectAvatarRequest(_message.Message):
    __slots__ = ("model", "file", "pixels", "refine_steps", "seed", "controls", "image")
    class ControlsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    REFINE_STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    file: bytes
    pixels: _asset_pb2.Image
    refine_steps: int
    seed: int
    controls: _containers.ScalarMap[str, float]
    image: _asset_pb2.ImageSpec
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., file: _Optional[bytes] = ..., pixels: _Optional[_Union[_asset_pb2.Image, _Mapping]] = ..., refine_steps: _Optional[int] = ..., seed: _Optional[int] = ..., controls: _Optional[_Mapping[str, float]] = ..., image: _Optional[_Union[_asset_pb2.ImageSpec, _Mapping]] = ...) -> None: ...

class ProjectAvatarResponse(_message.Message):
    __slots__ = ("model", "avatar", "pixel_distance")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AVATAR_FIELD_NUMBER: _ClassVar[int]
    PIXEL_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    avatar: Avatar
    pixel_distance: float
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., avatar: _Optional[_Union[Avatar, _Mapping]] = ..., pixel_distance: _Optional[float] = ...) -> None: ...

class MorphAvatarRequest(_message.Message):
    __slots__ = ("model", "spec", "seconds_per_key", "frame_rate", "loop", "pacing")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SECONDS_PER_KEY_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    PACING_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    spec: AvatarSpec
    seconds_per_key: float
    frame_rate: float
    loop: bool
    pacing: Pacing
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., spec: _Optional[_Union[AvatarSpec, _Mapping]] = ..., seconds_per_key: _Optional[float] = ..., frame_rate: _Optional[float] = ..., loop: bool = ..., pacing: _Optional[_Union[Pacing, str]] = ...) -> None: ...

class MorphAvatarResponse(_message.Message):
    __slots__ = ("model", "frame_index", "frame_count", "time_seconds", "avatar", "chunk_index", "chunk_count")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    TIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    AVATAR_FIELD_NUMBER: _ClassVar[int]
    CHUNK_INDEX_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    frame_index: int
    frame_count: int
    time_seconds: float
    avatar: Avatar
    chunk_index: int
    chunk_count: int
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., frame_index: _Optional[int] = ..., frame_count: _Optional[int] = ..., time_seconds: _Optional[float] = ..., avatar: _Optional[_Union[Avatar, _Mapping]] = ..., chunk_index: _Optional[int] = ..., chunk_count: _Optional[int] = ...) -> None: ...
