"""Publishes a trained assistant as a bundle whose card names what it perceives and how it acts."""

from __future__ import annotations

from pathlib import Path

from export import checkpoint
from export.checkpoint import CheckpointError
from export.npc.assistant.trained import BEST, CHECKPOINT, KIND, open_player
from export.npc.policy_options import PolicyOptions
from export.npc.sb3_graph.publish import export_sb3
from export.npc.spaces import Notes
from export.npc.world import spec

SPEECH = tuple(f"embedding_{index}" for index in range(spec.LANGUAGE_SIZE))
SENSES = {
    "vision": Notes(
        tuple(f"ray_{degrees}_{channel}" for degrees in spec.RAY_DEGREES for channel in spec.VISION_CHANNELS),
        "rays by degrees to the left of forward; 1 near to 0 far, and 1 for what was seen",
    ),
    "audio": Notes(
        tuple(f"{band}_{channel}" for band in spec.BANDS for channel in spec.AUDIO_CHANNELS),
        "level from 0 to 1; sine and cosine of the direction, from forward to the left",
    ),
    "language": Notes(SPEECH, "embedding of the request"),
    "touch": Notes(spec.TOUCH, "1 for the hardest contact; sectors by degrees from forward to the left"),
    "own": Notes(spec.OWN, "shares from -1 to 1"),
}
ACTION = Notes(("speed", "turn", "act"), "indices of bins of speed and of turn rate, and of acts")


def is_assistant(source: Path) -> bool:
    """Return whether a run folder, a checkpoint file or "default" holds a policy of the assistant's world."""
    path = source / (BEST if (source / BEST).exists() else CHECKPOINT) if source.is_dir() else source
    if str(source) == "default":
        return True
    try:
        checkpoint.load(path, KIND)
    except CheckpointError:
        return False
    return True


def export_assistant(source: Path, models: Path, name: str, version: int | None = None) -> Path:
    """Publish a run folder, a checkpoint file or "default"; return the bundle's folder. Raises what `publish` raises."""
    player = open_player(source)
    named = player.view == "multi_discrete"
    options = PolicyOptions(
        tick_seconds=spec.DT,
        environment="the assistant's world",
        environment_licence="Apache-2.0",
        observation_notes=SENSES,
        action_notes=ACTION if named else Notes(),
    )
    return export_sb3(player.model, models, name, options=options, version=version)
