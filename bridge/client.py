"""A typed Python client of the sidecar, over gRPC.

`Client` is synchronous: one channel, arrays in, arrays out. Errors arrive as `ClientError` with the code, the message and
the path of the field at fault.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bridge import tensors
from bridge.client_channel import ClientTls, open_channel
from bridge.rpc import DETAILS_KEY
from bridge.v1 import (
    admin_service_pb2,
    asset_pb2,
    avatar_service_pb2,
    model_service_pb2,
    npc_service_pb2,
    picture_service_pb2,
    scene_service_pb2,
    tensor_pb2,
)
from bridge.v1.admin_service_pb2_grpc import AdminServiceStub
from bridge.v1.avatar_service_pb2_grpc import AvatarServiceStub
from bridge.v1.model_service_pb2_grpc import ModelServiceStub
from bridge.v1.npc_service_pb2_grpc import NpcServiceStub
from bridge.v1.picture_service_pb2_grpc import PictureServiceStub
from bridge.v1.scene_service_pb2_grpc import SceneServiceStub

Array = npt.NDArray[Any]


class ClientError(RuntimeError):
    """A call that failed: gRPC's status code, the sidecar's message, and the path of the field at fault or empty."""

    def __init__(self, code: grpc.StatusCode, message: str, field: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.field = field


@dataclass(frozen=True)
class Group:
    """Agents that share a policy, as `choose_actions` takes them: arrays have one row an agent.

    `states` is what the last answer gave, for a recurrent policy without a session. `frame_budget_ms` is the group's own, in
    place of the call's.
    """

    model: str
    agents: Sequence[int]
    observations: Mapping[str, Array]
    name: str = ""
    version: int = 0
    episode_starts: Sequence[bool] = ()
    action_mask: Array | None = None
    seeded: bool = False
    states: Mapping[str, Array] = field(default_factory=dict)
    frame_budget_ms: float = 0.0


@dataclass(frozen=True)
class GroupAnswer:
    """Actions by name [N, ...], and for each agent its status and source as the contract's enum numbers.

    `log_probabilities` are float32[N], or empty for a policy that has none. `states` are a recurrent policy's for the next
    call, by name [N, ...], where there is no session. `session_restarted` says that a session that went on was not kept.
    """

    actions: dict[str, Array]
    statuses: list[int]
    sources: list[int]
    failures: dict[int, str]
    log_probabilities: Array
    model: str
    version: int
    provider: str
    states: dict[str, Array]
    session_restarted: bool


class Client:
    """A connection to a sidecar; `with Client("127.0.0.1:50051") as client` closes it at the end.

    An address is `host:port` or `unix:path`. `token` is sent with every call, for a sidecar that wants one; `tls` names the
    files for one that speaks TLS.
    """

    def __init__(self, address: str, *, timeout: float = 30.0, token: str = "", tls: ClientTls | None = None) -> None:
        self.channel = open_channel(address, token, tls)
        self._timeout = timeout
        self._keepers: dict[str, int] = {}
        self._admin = AdminServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self._models = ModelServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self._avatars = AvatarServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self._pictures = PictureServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self._scenes = SceneServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self._npcs = NpcServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.channel.close()

    def wait_until_serving(self, timeout: float = 30.0) -> None:
        """Return when the sidecar's health is SERVING; `TimeoutError` if that takes longer than `timeout` seconds."""
        stub = health_pb2_grpc.HealthStub(self.channel)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"the sidecar is not serving after {timeout:g} s; its log says why")

    def models(self) -> list[model_service_pb2.Model]:
        """List every bundle of the sidecar."""
        answer = self._call(self._models.ListModels, model_service_pb2.ListModelsRequest())
        return list(answer.models)

    def model(self, name: str, version: int = 0) -> model_service_pb2.GetModelResponse:
        """Describe one bundle; version 0 is the latest."""
        selector = model_service_pb2.ModelSelector(name=name, version=version)
        response: model_service_pb2.GetModelResponse = self._call(
            self._models.GetModel, model_service_pb2.GetModelRequest(model=selector)
        )
        return response

    def load_model(self, name: str, version: int = 0) -> model_service_pb2.Model:
        """Load a bundle afresh and swap it in; version 0 is the latest in the models folder. Needs the admin token."""
        selector = model_service_pb2.ModelSelector(name=name, version=version)
        answer = self._call(self._admin.LoadModel, admin_service_pb2.LoadModelRequest(model=selector))
        model: model_service_pb2.Model = answer.model
        return model

    def unload_model(self, name: str, version: int = 0) -> model_service_pb2.Model:
        """Take a bundle out of service; version 0 is the latest that serves. Needs the admin token."""
        selector = model_service_pb2.ModelSelector(name=name, version=version)
        answer = self._call(self._admin.UnloadModel, admin_service_pb2.UnloadModelRequest(model=selector))
        model: model_service_pb2.Model = answer.model
        return model

    def reload_models(self) -> list[model_service_pb2.Model]:
        """Bring the sidecar in step with its models folder now; list every bundle. Needs the admin token."""
        answer = self._call(self._admin.ReloadModels, admin_service_pb2.ReloadModelsRequest())
        return list(answer.models)

    def generate_avatars(
        self, model: str, spec: avatar_service_pb2.AvatarSpec, version: int = 0
    ) -> avatar_service_pb2.GenerateAvatarsResponse:
        """Generate avatars in one message."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        request = avatar_service_pb2.GenerateAvatarsRequest(model=selector, spec=spec)
        response: avatar_service_pb2.GenerateAvatarsResponse = self._call(self._avatars.GenerateAvatars, request)
        return response

    def stream_avatars(
        self, model: str, spec: avatar_service_pb2.AvatarSpec, version: int = 0
    ) -> Iterator[avatar_service_pb2.Avatar]:
        """Generate avatars one after another, of any size; each is put together from its chunks."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        request = avatar_service_pb2.StreamAvatarsRequest(model=selector, spec=spec)
        for message in _whole(self._avatars.StreamAvatars(request, timeout=self._timeout)):
            yield message.avatar

    def project_avatar(
        self,
        model: str,
        picture: bytes | npt.NDArray[np.uint8],
        *,
        refine_steps: int = 0,
        seed: int = 0,
        controls: Mapping[str, float] | None = None,
        image: asset_pb2.ImageSpec | None = None,
        version: int = 0,
    ) -> avatar_service_pb2.ProjectAvatarResponse:
        """Find the avatar nearest to a picture: a file's bytes, or pixels uint8[height, width, 3 or 4] (straight alpha)."""
        request = avatar_service_pb2.ProjectAvatarRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            refine_steps=refine_steps,
            seed=seed,
            controls=controls,
            image=image,
        )
        if isinstance(picture, bytes):
            request.file = picture
        else:
            request.pixels.CopyFrom(_rgba8(picture))
        response: avatar_service_pb2.ProjectAvatarResponse = self._call(self._avatars.ProjectAvatar, request)
        return response

    def morph_avatar(
        self,
        model: str,
        spec: avatar_service_pb2.AvatarSpec,
        *,
        seconds_per_key: float = 0.0,
        frame_rate: float = 0.0,
        loop: bool = False,
        real_time: bool = True,
        version: int = 0,
    ) -> Iterator[avatar_service_pb2.MorphAvatarResponse]:
        """Generate the frames of a morph through the avatars of `spec`, each put together from its chunks.

        The call has no deadline, since it lasts as long as the morph: closing the iterator ends it.
        """
        request = avatar_service_pb2.MorphAvatarRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            spec=spec,
            seconds_per_key=seconds_per_key,
            frame_rate=frame_rate,
            loop=loop,
            pacing=avatar_service_pb2.PACING_REAL_TIME if real_time else avatar_service_pb2.PACING_UNPACED,
        )
        yield from _whole(self._avatars.MorphAvatar(request))

    def generate_scene(
        self,
        model: str,
        seeds: Sequence[int],
        coordinates: Sequence[tuple[int, int]] = (),
        *,
        codes: npt.NDArray[np.uint16] | None = None,
        painted_ground: npt.NDArray[np.int8] | None = None,
        conditions: scene_service_pb2.SceneConditions | None = None,
        output: scene_service_pb2.SceneOutput | None = None,
        version: int = 0,
    ) -> scene_service_pb2.GenerateSceneResponse:
        """Generate tiles of worlds in one message, or decode codes uint16[N, G, G] to tiles that fit each other."""
        request = scene_service_pb2.GenerateSceneRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            seeds=seeds,
            coordinates=_coordinates(coordinates),
            codes=_optional(codes),
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
        heights: npt.NDArray[np.float32],
        *,
        ground: npt.NDArray[np.uint8] | None = None,
        objects: npt.NDArray[np.uint8] | None = None,
        space: asset_pb2.CoordinateSpace = asset_pb2.COORDINATE_SPACE_GLTF,
        version: int = 0,
    ) -> scene_service_pb2.EncodeSceneResponse:
        """Encode heights float32[N, V, V] in metres, with ground and object classes uint8[N, T, T] where they are known."""
        request = scene_service_pb2.EncodeSceneRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            heights=scene_service_pb2.Heightmap(values=tensors.from_array(heights)),
            ground=_optional(ground),
            objects=_optional(objects),
            space=space,
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
        conditions: scene_service_pb2.SceneConditions | None = None,
        output: scene_service_pb2.SceneOutput | None = None,
        version: int = 0,
    ) -> Iterator[scene_service_pb2.StreamScenesResponse]:
        """Generate tiles by coordinates or along a camera's path; each comes when it is ready, and its index says which it is.

        The call has no deadline: closing the iterator ends it.
        """
        request = scene_service_pb2.StreamScenesRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version),
            seed=seed,
            coordinates=_coordinates(coordinates),
            path=path,
            conditions=conditions,
            output=output,
        )
        yield from _messages(self._scenes.StreamScenes(request))

    def encode_pictures(
        self, model: str, files: Sequence[bytes], *, version: int = 0
    ) -> picture_service_pb2.EncodePicturesResponse:
        """Encode picture files (PNG, JPEG, WebP, BMP, GIF), each the square in its middle, resized."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        request = picture_service_pb2.EncodePicturesRequest(model=selector, files=files)
        response: picture_service_pb2.EncodePicturesResponse = self._call(self._pictures.EncodePictures, request)
        return response

    def decode_pictures(
        self,
        model: str,
        codes: npt.NDArray[np.uint16],
        *,
        image: asset_pb2.ImageSpec | None = None,
        version: int = 0,
    ) -> picture_service_pb2.DecodePicturesResponse:
        """Decode codes uint16[N, G, G] to images."""
        request = picture_service_pb2.DecodePicturesRequest(
            model=model_service_pb2.ModelSelector(name=model, version=version), codes=tensors.from_array(codes), image=image
        )
        response: picture_service_pb2.DecodePicturesResponse = self._call(self._pictures.DecodePictures, request)
        return response

    def choose_actions(
        self,
        groups: Sequence[Group],
        *,
        session: str = "",
        tick: int = 0,
        seed: int = 0,
        frame_budget_ms: float = 0.0,
    ) -> list[GroupAnswer]:
        """Choose the actions of all agents of a tick.

        With a frame budget the answer leaves the sidecar after so many milliseconds, whatever is ready: the agents of a late
        policy have the status LATE, and their last action or a neutral one. 0 waits for every policy.
        """
        request = npc_service_pb2.ChooseActionsRequest(
            session_id=session,
            groups=[_group(group) for group in groups],
            tick=tick,
            seed=seed,
            frame_budget_ms=frame_budget_ms,
            keeper=self._keepers.get(session, 0),
        )
        answer = self._call(self._npcs.ChooseActions, request)
        if session:
            self._keepers[session] = answer.keeper
        return [_group_answer(group, answer.session_restarted) for group in answer.groups]

    def describe_policy(self, model: str, version: int = 0) -> npc_service_pb2.DescribePolicyResponse:
        """Describe what a policy observes and how it acts."""
        selector = model_service_pb2.ModelSelector(name=model, version=version)
        response: npc_service_pb2.DescribePolicyResponse = self._call(
            self._npcs.DescribePolicy, npc_service_pb2.DescribePolicyRequest(model=selector)
        )
        return response

    def end_session(self, session: str) -> bool:
        """End a session; return whether the sidecar kept anything for it."""
        self._keepers.pop(session, None)
        answer = self._call(self._npcs.EndSession, npc_service_pb2.EndSessionRequest(session_id=session))
        return bool(answer.existed)

    @contextlib.contextmanager
    def hold_session(self, session: str) -> Iterator[None]:
        """Hold a session until the block ends, or this process or its connection does: then the sidecar ends it."""
        call = self._npcs.HoldSession(npc_service_pb2.HoldSessionRequest(session_id=session))
        try:
            next(call)
            yield
        except grpc.RpcError as error:
            raise client_error(error) from error
        finally:
            call.cancel()
            self._keepers.pop(session, None)

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise client_error(error) from error


def client_error(error: grpc.RpcError) -> ClientError:
    """Return the sidecar's error in a failed call, with the field path out of its google.rpc details."""
    call: Any = error
    fields = []
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY:
            for detail in Status.FromString(value).details:
                bad_request = BadRequest()
                if detail.Unpack(bad_request):
                    fields += [violation.field for violation in bad_request.field_violations]
    return ClientError(call.code(), call.details() or "", fields[0] if fields else "")


