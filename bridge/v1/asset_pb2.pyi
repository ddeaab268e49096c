from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImageFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_FORMAT_UNSPECIFIED: _ClassVar[ImageFormat]
    IMAGE_FORMAT_RGBA8: _ClassVar[ImageFormat]
    IMAGE_FORMAT_PNG: _ClassVar[ImageFormat]
    IMAGE_FORMAT_JPEG: _ClassVar[ImageFormat]

class RowOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROW_ORIGIN_UNSPECIFIED: _ClassVar[RowOrigin]
    ROW_ORIGIN_TOP_LEFT: _ClassVar[RowOrigin]
    ROW_ORIGIN_BOTTOM_LEFT: _ClassVar[RowOrigin]

class CoordinateSpace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COORDINATE_SPACE_UNSPECIFIED: _ClassVar[CoordinateSpace]
    COORDINATE_SPACE_GLTF: _ClassVar[CoordinateSpace]
    COORDINATE_SPACE_UNITY: _ClassVar[CoordinateSpace]
    COORDINATE_SPACE_UNREAL: _ClassVar[CoordinateSpace]
IMAGE_FORMAT_UNSPECIFIED: ImageFormat
IMAGE_FORMAT_RGBA8: ImageFormat
IMAGE_FORMAT_PNG: ImageFormat
IMAGE_FORMAT_JPEG: ImageFormat
ROW_ORIGIN_UNSPECIFIED: RowOrigin
ROW_ORIGIN_TOP_LEFT: RowOrigin
ROW_ORIGIN_BOTTOM_LEFT: RowOrigin
COORDINATE_SPACE_UNSPECIFIED: CoordinateSpace
COORDINATE_SPACE_GLTF: CoordinateSpace
COORDINATE_SPACE_UNITY: CoordinateSpace
COORDINATE_SPACE_UNREAL: CoordinateSpace

class ImageSpec(_message.Message):
    __slots__ = ("format", "row_origin", "size_px", "mip_levels")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ROW_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SIZE_PX_FIELD_NUMBER: _ClassVar[int]
    MIP_LEVELS_FIELD_NUMBER: _ClassVar[int]
    format: ImageFormat
    row_origin: RowOrigin
    size_px: int
    mip_levels: int
    def __init__(self, format: _Optional[_Union[ImageFormat, str]] = ..., row_origin: _Optional[_Union[RowOrigin, str]] = ..., size_px: _Optional[int] = ..., mip_levels: _Optional[int] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("format", "row_origin", "width_px", "height_px", "mip_levels", "data")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ROW_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    MIP_LEVELS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    format: ImageFormat
    row_origin: RowOrigin
    width_px: int
    height_px: int
    mip_levels: int
    data: bytes
    def __init__(self, format: _Optional[_Union[ImageFormat, str]] = ..., row_origin: _Optional[_Union[RowOrigin, str]] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., mip_levels: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
