"""What users ask for, when it is fulfilled, and what a tick is worth.

With d the distance between the centres of agent and user, and *facing* a thing meaning that its bearing is within an
angle of the agent's heading:

    guide   speak to the user within 2.2 m (facing 60 degrees): the user follows. Then point at the named landmark within
            3.5 m of it (facing 30 degrees) while the user is within 3 m of it
    bring   pick at the item's stand within 1.8 m of it (facing 60 degrees), then give it to the user within 1.8 m
            (facing 60 degrees). What an agent carries is replaced by the next pick; a wrong gift is lost
    follow  0.9 <= d <= 2.2 m, facing the strolling user within 45 degrees, for 4 s without a break
    keep    3.0 <= d <= 5.0 m, facing the strolling user within 60 degrees, for 4 s without a break
    wait    stand (speed under 0.15 m/s) within 2 m of the landmark for 4 s without a break

The reward of a tick is

    PROGRESS * (remaining before - remaining after) + SUCCESS when fulfilled - TIME - CONTACT * contact
        - ACT * (any act but none) - WRONG_GIFT * (gave what was not asked for) - TURNING * turn_rate^2

where `remaining` is an estimate in metres of the way that is left: potential-based shaping (Ng et al. 1999) without
discount, which leaves the best policy what it is up to the discount. An agent that is done gets 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from export.npc.layout import Float64
from export.npc.world import senses
from export.npc.world.layout import item_of_place
from export.npc.world.spec import ACTS, GIVE, MASK_SIZE, NONE, PICK, POINT, SPEAK, STREAK_TICKS, TASKS

if TYPE_CHECKING:
    from export.npc.world.simulation import World

PROGRESS, SUCCESS, TIME, CONTACT, ACT, WRONG_GIFT, TURNING = 0.3, 5.0, 0.01, 0.1, 0.02, 0.5, 0.002
SPEAK_REACH, PICK_REACH, GIVE_REACH, POINT_REACH, ARRIVED = 2.2, 1.8, 1.8, 3.5, 3.0
FOLLOW_BAND, KEEP_BAND = (0.9, 2.2), (3.0, 5.0)
WAIT_REACH, STILL = 2.0, 0.15
COS_30, COS_45, COS_60 = (float(np.cos(np.deg2rad(angle))) for angle in (30, 45, 60))
_STREAK_METRES = 3.0

GUIDE, BRING, FOLLOW, KEEP, WAIT = range(len(TASKS))
Bool = npt.NDArray[np.bool_]


def user_strolls(world: World) -> Bool:
    """Return which users walk about, bool[W, A]."""
    return (world.layout.task == FOLLOW) | (world.layout.task == KEEP)


def target_xz(world: World) -> Float64:
    """Return where the named place is, float64[W, A, 2]; the user's place where none is named."""
    named = world.layout.target >= 0
    place = np.take_along_axis(world.layout.solid_xz, np.maximum(world.layout.target, 0)[..., None], axis=1)
    return np.where(named[..., None], place, world.user_xz)


def remaining(world: World) -> Float64:
    """Return an estimate of the way that is left, float64[W, A] in metres; 0 when done."""
    task = world.layout.task
    target = target_xz(world)
    to_user, to_target = senses.length(world.user_xz - world.xz), senses.length(target - world.xz)
    between = senses.length(target - world.user_xz)
    leading = between + 0.5 * to_target + 0.5 * np.maximum(0.0, to_user - 2.0)
    guide = np.where(world.engaged, leading, to_user + 1.5 * between)
    bring = np.where(_carries_right(world), to_user, to_target + between)
    unserved = _STREAK_METRES * (1.0 - world.streak / STREAK_TICKS)
    away = 1.0 - _facing(world, world.user_xz)
    follow = np.maximum(0.0, np.abs(to_user - 1.55) - 0.5) + away + unserved
    keep = np.maximum(0.0, np.abs(to_user - 4.0) - 0.8) + away + unserved
    wait = np.maximum(0.0, to_target - 1.6) + unserved
    return np.where(world.done, 0.0, np.choose(task, (guide, bring, follow, keep, wait)))


def judge(world: World, act: npt.NDArray[np.int64], contact: Bool) -> Float64:
    """Apply the acts, update engagement, hands, streaks and success, and return the rewards float64[W, A]."""
    asked = ~world.done
    fulfilled, wrong = _act(world, act)
    world.streak = np.where(_serving(world) & asked, world.streak + 1, 0)
    fulfilled |= world.streak >= STREAK_TICKS
    fulfilled &= asked
    world.done |= fulfilled
    left = remaining(world)
    rewards = PROGRESS * (world.remaining - left) + SUCCESS * fulfilled - TIME - CONTACT * contact
    rewards -= ACT * (act != NONE) + WRONG_GIFT * wrong + TURNING * world.turn_rate**2
    world.remaining = left
    return np.where(asked, rewards, 0.0)


