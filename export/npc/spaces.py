"""Gymnasium's spaces as a card describes them: names, types, shapes and ranges of observations and actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first

from bridge.npc_card import RESERVED

Space = spaces.Space[Any]
OBSERVATION, ACTION = "observation", "action"


@dataclass(frozen=True)
class Notes:
    """What a space does not say: names and units of an observation's or an action's elements, for people who read the card."""

    elements: tuple[str, ...] = ()
    units: str = ""


NO_NOTES = Notes()


def observation_spaces(space: Space) -> dict[str, Space]:
    """Return the spaces by the name of the observation: a Dict's keys, or `observation` for any other space."""
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {OBSERVATION: space}
    for name, part in parts.items():
        if not isinstance(part, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise ValueError(f'observation "{name}" is {part}, expected a Box, Discrete, MultiDiscrete or MultiBinary space')
        if name in RESERVED:
            raise ValueError(f'an observation is called "{name}", as an input or output of every policy; call it otherwise')
    return parts


def dtype_of(space: Space) -> str:
    """Return the type of an observation on the wire: whole numbers as they are, float32 for any real ones."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return "int64"
    kind = np.dtype(space.dtype)
    return "float32" if kind.kind == "f" else kind.name


def is_image(space: Space) -> bool:
    """Return whether Stable-Baselines3 takes a space for a picture: uint8 from 0 to 255, of 1, 3 or 4 channels."""
    return is_image_space(space)


def is_channels_first(space: spaces.Box) -> bool:
    """Return whether the first axis of a picture is its channels."""
    return is_image_space_channels_first(space)


def ranges(space: Space) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return least and largest values of an observation, arrays of its shape; infinite where there is no bound."""
    if isinstance(space, spaces.Box):
        return space.low, space.high
    if isinstance(space, spaces.Discrete):
        return np.zeros((), np.int64), np.array(space.n - 1, np.int64)
    if isinstance(space, spaces.MultiDiscrete):
        return np.zeros(space.nvec.shape, np.int64), space.nvec - 1
    return np.zeros(space.shape, np.int8), np.ones(space.shape, np.int8)


def listed(values: npt.NDArray[Any]) -> list[float | None]:
    """Return bounds for a card: one number if all are equal, null where there is no bound."""
    flat = [float(value) if np.isfinite(value) else None for value in values.ravel()]
    return flat[:1] if len(set(flat)) == 1 else flat


def action_spec(space: Space, notes: Notes | None = None, name: str = ACTION) -> dict[str, Any]:
    """Return the card's entry of an action space; `ValueError` for one that no policy here has."""
    notes = notes or NO_NOTES
    spec: dict[str, Any] = {"name": name, "elements": list(notes.elements), "units": notes.units}
    if isinstance(space, spaces.Box):
        bounds = {key: _each(array) for key, array in (("low", space.low), ("high", space.high))}
        return spec | {"kind": "continuous", "size": int(np.prod(space.shape)), **bounds}
    branches = branches_of(space)
    return spec | {"kind": "discrete", "size": len(branches), "branches": branches}


def branches_of(space: Space) -> list[int]:
    """Return the number of choices of each branch: none for a Box; a MultiBinary has two for each bit."""
    if isinstance(space, spaces.Box):
        return []
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return [int(size) for size in space.nvec]
    if isinstance(space, spaces.MultiBinary) and isinstance(space.n, int):
        return [2] * space.n
    raise ValueError(f"the action space is {space}, expected a Box, Discrete, MultiDiscrete or MultiBinary of one axis")


def action_scales(space: spaces.Box) -> npt.NDArray[np.float32]:
    """Return what errors of each element are measured against: half its range, or 1 where it has no bounds."""
    with np.errstate(over="ignore"):
        half = (space.high.astype(np.float64) - space.low) / 2
    return np.where(np.isfinite(half) & (half > 0), half, 1.0).astype(np.float32).ravel()


def _each(values: npt.NDArray[Any]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values.ravel()]
