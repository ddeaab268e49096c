"""`python -m export npc onnx`: publishes whatever policy a file holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from export.npc.to_onnx import PolicyOptions, export_policy


@dataclass(frozen=True)
class OnnxConfig:
    """Publishes a policy as an ONNX bundle, after checking that ONNX Runtime acts as what it was trained with does.

    Zip and pickle files of strangers are opened without running their code. A .pt2 file, MODULE:FUNCTION and the checkpoint of
    an RLModule are code, and so is whatever --trust lets in: publish only those of people you trust.
    """

    source: Annotated[str, tyro.conf.arg(name="from")] = "runs/npc/assistant"
    """default, the committed assistant; a run folder or checkpoint of the assistant or the follower; a policy.zip of
    Stable-Baselines3 or sb3-contrib; a .onnx file of ML-Agents, or any with --spec; a .pt2 file of torch.export or
    MODULE:FUNCTION that returns a module, both with --spec; or the checkpoint folder of an RLModule of RLlib."""
    name: str = "assistant"
    """Name of the model in the models folder."""
    models: Path = Path("models")
    """The models folder that the sidecar serves."""
    version: int = 0
    """Version to publish; 0 takes the next free one."""
    normalizer: Path | None = None
    """The vecnormalize.pkl that VecNormalize.save() wrote beside a policy.zip."""
    frame_stack: int = 1
    """Frames that VecFrameStack put together; the graph takes one, and the sidecar keeps the others."""
    image_layout: str = "hwc"
    """Axes of raw pictures: hwc, as environments and engines have them, or chw."""
    observations: Path | None = None
    """An .npz file of raw observations, an array [N, ...] for each, for the parity gate; by default they are drawn."""
    spec: Path | None = None
    """A JSON file with the npc section of the card, for files that do not say what they observe and how they act."""
    tick_seconds: float = 0.0
    """Seconds from decision to decision in training; 0 for unknown."""
    environment: str = "not named"
    """What the policy was trained in, for the card."""
    environment_licence: str = "not named"
    """The licence of that."""
    trust: tuple[str, ...] = ()
    """Modules whose classes a zip or pickle file may name; "everything" also runs code that lies in the file itself."""

    def run(self) -> None:
        """Publishes the bundle and prints its folder."""
        if self.image_layout not in ("hwc", "chw"):
            raise ValueError(f'--image-layout is "{self.image_layout}", expected hwc or chw')
        options = PolicyOptions(
            frames=self.frame_stack,
            channels_last=self.image_layout == "hwc",
            tick_seconds=self.tick_seconds,
            recorded=self.observations,
            environment=self.environment,
            environment_licence=self.environment_licence,
            trust=self.trust,
        )
        folder = export_policy(
            self.source,
            self.models,
            self.name,
            normalizer=self.normalizer,
            spec=self.spec,
            options=options,
            version=self.version or None,
        )
        print(folder)
