from bridge.v1 import asset_pb2 as _asset_pb2
from bridge.v1 import model_service_pb2 as _model_service_pb2
from bridge.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EncodePicturesRequest(_message.Message):
    __slots__ = ("model", "files")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    files: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., files: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EncodePicturesResponse(_message.Message):
    __slots__ = ("model", "codes", "pixel_distances")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    PIXEL_DISTANCES_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    codes: _tensor_pb2.Tensor
    pixel_distances: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., codes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., pixel_distances: _Optional[_Iterable[float]] = ...) -> None: ...

class DecodePicturesRequest(_message.Message):
    __slots__ = ("model", "codes", "image")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    codes: _tensor_pb2.Tensor
    image: _asset_pb2.ImageSpec
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., codes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., image: _Optional[_Union[_asset_pb2.ImageSpec, _Mapping]] = ...) -> None: ...

class DecodePicturesResponse(_message.Message):
    __slots__ = ("model", "images")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    images: _containers.RepeatedCompositeFieldContainer[_asset_pb2.Image]
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., images: _Optional[_Iterable[_Union[_asset_pb2.Image, _Mapping]]] = ...) -> None: ...
