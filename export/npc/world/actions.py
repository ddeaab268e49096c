"""Three views of an agent's action, each with its Gymnasium space and its way to (speed, turn, act).

`multi_discrete` is what the world is made for: a speed bin, a turn bin and an act, with a mask. `box` is for algorithms with
continuous actions: speed, turn, then a preference for each act; the preferred one that is possible is done. `discrete` is
for DQN: every move without an act, then every act standing still.
"""

from __future__ import annotations

from typing import Literal, get_args

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from export.npc.layout import Float64
from export.npc.world.spec import ACTS, SPEED_BINS, TURN_BINS

View = Literal["multi_discrete", "box", "discrete"]
VIEWS: tuple[str, ...] = get_args(View)
BRANCHES = (len(SPEED_BINS), len(TURN_BINS), len(ACTS))
_MOVES = len(SPEED_BINS) * len(TURN_BINS)
_STAND, _STRAIGHT = int(np.flatnonzero(SPEED_BINS == 0.0)[0]), int(np.flatnonzero(TURN_BINS == 0.0)[0])
DISCRETE_SIZE = _MOVES + len(ACTS) - 1
Commands = tuple[Float64, Float64, npt.NDArray[np.int64]]


def action_space(view: str) -> gym.Space:
    """Return the space of one agent's action; `ValueError` for an unknown view."""
    if view == "multi_discrete":
        return gym.spaces.MultiDiscrete(BRANCHES)
    if view == "box":
        return gym.spaces.Box(-1.0, 1.0, (2 + len(ACTS),), np.float32)
    if view == "discrete":
        return gym.spaces.Discrete(DISCRETE_SIZE)
    raise ValueError(f'the action view is "{view}", expected one of {", ".join(VIEWS)}')


def commands(view: str, actions: npt.NDArray, masks: npt.NDArray[np.bool_], top_speed: float) -> Commands:
    """Return speed (m/s), turn (rad/s) and act, [N] each, for actions [N, ...] of a view.

    Masks bool[N, MASK_SIZE] only matter to `box`. `ValueError` for a value outside its space or not finite.
    """
    if view == "multi_discrete":
        bins = _whole(actions, BRANCHES, view)
        return SPEED_BINS[bins[:, 0]] * top_speed, TURN_BINS[bins[:, 1]], bins[:, 2]
    if view == "discrete":
        bins = split_discrete(_whole(actions.reshape(-1, 1), (DISCRETE_SIZE,), view)[:, 0])
        return SPEED_BINS[bins[:, 0]] * top_speed, TURN_BINS[bins[:, 1]], bins[:, 2]
    values = np.asarray(actions, np.float64).reshape(-1, 2 + len(ACTS))
    if not np.isfinite(values).all():
        raise ValueError("a box action is not finite, expected values of -1 .. 1")
    values = np.clip(values, -1.0, 1.0)
    speed = np.where(values[:, 0] < 0.0, -SPEED_BINS[0], SPEED_BINS[-1]) * values[:, 0] * top_speed
    act = np.where(masks[:, -len(ACTS) :], values[:, 2:], -np.inf).argmax(axis=1)
    return speed, TURN_BINS[-1] * values[:, 1], act


def _whole(actions: npt.NDArray, sizes: tuple[int, ...], view: str) -> npt.NDArray[np.int64]:
    bins = np.asarray(actions)
    if bins.ndim != 2 or bins.shape[1] != len(sizes):
        raise ValueError(f"{view} actions have shape {bins.shape}, expected [N, {len(sizes)}]")
    if bins.dtype.kind not in "iu" or (bins < 0).any() or (bins >= sizes).any():
        raise ValueError(f"a {view} action is outside its branches {list(sizes)}: {bins.min()} .. {bins.max()} ({bins.dtype})")
    return bins.astype(np.int64)


def split_discrete(actions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return discrete actions [N] as bins int64[N, 3]."""
    moves = actions < _MOVES
    speed = np.where(moves, actions // len(TURN_BINS), _STAND)
    turn = np.where(moves, actions % len(TURN_BINS), _STRAIGHT)
    return np.stack((speed, turn, np.where(moves, 0, actions - _MOVES + 1)), axis=1)


def join_discrete(bins: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the discrete actions [N] nearest to bins int64[N, 3]: an act comes before a move."""
    return np.where(bins[:, 2] > 0, _MOVES + bins[:, 2] - 1, bins[:, 0] * len(TURN_BINS) + bins[:, 1])


def from_bins(view: str, bins: npt.NDArray[np.int64]) -> npt.NDArray:
    """Return bins int64[N, 3] as actions of a view: the same moves for all, where the view has them."""
    if view == "multi_discrete":
        return bins
    if view == "discrete":
        return join_discrete(bins)
    actions = np.full((len(bins), 2 + len(ACTS)), -1.0, np.float32)
    speed = SPEED_BINS[bins[:, 0]]
    actions[:, 0] = np.where(speed < 0.0, speed / -SPEED_BINS[0], speed)
    actions[:, 1] = TURN_BINS[bins[:, 1]] / TURN_BINS[-1]
    actions[np.arange(len(bins)), 2 + bins[:, 2]] = 1.0
    return actions


def masks_for(view: str, masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the masks bool[N, MASK_SIZE] for a view: as they are, or over the discrete actions; `box` has none."""
    if view == "discrete":
        return np.concatenate((np.ones((len(masks), _MOVES), bool), masks[:, -len(ACTS) + 1 :]), axis=1)
    return masks