def _act(world: World, act: npt.NDArray[np.int64]) -> tuple[Bool, Bool]:
    """Carry out the acts that are within reach; return which fulfil a request and which give the wrong thing."""
    guide, bring = world.layout.task == GUIDE, world.layout.task == BRING
    target = target_xz(world)
    arrived = senses.length(target - world.user_xz) <= ARRIVED
    pointing = (act == POINT) & (senses.length(target - world.xz) <= POINT_REACH) & (_facing(world, target) >= COS_30)
    fulfilled = guide & world.engaged & arrived & pointing
    world.engaged |= guide & (act == SPEAK) & can_speak(world)
    gives = (act == GIVE) & can_give(world)
    right = gives & bring & _carries_right(world)
    item = item_in_reach(world)
    world.carrying = np.where(gives, -1, np.where((act == PICK) & (item >= 0), item, world.carrying))
    return fulfilled | right, gives & ~right


def _serving(world: World) -> Bool:
    distance = senses.length(world.user_xz - world.xz)
    facing = _facing(world, world.user_xz)
    follow = (distance >= FOLLOW_BAND[0]) & (distance <= FOLLOW_BAND[1]) & (facing >= COS_45)
    keep = (distance >= KEEP_BAND[0]) & (distance <= KEEP_BAND[1]) & (facing >= COS_60)
    near = senses.length(target_xz(world) - world.xz) <= WAIT_REACH
    wait = near & (np.abs(world.speed) < STILL)
    never = np.zeros_like(wait)
    return np.choose(world.layout.task, (never, never, follow, keep, wait))


def _facing(world: World, xz: Float64) -> Float64:
    """Return the cosine of the bearing of places [W, A, 2] from each agent's heading."""
    offset = xz - world.xz
    ahead = senses.in_frame(offset, world.heading)[1]
    distance = senses.length(offset)
    return np.where(distance < 1e-9, 1.0, ahead / np.maximum(distance, 1e-9))


def _carries_right(world: World) -> Bool:
    offered = item_of_place(world.config)
    return (world.carrying >= 0) & (world.carrying == offered[np.maximum(world.layout.target, 0)])


def can_speak(world: World) -> Bool:
    """Return which agents stand before their user, close enough to talk."""
    return (senses.length(world.user_xz - world.xz) <= SPEAK_REACH) & (_facing(world, world.user_xz) >= COS_60)


def can_give(world: World) -> Bool:
    """Return which agents carry something and stand before their user."""
    near = senses.length(world.user_xz - world.xz) <= GIVE_REACH
    return near & (world.carrying >= 0) & (_facing(world, world.user_xz) >= COS_60)


def item_in_reach(world: World) -> npt.NDArray[np.int64]:
    """Return the item (into ITEMS) of the nearest stand that each agent reaches and faces, int64[W, A]; -1 for none."""
    offered = item_of_place(world.config)
    stands = np.flatnonzero(offered >= 0)
    offset = world.layout.solid_xz[:, None, stands] - world.xz[:, :, None]
    distance = senses.length(offset)
    ahead = senses.in_frame(offset, world.heading[..., None])[1] / np.maximum(distance, 1e-9)
    distance = np.where(ahead >= COS_60, distance, np.inf)
    nearest = distance.argmin(axis=2)
    return np.where(distance.min(axis=2) <= PICK_REACH, offered[stands][nearest], -1)


def action_masks(world: World) -> Bool:
    """Return bool[W * A, MASK_SIZE]: every move; none always, an act only where it does something.

    Speaking needs a user to talk to, pointing a landmark or stand within reach, picking another item than the one in
    hand, giving an item in hand and a user to take it.
    """
    masks = np.ones((*world.xz.shape[:2], MASK_SIZE), bool)
    acts = masks[..., -len(ACTS) :]
    places = world.layout.solid_xz[:, : len(world.config.places)]
    near = senses.length(places[:, None] - world.xz[:, :, None]).min(axis=2)
    item = item_in_reach(world)
    acts[..., SPEAK] = can_speak(world)
    acts[..., POINT] = near <= POINT_REACH
    acts[..., PICK] = (item >= 0) & (item != world.carrying)
    acts[..., GIVE] = can_give(world)
    return masks.reshape(world.agents, MASK_SIZE)
