"""What the compliance rules need to know of each call: a new family adds a writer, and an entry to `CASES` a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import picture_cases
import scene_cases
import tiny_models
import tiny_picture
import tiny_scene
from google.protobuf.message import Message
from wire import Answer, Wire

from bridge import tensors
from bridge.services import FAMILIES
from bridge.v1 import asset_pb2, avatar_service_pb2, npc_service_pb2, picture_service_pb2, scene_service_pb2
from bridge.v1.model_service_pb2 import ModelSelector


@dataclass(frozen=True)
class Case:
    """What the rules need to know of a call."""

    family: str
    method: str
    answer: type[Message]
    request: Callable[[int, int], Any]
    """A good request with rows (or the fewest it can have) and a seed, for the model called as the family."""
    selector: str
    """Path of the ModelSelector in a request, and of ServedBy in an answer."""
    rows: str
    """Path that is at fault when there are no rows or too many; empty for a call that has no rows."""
    tensors: tuple[str, ...]
    """Paths of the tensors of a request that have rows."""
    numbers: Callable[[Any], np.ndarray]
    """The numbers of an answer that equal requests agree on within 1e-4 of their scale."""
    stream: tuple[type[Message], str, str] | None = None
    """For a stream: the message that its answers are joined to, the field that each has, and the one that they go to."""
    index: str = ""
    """The field that puts the answers of a stream in order, where they come as they are ready."""
    single: tuple[str, ...] = ()
    """Paths of the tensors of a request that have no rows."""
    counted_by: Mapping[str, str] = field(default_factory=dict)
    """Paths that are at fault when these tensors have a row too many, where it is not their own shape."""
    first_graph: str = ""
    """The graph that a call runs first; empty for the first in the card."""
    runs_alone: bool = False
    """Whether each row is run by itself, whatever else waits."""

    def call(self, wire: Wire, request: Any, timeout_s: float | None = None) -> Answer:
        """Send a request, a message or bytes; the messages of a stream are joined to one."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        answer = wire.call(self.method, data, stream=bool(self.stream), timeout_s=timeout_s)
        if self.stream and answer.code == "OK":
            joined, one, many = self.stream
            parts = [self.answer.FromString(message) for message in answer.messages]
            if self.index:
                parts.sort(key=lambda part: getattr(part, self.index))
            whole = joined(model=parts[0].model, **{many: [getattr(part, one) for part in parts]})
            answer.messages = [whole.SerializeToString()]
        return answer

    def read(self, message: bytes) -> Any:
        """Parse what `call` returned."""
        return (self.stream[0] if self.stream else self.answer).FromString(message)


def normals(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def avatar_request(rows: int, seed: int) -> Any:
    latents = normals(rows, 4, seed)
    spec = avatar_service_pb2.AvatarSpec(
        seeds=[seed] * rows,
        latents=tensors.from_array(latents),
        truncation=avatar_service_pb2.Truncation(psi=0.8),
        style_mixing=avatar_service_pb2.StyleMixing(seeds=[seed], first_layer=1),
        controls={"glasses": 0.5, "hair": -1.5},
        image=asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8),
    )
    return avatar_service_pb2.GenerateAvatarsRequest(model=ModelSelector(name="avatar"), spec=spec)


def avatar_numbers(answer: Any) -> np.ndarray:
    pictures = [np.frombuffer(avatar.image.data, np.uint8) for avatar in answer.avatars]
    return np.array(pictures, np.float64) * 1e-4 / 2  # a value on the edge of two bytes may fall to either side


def styles_request(rows: int, seed: int) -> Any:
    request = avatar_request(rows, seed)
    styles = normals(rows, 8, seed).reshape(rows, 2, 4)
    request.spec.ClearField("latents")
    request.spec.styles.CopyFrom(tensors.from_array(styles))
    request.spec.return_styles = True
    return request


def morph_request(rows: int, seed: int) -> Any:
    keys = max(rows, 2) if rows else 0
    return avatar_service_pb2.MorphAvatarRequest(
        model=ModelSelector(name="avatar"),
        spec=avatar_request(keys, seed).spec,
        seconds_per_key=0.2,
        loop=True,
        pacing=avatar_service_pb2.PACING_UNPACED,
    )


