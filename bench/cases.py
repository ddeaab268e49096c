"""The calls that are measured: real requests for real bundles, and the same work for bare ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from google.protobuf.message import Message

from bridge import seeds, tensors
from bridge.v1 import asset_pb2, avatar_service_pb2, model_service_pb2, npc_service_pb2

AGENTS = (1, 64, 1000)
AVATARS = (1, 16)


@dataclass(frozen=True)
class Case:
    """A call: its title, method and request, and a function that does its ONNX Runtime work alone."""

    title: str
    method: str
    request: Message
    bare: Callable[[], Any]


def cases(models: Path, policy: str, avatar: str) -> list[Case]:
    """Return the cases for a policy and an avatar bundle of the models folder."""
    return [*(actions(models, policy, n) for n in AGENTS), *(avatars(models, avatar, n) for n in AVATARS)]


def session(path: Path, threads: int) -> ort.InferenceSession:
    """Open a graph with the sidecar's own settings: no spinning, and as many threads as the family takes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def latest(models: Path, name: str) -> Path:
    """Return the folder of a bundle's highest version."""
    versions = [int(folder.name) for folder in (models / name).iterdir() if folder.name.isdecimal()]
    return models / name / str(max(versions))


def actions(models: Path, name: str, agents: int) -> Case:
    """Return a tick of so many agents of a policy, with observations drawn at random."""
    bundle = latest(models, name)
    spec = json.loads((bundle / "card.json").read_text())["spec"]
    generator = np.random.default_rng(agents)
    observations = {o["name"]: generator.normal(size=(agents, *o["shape"])).astype(np.float32) for o in spec["observations"]}
    group = npc_service_pb2.PolicyGroup(
        name="guards",
        model=model_service_pb2.ModelSelector(name=name),
        agent_ids=range(agents),
        observations=tensors.from_arrays(observations),
    )
    request = npc_service_pb2.ChooseActionsRequest(session_id="bench", groups=[group])
    feeds = dict(observations)
    if spec["noise"]:
        feeds["noise"] = np.zeros((agents, sum(part["size"] for part in spec["noise"])), np.float32)
    if spec["mask_size"]:
        feeds["action_mask"] = np.ones((agents, spec["mask_size"]), bool)
    policy = session(bundle / "policy.onnx", 1)
    title = f"ChooseActions, {agents:,} agent{'s' if agents > 1 else ''}"
    return Case(title, "NpcService/ChooseActions", request, lambda: policy.run(None, feeds))


def avatars(models: Path, name: str, count: int, threads: int = 0) -> Case:
    """Return a call for so many avatars of a bundle, as raw pixels; ONNX Runtime takes `threads` for it, 0 for all cores."""
    bundle = latest(models, name)
    spec = json.loads((bundle / "card.json").read_text())["spec"]
    image = asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_RGBA8)
    request = avatar_service_pb2.GenerateAvatarsRequest(
        model=model_service_pb2.ModelSelector(name=name),
        spec=avatar_service_pb2.AvatarSpec(seeds=range(count), image=image),
    )
    mapping, synthesis = (session(bundle / f"{graph}.onnx", threads) for graph in ("mapping", "synthesis"))
    z = seeds.latents(range(count), spec["latent_size"])
    feeds = {
        "z": z,
        "z_mix": z,
        "truncation": np.full(count, spec["default_truncation"], np.float32),
        "mix_start": np.zeros(count, np.int64),
        "mix_end": np.zeros(count, np.int64),
    }
    noise = seeds.avatar_noise(range(count), spec["noise_size"])

    def bare() -> Any:
        return synthesis.run(None, {"w": mapping.run(None, feeds)[0], "noise": noise})

    title = f"GenerateAvatars, {count} image{'s' if count > 1 else ''} of {spec['image_size']} px, RGBA8"
    return Case(title, "AvatarService/GenerateAvatars", request, bare)
