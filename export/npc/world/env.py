"""The assistant's world in Gymnasium's two forms: one environment, and many that step in one call."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from export.npc.world.actions import action_space
from export.npc.world.language import sentences
from export.npc.world.rows import AgentRows
from export.npc.world.senses import Observation
from export.npc.world.spec import DT, WorldConfig, observation_space

FPS = round(1 / DT)


class AssistantEnv(gym.Env[Observation, Any]):
    """One world with one agent. `world` chooses which of the seed's worlds it is.

    `reset(seed=s)` begins the first episode of seed s, `reset()` the next one. Infos have `action_mask` and
    `contact_ticks`; the last one of an episode `is_success`, and that of `reset` `request`, what the user says.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(
        self,
        config: WorldConfig | None = None,
        action_view: str = "multi_discrete",
        render_mode: str | None = None,
        world: int = 0,
        image_size: int = 384,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f'render_mode is "{render_mode}", expected None or "rgb_array"')
        self.config = config or WorldConfig()
        if self.config.agents != 1:
            raise ValueError(f"the world has {self.config.agents} agents, expected 1; the vector environment takes more")
        self.render_mode, self.image_size = render_mode, image_size
        self.action_view, self._first_world = action_view, world
        self._rows: AgentRows | None = None
        self.observation_space = observation_space()
        self.action_space = action_space(action_view)

    @property
    def rows(self) -> AgentRows:
        """The world behind this environment; `RuntimeError` before the first reset."""
        if self._rows is None:
            raise RuntimeError("the environment was stepped or drawn before its first reset(); call reset() first")
        return self._rows

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode and return its first observation."""
        super().reset(seed=seed)
        if self._rows is None or seed is not None:
            drawn = int(self.np_random.integers(1 << 63)) if seed is None else seed
            self._rows = AgentRows(1, drawn, self.config, self.action_view, self._first_world)
        else:
            self._rows.world.reset(np.array([0]))
        request = sentences()[int(self.rows.world.layout.sentence[0, 0])].text
        return self._observation(), {"request": request, "action_mask": self.action_masks()}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance one tick."""
        reward = self.rows.advance(np.asarray(action)[None])
        world = self.rows.world
        terminated, truncated = (bool(over[0]) for over in world.over())
        info: dict[str, Any] = {"action_mask": self.action_masks(), "contact_ticks": int(world.contacts[0, 0])}
        if terminated or truncated:
            info["is_success"] = bool(world.done[0, 0])
        return self._observation(), float(reward[0]), terminated, truncated, info

    def _observation(self) -> Observation:
        return {name: part[0] for name, part in self.rows.world.observe().items()}

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return what the agent may do now, as MaskablePPO asks for it."""
        return self.rows.masks()[0]

    def render(self) -> Any:
        """Return the world seen from above, uint8[image_size, image_size, 3]."""
        from export.npc.world.draw import draw_world

        return draw_world(self.rows.world, 0, size=self.image_size)


class AssistantVectorEnv(gym.vector.VectorEnv[Observation, Any, npt.NDArray[Any]]):
    """W worlds with A agents as W x A environments; finished worlds begin anew in the same step (SAME_STEP).

    Infos have `action_mask`; where episodes are over also `final_obs`, `is_success`, `episode` (`r`, `l`) and `task`, each
    with its `_` mask, as Gymnasium writes them.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["rgb_array"],
        "render_fps": FPS,
        "autoreset_mode": gym.vector.AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 64,
        config: WorldConfig | None = None,
        action_view: str = "multi_discrete",
        seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        config = config or WorldConfig()
        if num_envs < 1 or num_envs % config.agents:
            raise ValueError(f"num_envs is {num_envs}, expected a multiple of the {config.agents} agents of a world")
        self.rows = AgentRows(num_envs // config.agents, seed, config, action_view)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space, self.single_action_space = self.rows.observation_space, self.rows.action_space
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._fresh = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in every world: the first of `seed`, or the next one."""
        world = self.rows.world
        if seed is not None:
            world.restart(seed)
        elif not self._fresh:
            world.reset(np.arange(len(world)))
        self._fresh = False
        return world.observe(), {"action_mask": self.rows.masks()}

    def step(self, actions: Any) -> tuple[Observation, Any, Any, Any, dict[str, Any]]:
        """Advance all worlds one tick."""
        after = self.rows.step(np.asarray(actions))
        infos: dict[str, Any] = {"action_mask": self.rows.masks()}
        if len(after.rows):
            infos |= self._endings(after.rows, after.final, after.finals)
        return after.observation, after.rewards, after.terminated, after.truncated, infos

    def _endings(self, rows: npt.NDArray[np.int64], final: Observation, finals: dict[str, Any]) -> dict[str, Any]:
        ended = np.zeros(self.num_envs, bool)
        ended[rows] = True
        observations = np.full(self.num_envs, None, object)
        for place, row in enumerate(rows):
            observations[row] = {name: part[place] for name, part in final.items()}
        spread = {name: np.zeros(self.num_envs, values.dtype) for name, values in finals.items()}
        for name, values in finals.items():
            spread[name][rows] = values
        infos = {"final_obs": observations, "is_success": spread["is_success"], "task": spread["task"]}
        infos["episode"] = {"r": spread["return"], "l": spread["length"]}
        return infos | {f"_{name}": ended for name in infos}

    def render(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """Return one picture of every world."""
        from export.npc.world.draw import draw_world

        return tuple(draw_world(self.rows.world, world) for world in range(len(self.rows.world)))


def register() -> None:
    """Make `gymnasium.make("Metabridge/Assistant-v0")` and `make_vec` know the world."""
    if "Metabridge/Assistant-v0" not in gym.registry:
        where = "export.npc.world.env"
        gym.register("Metabridge/Assistant-v0", f"{where}:AssistantEnv", vector_entry_point=f"{where}:AssistantVectorEnv")