def project_request(rows: int, seed: int) -> Any:
    """Project a picture of so many rows of pixels, at least 8; none of no rows, and only the head of one too large."""
    height = max(rows, 8) if rows else 0
    pixels = np.random.default_rng(seed).integers(0, 256, 4 * 32 * (height if rows < 1000 else 0), np.uint8)
    image = asset_pb2.Image(format=asset_pb2.IMAGE_FORMAT_RGBA8, width_px=32, height_px=height, data=pixels.tobytes())
    return avatar_service_pb2.ProjectAvatarRequest(
        model=ModelSelector(name="avatar"),
        pixels=image,
        seed=seed,
        controls={"glasses": 0.5},
        image=asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8),
    )


def project_numbers(answer: Any) -> np.ndarray:
    picture = avatar_numbers(avatar_service_pb2.GenerateAvatarsResponse(avatars=[answer.avatar]))
    styles = tensors.to_array(answer.avatar.styles, "styles")
    return np.concatenate([picture.ravel(), styles.ravel() / 10, [answer.pixel_distance]])


def npc_request(rows: int, seed: int) -> Any:
    place = normals(rows, 3, seed)
    mask = np.tile(np.array([True, False, True, True, True]), (rows, 1))
    group = npc_service_pb2.PolicyGroup(
        name="guards",
        model=ModelSelector(name="npc"),
        agent_ids=np.arange(rows, dtype=np.uint64) + np.uint64(7),
        observations=tensors.from_arrays({"position": place}),
        episode_starts=[True] * rows,
        action_mask=tensors.from_array(mask),
        sampling=npc_service_pb2.SAMPLING_SEEDED,
    )
    return npc_service_pb2.ChooseActionsRequest(groups=[group], tick=3, seed=seed)


def npc_numbers(answer: Any) -> np.ndarray:
    (group,) = answer.groups
    arrays = [tensors.to_array(action.tensor, action.name) for action in group.actions]
    return np.concatenate([array.astype(np.float64) for array in arrays], axis=1)


WRITERS = {
    "avatar": tiny_models.write_portrait,
    "scene": tiny_scene.write_scene,
    "picture": tiny_picture.write_picture,
    "npc": tiny_models.write_npc,
}

