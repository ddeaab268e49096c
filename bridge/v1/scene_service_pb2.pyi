from bridge.v1 import asset_pb2 as _asset_pb2
from bridge.v1 import model_service_pb2 as _model_service_pb2
from bridge.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HeightFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEIGHT_FORMAT_UNSPECIFIED: _ClassVar[HeightFormat]
    HEIGHT_FORMAT_FLOAT32: _ClassVar[HeightFormat]
    HEIGHT_FORMAT_UINT16: _ClassVar[HeightFormat]

class GroundFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUND_FORMAT_UNSPECIFIED: _ClassVar[GroundFormat]
    GROUND_FORMAT_CLASSES: _ClassVar[GroundFormat]
    GROUND_FORMAT_SPLAT_WEIGHTS: _ClassVar[GroundFormat]
HEIGHT_FORMAT_UNSPECIFIED: HeightFormat
HEIGHT_FORMAT_FLOAT32: HeightFormat
HEIGHT_FORMAT_UINT16: HeightFormat
GROUND_FORMAT_UNSPECIFIED: GroundFormat
GROUND_FORMAT_CLASSES: GroundFormat
GROUND_FORMAT_SPLAT_WEIGHTS: GroundFormat

class TileCoordinate(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ...) -> None: ...

class Amount(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: float
    def __init__(self, value: _Optional[float] = ...) -> None: ...

class SceneConditions(_message.Message):
    __slots__ = ("biome", "ruggedness", "water_share", "steps", "ignore_climate")
    BIOME_FIELD_NUMBER: _ClassVar[int]
    RUGGEDNESS_FIELD_NUMBER: _ClassVar[int]
    WATER_SHARE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CLIMATE_FIELD_NUMBER: _ClassVar[int]
    biome: str
    ruggedness: Amount
    water_share: Amount
    steps: int
    ignore_climate: bool
    def __init__(self, biome: _Optional[str] = ..., ruggedness: _Optional[_Union[Amount, _Mapping]] = ..., water_share: _Optional[_Union[Amount, _Mapping]] = ..., steps: _Optional[int] = ..., ignore_climate: bool = ...) -> None: ...

class HeightRange(_message.Message):
    __slots__ = ("low_metres", "high_metres")
    LOW_METRES_FIELD_NUMBER: _ClassVar[int]
    HIGH_METRES_FIELD_NUMBER: _ClassVar[int]
    low_metres: float
    high_metres: float
    def __init__(self, low_metres: _Optional[float] = ..., high_metres: _Optional[float] = ...) -> None: ...

class SceneOutput(_message.Message):
    __slots__ = ("space", "height_format", "height_range", "height_vertices", "ground_format", "return_instances", "return_mesh")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_RANGE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_VERTICES_FIELD_NUMBER: _ClassVar[int]
    GROUND_FORMAT_FIELD_NUMBER: _ClassVar[int]
    RETURN_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    RETURN_MESH_FIELD_NUMBER: _ClassVar[int]
    space: _asset_pb2.CoordinateSpace
    height_format: HeightFormat
    height_range: HeightRange
    height_vertices: int
    ground_format: GroundFormat
    return_instances: bool
    return_mesh: bool
    def __init__(self, space: _Optional[_Union[_asset_pb2.CoordinateSpace, str]] = ..., height_format: _Optional[_Union[HeightFormat, str]] = ..., height_range: _Optional[_Union[HeightRange, _Mapping]] = ..., height_vertices: _Optional[int] = ..., ground_format: _Optional[_Union[GroundFormat, str]] = ..., return_instances: bool = ..., return_mesh: bool = ...) -> None: ...

class Heightmap(_message.Message):
    __slots__ = ("values", "scale_metres", "offset_metres")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SCALE_METRES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_METRES_FIELD_NUMBER: _ClassVar[int]
    values: _tensor_pb2.Tensor
    scale_metres: float
    offset_metres: float
    def __init__(self, values: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., scale_metres: _Optional[float] = ..., offset_metres: _Optional[float] = ...) -> None: ...

class ObjectInstances(_message.Message):
    __slots__ = ("classes", "positions", "yaws", "scales")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    YAWS_FIELD_NUMBER: _ClassVar[int]
    SCALES_FIELD_NUMBER: _ClassVar[int]
    classes: _tensor_pb2.Tensor
    positions: _tensor_pb2.Tensor
    yaws: _tensor_pb2.Tensor
    scales: _tensor_pb2.Tensor
    def __init__(self, classes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., positions: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., yaws: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., scales: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class SceneTile(_message.Message):
    __slots__ = ("coordinate", "codes", "heights", "ground", "objects", "instances", "mesh", "side_metres", "seed")
    COORDINATE_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    HEIGHTS_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    MESH_FIELD_NUMBER: _ClassVar[int]
    SIDE_METRES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    coordinate: TileCoordinate
    codes: _tensor_pb2.Tensor
    heights: Heightmap
    ground: _tensor_pb2.Tensor
    objects: _tensor_pb2.Tensor
    instances: ObjectInstances
    mesh: bytes
    side_metres: float
    seed: int
    def __init__(self, coordinate: _Optional[_Union[TileCoordinate, _Mapping]] = ..., codes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., heights: _Optional[_Union[Heightmap, _Mapping]] = ..., ground: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., objects: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., instances: _Optional[_Union[ObjectInstances, _Mapping]] = ..., mesh: _Optional[bytes] = ..., side_metres: _Optional[float] = ..., seed: _Optional[int] = ...) -> None: ...

class GenerateSceneRequest(_message.Message):
    __slots__ = ("model", "seeds", "coordinates", "conditions", "painted_ground", "codes", "output", "fit_world")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    PAINTED_GROUND_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FIT_WORLD_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    seeds: _containers.RepeatedScalarFieldContainer[int]
    coordinates: _containers.RepeatedCompositeFieldContainer[TileCoordinate]
    conditions: SceneConditions
    painted_ground: _tensor_pb2.Tensor
    codes: _tensor_pb2.Tensor
    output: SceneOutput
    fit_world: bool
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., seeds: _Optional[_Iterable[int]] = ..., coordinates: _Optional[_Iterable[_Union[TileCoordinate, _Mapping]]] = ..., conditions: _Optional[_Union[SceneConditions, _Mapping]] = ..., painted_ground: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., codes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., output: _Optional[_Union[SceneOutput, _Mapping]] = ..., fit_world: bool = ...) -> None: ...

class GenerateSceneResponse(_message.Message):
    __slots__ = ("model", "tiles")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TILES_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    tiles: _containers.RepeatedCompositeFieldContainer[SceneTile]
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., tiles: _Optional[_Iterable[_Union[SceneTile, _Mapping]]] = ...) -> None: ...

