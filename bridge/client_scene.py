"""The calls of `SceneService` as Python's client makes them: arrays and coordinates in, tiles out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import tensors
from bridge.client_connection import Connection, messages
from bridge.v1 import asset_pb2, model_service_pb2, scene_service_pb2, tensor_pb2
from bridge.v1.scene_service_pb2_grpc import SceneServiceStub


class SceneCalls(Connection):
    """What a client asks of scene models."""

    @cached_property
    def _scenes(self) -> Any:
        return SceneServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def generate_scene(
        self,
        model: str,
        seeds: Sequence[int],
        coordinates: Sequence[tuple[int, int]] = (),
        *,
        codes: npt.NDArray[np.uint16] | None = None,
        fit_world: bool = False,
        painted_ground: npt.NDArray[np.int8] | None = None,
        conditions: scene_service_pb2.SceneConditions | None = None,
        output: scene_service_pb2.SceneOutput | None = None,
        version: int = 0,
    ) -> scene_service_pb2.GenerateSceneResponse:
        """Generate tiles of worlds in one message, or decode codes uint16[N, G, G] to tiles that fit each other.

        With `fit_world` those of codes lie in the worlds of their seeds and conditions, any saved part of which comes back so.
        """
        request = scene_service_pb2.GenerateSceneRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            seeds=seeds,
            coordinates=_coordinates(coordinates),
            codes=_optional(codes),
            fit_world=fit_world,
            painted_ground=_optional(painted_ground),
            conditions=conditions,
            output=output,
        )
        response: scene_service_pb2.GenerateSceneResponse = self._call(self._scenes.GenerateScene, request)
        return response

    def extend_scene(self, request: scene_service_pb2.ExtendSceneRequest) -> scene_service_pb2.ExtendSceneResponse:
        """Generate a tile that fits its neighbours."""
        response: scene_service_pb2.ExtendSceneResponse = self._call(self._scenes.ExtendScene, request)
        return response

    def edit_scene(
        self,
        model: str,
        tile: scene_service_pb2.SceneTile,
        mask: npt.NDArray[np.bool_],
        *,
        seed: int = 0,
        neighbours: Sequence[scene_service_pb2.SceneNeighbour] = (),
        painted_ground: npt.NDArray[np.int8] | None = None,
        conditions: scene_service_pb2.SceneConditions | None = None,
        output: scene_service_pb2.SceneOutput | None = None,
        version: int = 0,
    ) -> scene_service_pb2.EditSceneResponse:
        """Generate the cells of `mask` bool[T, T] anew, to fit the neighbours if any; everything else keeps its bits."""
        request = scene_service_pb2.EditSceneRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            tile=tile,
            mask=tensors.from_array(mask),
            seed=seed,
            neighbours=neighbours,
            painted_ground=_optional(painted_ground),
            conditions=conditions,
            output=output,
        )
        response: scene_service_pb2.EditSceneResponse = self._call(self._scenes.EditScene, request)
        return response

    def encode_scene(
        self,
        model: str,
        heights: npt.NDArray[np.float32] | npt.NDArray[np.uint16],
        *,
        scale_metres: float = 0.0,
        offset_metres: float = 0.0,
        ground: npt.NDArray[np.uint8] | None = None,
        objects: npt.NDArray[np.uint8] | None = None,
        space: asset_pb2.CoordinateSpace = asset_pb2.COORDINATE_SPACE_GLTF,
        metres_per_cell: float = 0.0,
        version: int = 0,
    ) -> scene_service_pb2.EncodeSceneResponse:
        """Encode heights [N, V, V], with ground and object classes uint8[N, T, T] where they are known.

        float32 heights are metres; uint16 ones need the metres of a step and the height of the value 0. The length of a cell in
        metres must be the model's; 0 says that it is.
        """
        request = scene_service_pb2.EncodeSceneRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            heights=scene_service_pb2.Heightmap(
                values=tensors.from_array(heights), scale_metres=scale_metres, offset_metres=offset_metres
            ),
            ground=_optional(ground),
            objects=_optional(objects),
            space=space,
            metres_per_cell=metres_per_cell,
        )
        response: scene_service_pb2.EncodeSceneResponse = self._call(self._scenes.EncodeScene, request)
        return response

    def stream_scenes(
        self,
        model: str,
        seed: int,
        coordinates: Sequence[tuple[int, int]] = (),
        *,
        path: scene_service_pb2.CameraPath | None = None,
        codes: npt.NDArray[np.uint16] | None = None,
        fit_world: bool = False,
        conditions: scene_service_pb2.SceneConditions | None = None,
        output: scene_service_pb2.SceneOutput | None = None,
        version: int = 0,
    ) -> Iterator[scene_service_pb2.StreamScenesResponse]:
        """Generate tiles by coordinates or along a camera's path; each comes when it is ready, and its index says which it is.

        `codes` and `fit_world` are those of `generate_scene`, for coordinates.
        The call has no deadline: closing the iterator ends it.
        """
        request = scene_service_pb2.StreamScenesRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            seed=seed,
            coordinates=_coordinates(coordinates),
            path=path,
            codes=_optional(codes),
            fit_world=fit_world,
            conditions=conditions,
            output=output,
        )
        yield from messages(self._scenes.StreamScenes(request))


def heights(heightmap: scene_service_pb2.Heightmap) -> npt.NDArray[np.float32]:
    """Return heights float32[..., V, V] in metres, whatever their format."""
    values = tensors.to_array(heightmap.values, "heights.values")
    if values.dtype == np.float32:
        return values
    return (heightmap.offset_metres + heightmap.scale_metres * values.astype(np.float64)).astype(np.float32)


def _coordinates(places: Sequence[tuple[int, int]]) -> list[scene_service_pb2.TileCoordinate]:
    for x, y in places:
        if not (-(2**31) <= x < 2**31 and -(2**31) <= y < 2**31):
            raise ValueError(f"the place of a tile is ({x}, {y}), expected 32-bit numbers; worlds end at 2,147,483,000")
    return [scene_service_pb2.TileCoordinate(x=x, y=y) for x, y in places]


def _optional(array: npt.NDArray[Any] | None) -> tensor_pb2.Tensor | None:
    return None if array is None else tensors.from_array(array)