CASES = {
    "GenerateAvatars": Case(
        family="avatar",
        method="bridge.v1.AvatarService/GenerateAvatars",
        answer=avatar_service_pb2.GenerateAvatarsResponse,
        request=avatar_request,
        selector="model",
        rows="spec.latents",
        tensors=("spec.latents",),
        counted_by={"spec.latents": "spec.seeds"},
        numbers=avatar_numbers,
    ),
    "StreamAvatars": Case(
        family="avatar",
        method="bridge.v1.AvatarService/StreamAvatars",
        answer=avatar_service_pb2.StreamAvatarsResponse,
        request=styles_request,
        selector="model",
        rows="spec.styles",
        tensors=("spec.styles",),
        counted_by={"spec.styles": "spec.seeds"},
        numbers=avatar_numbers,
        stream=(avatar_service_pb2.GenerateAvatarsResponse, "avatar", "avatars"),
    ),
    "MorphAvatar": Case(
        family="avatar",
        method="bridge.v1.AvatarService/MorphAvatar",
        answer=avatar_service_pb2.MorphAvatarResponse,
        request=morph_request,
        selector="model",
        rows="spec.latents",
        tensors=("spec.latents",),
        counted_by={"spec.latents": "spec.seeds"},
        numbers=avatar_numbers,
        stream=(avatar_service_pb2.GenerateAvatarsResponse, "avatar", "avatars"),
    ),
    "ProjectAvatar": Case(
        family="avatar",
        method="bridge.v1.AvatarService/ProjectAvatar",
        answer=avatar_service_pb2.ProjectAvatarResponse,
        request=project_request,
        selector="model",
        rows="pixels",
        tensors=(),
        numbers=project_numbers,
    ),
    "GenerateScene": Case(
        family="scene",
        method="bridge.v1.SceneService/GenerateScene",
        answer=scene_service_pb2.GenerateSceneResponse,
        request=scene_cases.generate_request,
        selector="model",
        rows="seeds",
        tensors=("painted_ground",),
        numbers=scene_cases.numbers,
        runs_alone=True,
    ),
    "GenerateScene, saved": Case(
        family="scene",
        method="bridge.v1.SceneService/GenerateScene",
        answer=scene_service_pb2.GenerateSceneResponse,
        request=scene_cases.saved_request,
        selector="model",
        rows="seeds",
        tensors=("codes",),
        numbers=scene_cases.numbers,
        first_graph="decoder",
        runs_alone=True,
    ),
    "ExtendScene": Case(
        family="scene",
        method="bridge.v1.SceneService/ExtendScene",
        answer=scene_service_pb2.ExtendSceneResponse,
        request=scene_cases.extend_request,
        selector="model",
        rows="neighbours",
        tensors=(),
        single=("neighbours[0].codes", "neighbours[0].heights.values", "painted_ground"),
        numbers=scene_cases.tile_numbers,
        first_graph="decoder",
        runs_alone=True,
    ),
    "EditScene": Case(
        family="scene",
        method="bridge.v1.SceneService/EditScene",
        answer=scene_service_pb2.EditSceneResponse,
        request=scene_cases.edit_request,
        selector="model",
        rows="",
        tensors=(),
        single=("tile.heights.values", "tile.ground", "tile.objects", "tile.codes", "mask", "painted_ground"),
        numbers=scene_cases.tile_numbers,
        runs_alone=True,
    ),
    "EncodeScene": Case(
        family="scene",
        method="bridge.v1.SceneService/EncodeScene",
        answer=scene_service_pb2.EncodeSceneResponse,
        request=scene_cases.encode_request,
        selector="model",
        rows="heights.values",
        tensors=("heights.values", "ground", "objects"),
        counted_by={"heights.values": "ground.shape"},
        numbers=scene_cases.encode_numbers,
        first_graph="encoder",
        runs_alone=True,
    ),
    "StreamScenes": Case(
        family="scene",
        method="bridge.v1.SceneService/StreamScenes",
        answer=scene_service_pb2.StreamScenesResponse,
        request=scene_cases.stream_request,
        selector="model",
        rows="coordinates",
        tensors=(),
        numbers=scene_cases.numbers,
        stream=(scene_service_pb2.GenerateSceneResponse, "tile", "tiles"),
        index="index",
        runs_alone=True,
    ),
    "StreamScenes, saved": Case(
        family="scene",
        method="bridge.v1.SceneService/StreamScenes",
        answer=scene_service_pb2.StreamScenesResponse,
        request=scene_cases.saved_stream_request,
        selector="model",
        rows="coordinates",
        tensors=("codes",),
        numbers=scene_cases.numbers,
        stream=(scene_service_pb2.GenerateSceneResponse, "tile", "tiles"),
        index="index",
        first_graph="decoder",
        runs_alone=True,
    ),
    "EncodePictures": Case(
        family="picture",
        method="bridge.v1.PictureService/EncodePictures",
        answer=picture_service_pb2.EncodePicturesResponse,
        request=picture_cases.encode_request,
        selector="model",
        rows="files",
        tensors=(),
        numbers=picture_cases.encode_numbers,
        runs_alone=True,
    ),
    "DecodePictures": Case(
        family="picture",
        method="bridge.v1.PictureService/DecodePictures",
        answer=picture_service_pb2.DecodePicturesResponse,
        request=picture_cases.decode_request,
        selector="model",
        rows="codes",
        tensors=(),
        single=("codes",),
        numbers=picture_cases.decode_numbers,
        first_graph="decoder",
        runs_alone=True,
    ),
    "ChooseActions": Case(
        family="npc",
        method="bridge.v1.NpcService/ChooseActions",
        answer=npc_service_pb2.ChooseActionsResponse,
        request=npc_request,
        selector="groups[0].model",
        rows="groups",
        tensors=("groups[0].observations[0].tensor", "groups[0].action_mask"),
        numbers=npc_numbers,
    ),
}


def at(message: Any, path: str) -> Any:
    """Return the part of a message that a field path names."""
    for name, index in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
        message = getattr(message, name)
        if index:
            message = message[int(index)]
    return message


def write_models(models: Path) -> None:
    """Write for each family a good bundle in two versions, called as the family, and a damaged one, "<family>-broken"."""
    for family in FAMILIES:
        for version in (1, 2):
            WRITERS[family](models, family, version)
        graph = next(WRITERS[family](models, f"{family}-broken", 1).glob("*.onnx"))
        graph.write_bytes(graph.read_bytes()[:-7])


def same(case: Case, expected: bytes, answer: bytes) -> None:
    """Assert that two answers are equal within the parity tolerance."""
    one, two = case.read(expected), case.read(answer)
    np.testing.assert_allclose(case.numbers(one), case.numbers(two), rtol=0, atol=1e-4)