class SceneNeighbour(_message.Message):
    __slots__ = ("x_offset", "y_offset", "codes", "heights", "ground", "objects")
    X_OFFSET_FIELD_NUMBER: _ClassVar[int]
    Y_OFFSET_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    HEIGHTS_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    x_offset: int
    y_offset: int
    codes: _tensor_pb2.Tensor
    heights: Heightmap
    ground: _tensor_pb2.Tensor
    objects: _tensor_pb2.Tensor
    def __init__(self, x_offset: _Optional[int] = ..., y_offset: _Optional[int] = ..., codes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., heights: _Optional[_Union[Heightmap, _Mapping]] = ..., ground: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., objects: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class ExtendSceneRequest(_message.Message):
    __slots__ = ("model", "seed", "coordinate", "neighbours", "conditions", "painted_ground", "output")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    COORDINATE_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    PAINTED_GROUND_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    seed: int
    coordinate: TileCoordinate
    neighbours: _containers.RepeatedCompositeFieldContainer[SceneNeighbour]
    conditions: SceneConditions
    painted_ground: _tensor_pb2.Tensor
    output: SceneOutput
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., seed: _Optional[int] = ..., coordinate: _Optional[_Union[TileCoordinate, _Mapping]] = ..., neighbours: _Optional[_Iterable[_Union[SceneNeighbour, _Mapping]]] = ..., conditions: _Optional[_Union[SceneConditions, _Mapping]] = ..., painted_ground: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., output: _Optional[_Union[SceneOutput, _Mapping]] = ...) -> None: ...

