"""Measures policies on episodes that training never saw: return, success rate with its interval, contact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from export.npc.baselines import Policy
from export.npc.env import EPISODE_TICKS, Plaza

EVALUATION_SEED = 1_000_003
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Evaluation:
    """What a policy did in `episodes` episodes of 25 s, one in each of as many worlds."""

    episodes: int
    mean_return: float
    """Mean sum of rewards."""
    success_rate: float
    """Share of episodes in which the user was served 5 s without a break."""
    success_low: float
    """Lower end of the success rate's 95 % interval (Wilson 1927)."""
    success_high: float
    """Upper end of that interval."""
    serving_share: float
    """Share of all ticks in which the NPC served."""
    contact_share: float
    """Share of ticks with contact."""


def evaluate(policy: Policy, episodes: int, seed: int = EVALUATION_SEED) -> Evaluation:
    """Play the first episode of `episodes` worlds; `policy` maps raw observations to actions in engine units."""
    plaza = Plaza(episodes, seed)
    returns, serving = np.zeros(episodes), 0
    for _ in range(EPISODE_TICKS):
        returns += plaza.step(policy(plaza.observe()))
        serving += int((plaza.streak > 0).sum())
    low, high = wilson_interval(int(plaza.served.sum()), episodes)
    ticks = episodes * EPISODE_TICKS
    return Evaluation(
        episodes=episodes,
        mean_return=float(returns.mean()),
        success_rate=float(plaza.served.mean()),
        success_low=low,
        success_high=high,
        serving_share=serving / ticks,
        contact_share=float(plaza.contacts.sum()) / ticks,
    )


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval of a share; `ValueError` without trials."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials, expected 0 .. trials of at least one trial")
    share = successes / trials
    middle = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def table(evaluations: dict[str, Evaluation]) -> str:
    """Return the evaluations as a Markdown table, one row a policy."""
    rows = ["| policy | episodes | return | served | 95 % interval | ticks serving | ticks in contact |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, measured in evaluations.items():
        interval = f"{measured.success_low:.1%} to {measured.success_high:.1%}"
        shares = f"{measured.serving_share:.1%} | {measured.contact_share:.2%}"
        served = f"{measured.success_rate:.1%}"
        rows.append(f"| {name} | {measured.episodes} | {measured.mean_return:.1f} | {served} | {interval} | {shares} |")
    return "\n".join(rows)