def styles(avatars: Sequence[avatar_service_pb2.Avatar]) -> tensor_pb2.Tensor:
    """Return the styles of N avatars as `AvatarSpec.styles` takes them; each must have come with its styles."""
    return tensors.from_array(np.concatenate([tensors.to_array(avatar.styles, "styles") for avatar in avatars]))


def rgba(image: asset_pb2.Image) -> npt.NDArray[np.uint8]:
    """Return the full size of an RGBA8 image as uint8[height, width, 4], rows as they were sent."""
    count = image.width_px * image.height_px * 4
    return np.frombuffer(image.data, np.uint8, count).reshape(image.height_px, image.width_px, 4)


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


def _optional(array: Array | None) -> tensor_pb2.Tensor | None:
    return None if array is None else tensors.from_array(array)


def _messages(call: Any) -> Iterator[Any]:
    """Yield the messages of a stream; leaving the iteration ends the call."""
    try:
        yield from call
    except grpc.RpcError as error:
        raise client_error(error) from error
    finally:
        call.cancel()


def _rgba8(pixels: npt.NDArray[np.uint8]) -> asset_pb2.Image:
    height, width, channels = pixels.shape
    if channels == 3:
        pixels = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], axis=2)
    return asset_pb2.Image(
        format=asset_pb2.IMAGE_FORMAT_RGBA8, width_px=width, height_px=height, mip_levels=1, data=pixels.tobytes()
    )


