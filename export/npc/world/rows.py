"""The worlds as rows of agents: actions of a view in, observations out, finished worlds begun anew.

What Gymnasium's vector environment and Stable-Baselines3's share.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from export.npc.layout import Float64
from export.npc.world import actions as views
from export.npc.world.senses import Observation
from export.npc.world.simulation import World
from export.npc.world.spec import WorldConfig, observation_space

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """What a tick gave each of N agents; `observation` is already that of the next episode where one is over.

    `rows` are the agents whose episode is over, `final` their last observations (as many rows), `finals` what they did.
    """

    observation: Observation
    rewards: Float64
    terminated: Bool
    truncated: Bool
    rows: npt.NDArray[np.int64]
    final: Observation
    finals: dict[str, npt.NDArray]


class AgentRows:
    """N = worlds x agents rows, in the order of worlds, then agents."""

    def __init__(self, worlds: int, seed: int, config: WorldConfig, view: str, first_world: int = 0) -> None:
        self.action_space: gym.Space = views.action_space(view)
        self.observation_space = observation_space()
        self.view = view
        self.world = World(worlds, seed, config, first_world=first_world)

    def __len__(self) -> int:
        return self.world.agents

    def masks(self) -> Bool:
        """Return the masks for the view of actions, bool[N, ...]."""
        return views.masks_for(self.view, self.world.action_masks())

    def advance(self, actions: npt.NDArray) -> Float64:
        """Step all worlds under actions [N, ...] of the view, without beginning new episodes; return rewards float64[N]."""
        if len(actions) != len(self):
            raise ValueError(f"there are {len(actions)} actions, expected {len(self)}, one an agent")
        world = self.world
        masks = world.action_masks() if self.view == "box" else np.empty((0, 0), bool)
        speed, turn, act = views.commands(self.view, np.asarray(actions), masks, world.config.top_speed)
        shape = world.xz.shape[:2]
        return world.step(speed.reshape(shape), turn.reshape(shape), act.reshape(shape)).ravel()

    def step(self, actions: npt.NDArray) -> Step:
        """Step all worlds and begin the next episode of those that are over."""
        rewards = self.advance(actions)
        world = self.world
        terminated, truncated = world.over()
        ended = np.flatnonzero(terminated | truncated)
        observation = world.observe()
        agents = world.config.agents
        rows = (ended[:, None] * agents + np.arange(agents)).ravel()
        final: Observation = {}
        finals: dict[str, npt.NDArray] = {}
        if len(ended):
            final = {name: part[rows] for name, part in observation.items()}
            finals = self._finals(rows)
            world.reset(ended)
            observation = world.observe()
        return Step(observation, rewards, np.repeat(terminated, agents), np.repeat(truncated, agents), rows, final, finals)

    def _finals(self, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray]:
        world = self.world
        return {
            "is_success": world.done.ravel()[rows],
            "return": world.returns.ravel()[rows],
            "length": np.repeat(world.tick, world.config.agents)[rows],
            "contact_ticks": world.contacts.ravel()[rows],
            "task": world.layout.task.ravel()[rows],
        }
