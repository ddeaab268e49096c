from bridge.v1 import asset_pb2 as _asset_pb2
from bridge.v1 import model_service_pb2 as _model_service_pb2
from bridge.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Truncation(_message.Message):
    __slots__ = ("psi",)
    PSI_FIELD_NUMBER: _ClassVar[int]
    psi: float
    def __init__(self, psi: _Optional[float] = ...) -> None: ...

class StyleMixing(_message.Message):
    __slots__ = ("seeds", "layer")
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    seeds: _containers.RepeatedScalarFieldContainer[int]
    layer: int
    def __init__(self, seeds: _Optional[_Iterable[int]] = ..., layer: _Optional[int] = ...) -> None: ...

class AvatarSpec(_message.Message):
    __slots__ = ("seeds", "latents", "truncation", "style_mixing", "image")
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    STYLE_MIXING_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    seeds: _containers.RepeatedScalarFieldContainer[int]
    latents: _tensor_pb2.Tensor
    truncation: Truncation
    style_mixing: StyleMixing
    image: _asset_pb2.ImageSpec
    def __init__(self, seeds: _Optional[_Iterable[int]] = ..., latents: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., truncation: _Optional[_Union[Truncation, _Mapping]] = ..., style_mixing: _Optional[_Union[StyleMixing, _Mapping]] = ..., image: _Optional[_Union[_asset_pb2.ImageSpec, _Mapping]] = ...) -> None: ...

class Avatar(_message.Message):
    __slots__ = ("seed", "image")
    SEED_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    seed: int
    image: _asset_pb2.Image
    def __init__(self, seed: _Optional[int] = ..., image: _Optional[_Union[_asset_pb2.Image, _Mapping]] = ...) -> None: ...

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