def _whole(call: Any) -> Iterator[Any]:
    """Yield the messages of a stream of avatars, each with the whole image in place of its last chunk."""
    parts: list[bytes] = []
    try:
        for message in call:
            parts.append(message.avatar.image.data)
            if message.chunk_index + 1 == message.chunk_count:
                message.avatar.image.data = b"".join(parts)
                parts = []
                yield message
    except grpc.RpcError as error:
        raise client_error(error) from error
    finally:
        call.cancel()


def _group(group: Group) -> npc_service_pb2.PolicyGroup:
    sampling = npc_service_pb2.SAMPLING_SEEDED if group.seeded else npc_service_pb2.SAMPLING_DETERMINISTIC
    mask = None if group.action_mask is None else tensors.from_array(group.action_mask)
    return npc_service_pb2.PolicyGroup(
        name=group.name,
        model=model_service_pb2.ModelSelector(name=group.model, version=group.version),
        agent_ids=group.agents,
        observations=tensors.from_arrays(group.observations),
        episode_starts=group.episode_starts,
        action_mask=mask,
        sampling=sampling,
        states=tensors.from_arrays(group.states),
        frame_budget_ms=group.frame_budget_ms,
    )


def _group_answer(group: npc_service_pb2.GroupActions, restarted: bool) -> GroupAnswer:
    return GroupAnswer(
        actions={a.name: tensors.to_array(a.tensor, f"actions.{a.name}") for a in group.actions},
        statuses=list(group.statuses),
        sources=list(group.sources),
        failures={failure.agent_id: failure.message for failure in group.failures},
        log_probabilities=np.array(group.log_probabilities, np.float32),
        model=group.model.name,
        version=group.model.version,
        provider=group.model.provider,
        states={s.name: tensors.to_array(s.tensor, f"states.{s.name}") for s in group.states},
        session_restarted=restarted,
    )