class ExtendSceneResponse(_message.Message):
    __slots__ = ("model", "tile")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    tile: SceneTile
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., tile: _Optional[_Union[SceneTile, _Mapping]] = ...) -> None: ...

class EditSceneRequest(_message.Message):
    __slots__ = ("model", "tile", "mask", "seed", "conditions", "painted_ground", "output", "neighbours")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    PAINTED_GROUND_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    tile: SceneTile
    mask: _tensor_pb2.Tensor
    seed: int
    conditions: SceneConditions
    painted_ground: _tensor_pb2.Tensor
    output: SceneOutput
    neighbours: _containers.RepeatedCompositeFieldContainer[SceneNeighbour]
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., tile: _Optional[_Union[SceneTile, _Mapping]] = ..., mask: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., seed: _Optional[int] = ..., conditions: _Optional[_Union[SceneConditions, _Mapping]] = ..., painted_ground: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., output: _Optional[_Union[SceneOutput, _Mapping]] = ..., neighbours: _Optional[_Iterable[_Union[SceneNeighbour, _Mapping]]] = ...) -> None: ...

class EditSceneResponse(_message.Message):
    __slots__ = ("model", "tile")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    tile: SceneTile
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., tile: _Optional[_Union[SceneTile, _Mapping]] = ...) -> None: ...

class EncodeSceneRequest(_message.Message):
    __slots__ = ("model", "heights", "ground", "objects", "space", "metres_per_cell")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HEIGHTS_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    METRES_PER_CELL_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    heights: Heightmap
    ground: _tensor_pb2.Tensor
    objects: _tensor_pb2.Tensor
    space: _asset_pb2.CoordinateSpace
    metres_per_cell: float
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., heights: _Optional[_Union[Heightmap, _Mapping]] = ..., ground: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., objects: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., space: _Optional[_Union[_asset_pb2.CoordinateSpace, str]] = ..., metres_per_cell: _Optional[float] = ...) -> None: ...

class EncodeSceneResponse(_message.Message):
    __slots__ = ("model", "codes", "ground", "height_errors_metres")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_ERRORS_METRES_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    codes: _tensor_pb2.Tensor
    ground: _tensor_pb2.Tensor
    height_errors_metres: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., codes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., ground: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., height_errors_metres: _Optional[_Iterable[float]] = ...) -> None: ...

class MapPoint(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class CameraPath(_message.Message):
    __slots__ = ("points", "view_distance")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    VIEW_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[MapPoint]
    view_distance: float
    def __init__(self, points: _Optional[_Iterable[_Union[MapPoint, _Mapping]]] = ..., view_distance: _Optional[float] = ...) -> None: ...

class StreamScenesRequest(_message.Message):
    __slots__ = ("model", "seed", "coordinates", "path", "conditions", "output", "codes", "fit_world")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    FIT_WORLD_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ModelSelector
    seed: int
    coordinates: _containers.RepeatedCompositeFieldContainer[TileCoordinate]
    path: CameraPath
    conditions: SceneConditions
    output: SceneOutput
    codes: _tensor_pb2.Tensor
    fit_world: bool
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ModelSelector, _Mapping]] = ..., seed: _Optional[int] = ..., coordinates: _Optional[_Iterable[_Union[TileCoordinate, _Mapping]]] = ..., path: _Optional[_Union[CameraPath, _Mapping]] = ..., conditions: _Optional[_Union[SceneConditions, _Mapping]] = ..., output: _Optional[_Union[SceneOutput, _Mapping]] = ..., codes: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., fit_world: bool = ...) -> None: ...

class StreamScenesResponse(_message.Message):
    __slots__ = ("model", "index", "tile_count", "tile")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    model: _model_service_pb2.ServedBy
    index: int
    tile_count: int
    tile: SceneTile
    def __init__(self, model: _Optional[_Union[_model_service_pb2.ServedBy, _Mapping]] = ..., index: _Optional[int] = ..., tile_count: _Optional[int] = ..., tile: _Optional[_Union[SceneTile, _Mapping]] = ...) -> None: ...
