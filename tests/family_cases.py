"""What the compliance rules need to know of each family: adding a family means adding one entry to `CASES`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tiny_models
from google.protobuf.message import Message

from bridge import tensors
from bridge.services import FAMILIES
from bridge.v1 import asset_pb2, avatar_service_pb2, npc_service_pb2
from bridge.v1.model_service_pb2 import ModelSelector


@dataclass(frozen=True)
class Case:
    """What the rules need to know of a family."""

    method: str
    answer: type[Message]
    write: Callable[[Path, str, int], Path]
    """Writes a bundle of the family."""
    request: Callable[[int, int], Any]
    """A good request with rows and a seed for the model called as the family: equal arguments, equal requests."""
    selector: str
    """Path of the ModelSelector in a request, and of ServedBy in an answer."""
    rows: str
    """Path that is at fault when there are no rows or too many."""
    tensors: tuple[str, ...]
    """Paths of the tensors of a request."""
    numbers: Callable[[Any], np.ndarray]
    """The numbers of an answer that equal requests agree on within 1e-4 of their scale."""


def normals(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def avatar_request(rows: int, seed: int) -> Any:
    latents = normals(rows, 4, seed)
    spec = avatar_service_pb2.AvatarSpec(
        seeds=[seed] * rows,
        latents=tensors.from_array(latents),
        truncation=avatar_service_pb2.Truncation(psi=0.8),
        style_mixing=avatar_service_pb2.StyleMixing(seeds=[seed], layer=1),
        image=asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8),
    )
    return avatar_service_pb2.GenerateAvatarsRequest(model=ModelSelector(name="avatar"), spec=spec)


def avatar_numbers(answer: Any) -> np.ndarray:
    pictures = [np.frombuffer(avatar.image.data, np.uint8) for avatar in answer.avatars]
    return np.array(pictures, np.float64) * 1e-4 / 2  # a value on the edge of two bytes may fall to either side


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


CASES = {
    "avatar": Case(
        method="bridge.v1.AvatarService/GenerateAvatars",
        answer=avatar_service_pb2.GenerateAvatarsResponse,
        write=tiny_models.write_avatar,
        request=avatar_request,
        selector="model",
        rows="spec.latents",
        tensors=("spec.latents",),
        numbers=avatar_numbers,
    ),
    "npc": Case(
        method="bridge.v1.NpcService/ChooseActions",
        answer=npc_service_pb2.ChooseActionsResponse,
        write=tiny_models.write_npc,
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
            CASES[family].write(models, family, version)
        graph = next(CASES[family].write(models, f"{family}-broken", 1).glob("*.onnx"))
        graph.write_bytes(graph.read_bytes()[:-7])


def same(case: Case, expected: bytes, answer: bytes) -> None:
    """Assert that two answers are equal within the parity tolerance."""
    one, two = case.answer.FromString(expected), case.answer.FromString(answer)
    np.testing.assert_allclose(case.numbers(one), case.numbers(two), rtol=0, atol=1e-4)
