"""What a saved policy does not say of itself, and has to be told to whoever publishes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from export.npc.spaces import NO_NOTES, Notes


@dataclass(frozen=True)
class PolicyOptions:
    """What a saved policy does not say of itself."""

    frames: int = 1
    """Frames that a VecFrameStack put together; the sidecar keeps the earlier ones for each agent."""
    channels_last: bool = True
    """Whether raw pictures have their channels last, as environments and engines have them."""
    tick_seconds: float = 0.0
    """Seconds from decision to decision; 0 for unknown."""
    recorded: Path | None = None
    """An .npz file of raw observations, an array [N, ...] for each, that the gate takes in place of drawn ones."""
    environment: str = "not named"
    """What the policy was trained in."""
    environment_licence: str = "not named"
    """Its licence."""
    trust: Collection[str] = ()
    """Modules whose code a file may ask for, or `everything`; by default none beyond those of policies."""
    observation_notes: Mapping[str, Notes] = field(default_factory=dict)
    """Names and units of the elements of observations."""
    action_notes: Notes = NO_NOTES
    """Names and units of the elements of the action."""
