"""The gate that matters: episodes through the running sidecar are those of Python, for every kind of action and observation.

Policies are trained for a moment on well-known tasks. What Python observed is replayed through the sidecar and must give the
same actions; and played freely, discrete tasks must give equal returns, continuous ones equal means within the 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import minigrid
import numpy as np
import pytest
from conftest import run_sidecar
from gymnasium import spaces
from gymnasium.wrappers import FilterObservation
from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from bridge.client import Client, Group
from bridge.v1 import npc_service_pb2 as pb
from export.npc.sb3_graph.publish import export_sb3

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.timeout(1800),
]
STEPS = 200
assert minigrid.__version__


class Locks(gym.Env[Any, Any]):
    """Two dials are to be turned to what is asked for; a position of each is stuck at each step, now and then the right one."""

    observation_space = spaces.Dict(wanted=spaces.MultiDiscrete([3, 4]), hints=spaces.MultiBinary(3))
    action_space = spaces.MultiDiscrete([3, 4])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 20
        return self._draw(), {}

    def _draw(self) -> Any:
        self.wanted = self.np_random.integers([3, 4])
        self.stuck = self.np_random.integers([3, 4])
        return {"wanted": self.wanted, "hints": self.np_random.integers(0, 2, 3).astype(np.int8)}

    def action_masks(self) -> np.ndarray:
        """Forbid the positions that are stuck."""
        return np.concatenate([np.arange(size) != stuck for size, stuck in zip((3, 4), self.stuck, strict=True)])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert (action != self.stuck).all()
        reward = float((action == self.wanted).sum())
        self.left -= 1
        return self._draw(), reward, self.left == 0, False, {}


@dataclass(frozen=True)
class Task:
    """A task, an algorithm that learns it for `train` steps, and how many episodes are played."""

    make: Callable[[], gym.Env[Any, Any]]
    learn: Callable[[Any], Any]
    train: int = 500
    episodes: int = 10
    normalised: bool = False


def ppo(policy: str, **settings: Any) -> Callable[[Any], Any]:
    return lambda env: PPO(policy, env, seed=1, n_steps=250, batch_size=50, n_epochs=4, device="cpu", **settings)


TASKS = {
    "cartpole": Task(lambda: gym.make("CartPole-v1"), ppo("MlpPolicy"), train=1000),
    "pendulum": Task(
        lambda: gym.make("Pendulum-v1"),
        lambda env: SAC("MlpPolicy", env, seed=1, learning_starts=100, device="cpu", policy_kwargs={"net_arch": [32, 32]}),
        train=250,
        episodes=100,
    ),
    "pendulum-normalised": Task(lambda: gym.make("Pendulum-v1"), ppo("MlpPolicy"), episodes=100, normalised=True),
    "lander": Task(
        lambda: gym.make("LunarLander-v3"),
        lambda env: DQN("MlpPolicy", env, seed=1, learning_starts=100, device="cpu"),
    ),
    "maze": Task(lambda: ImgObsWrapper(gym.make("MiniGrid-Empty-5x5-v0")), ppo("MlpPolicy")),
    "maze-with-compass": Task(
        lambda: FilterObservation(
            RGBImgPartialObsWrapper(gym.make("MiniGrid-Empty-5x5-v0"), tile_size=6), ["image", "direction"]
        ),
        ppo("MultiInputPolicy", policy_kwargs={"features_extractor_kwargs": {"cnn_output_dim": 32}}),
        train=250,
        episodes=6,
    ),
    "masked": Task(
        Locks,
        lambda env: MaskablePPO("MultiInputPolicy", env, seed=1, n_steps=250, batch_size=50, device="cpu"),
    ),
    "recurrent": Task(
        lambda: gym.make("CartPole-v1"),
        lambda env: RecurrentPPO(
            "MlpLstmPolicy", env, seed=1, n_steps=250, batch_size=50, device="cpu", policy_kwargs={"lstm_hidden_size": 16}
        ),
    ),
}


@dataclass
class Player:
    """A trained policy, its normaliser, and the sidecar that serves it."""

    name: str
    task: Task
    model: Any
    normaliser: VecNormalize | None
    client: Client

    def python(self) -> Callable[[list[int], Any, list[bool], Any], np.ndarray]:
        """Return a chooser that asks Stable-Baselines3, with the state of each agent."""
        memory: dict[int, tuple[np.ndarray, ...]] = {}

        def choose(agents: list[int], observed: Any, starts: list[bool], masks: Any) -> np.ndarray:
            if self.normaliser is not None:
                observed = self.normaliser.normalize_obs(observed)
            if self.name != "recurrent":
                extra = {} if masks is None else {"action_masks": masks}
                return self.model.predict(observed, deterministic=True, **extra)[0]
            shape = self.model.policy.lstm_hidden_state_shape
            zeros = tuple(np.zeros((shape[0], shape[2]), np.float32) for _ in range(2))
            states = tuple(np.stack([memory.get(agent, zeros)[part] for agent in agents], axis=1) for part in range(2))
            action, after = self.model.predict(observed, states, np.array(starts), deterministic=True)
            for row, agent in enumerate(agents):
                memory[agent] = (after[0][:, row], after[1][:, row])
            return action

        return choose

    def sidecar(self, session: str) -> Callable[[list[int], Any, list[bool], Any], np.ndarray]:
        """Return a chooser that asks the sidecar with raw observations."""
        space = self.model.action_space

        def choose(agents: list[int], observed: Any, starts: list[bool], masks: Any) -> np.ndarray:
            named = observed if isinstance(observed, dict) else {"observation": observed}
            group = Group(self.name, agents, named, episode_starts=starts, action_mask=masks)
            (answer,) = self.client.choose_actions([group], session=session)
            assert set(answer.statuses) == {pb.AGENT_STATUS_OK}
            action = answer.actions["action"]
            return action[:, 0] if isinstance(space, spaces.Discrete) else action

        return choose


@dataclass
class Played:
    """What came of as many episodes: their returns, and what was chosen at each step."""

    returns: np.ndarray
    steps: list[tuple[list[int], Any, list[bool], Any, np.ndarray]]


def play(task: Task, choose: Callable[[list[int], Any, list[bool], Any], np.ndarray]) -> Played:
    """Play one episode in each of the task's worlds at the same time; an agent whose episode is over is asked no more."""
    worlds = [task.make() for _ in range(task.episodes)]
    seen = {agent: world.reset(seed=agent)[0] for agent, world in enumerate(worlds)}
    returns, steps = np.zeros(task.episodes), []
    for step in range(STEPS):
        agents = list(seen)
        observed = stack([seen[agent] for agent in agents])
        maskable = hasattr(worlds[0].unwrapped, "action_masks")
        masks = np.stack([worlds[agent].unwrapped.action_masks() for agent in agents]) if maskable else None
        starts = [step == 0] * len(agents)
        actions = choose(agents, observed, starts, masks)
        steps.append((agents, observed, starts, masks, actions))
        for agent, action in zip(agents, actions, strict=True):
            seen[agent], reward, terminated, truncated, _ = worlds[agent].step(action)
            returns[agent] += reward
            if terminated or truncated:
                del seen[agent]
        if not seen:
            break
    return Played(returns, steps)


def stack(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {name: np.stack([observed[name] for observed in observations]) for name in observations[0]}
    return np.stack(observations)


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory):
    """All policies, trained, published and served."""
    models: Path = tmp_path_factory.mktemp("episodes") / "models"
    trained = {}
    for name, task in TASKS.items():
        env: Any = DummyVecEnv([task.make])
        normaliser = VecNormalize(env, norm_reward=False) if task.normalised else None
        model = task.learn(normaliser or env)
        model.learn(task.train)
        if normaliser:
            normaliser.training = False
        zipped = models.parent / f"{name}.zip"
        model.save(zipped)
        export_sb3(zipped, models, name, normalizer=normaliser)
        trained[name] = (task, model, normaliser)
    with run_sidecar(models) as live, Client(live.address) as client:
        yield {name: Player(name, *parts, client) for name, parts in trained.items()}


@pytest.fixture(scope="module", params=TASKS)
def player(request: pytest.FixtureRequest, players: dict[str, Player]) -> Player:
    """Each policy."""
    return players[request.param]


@pytest.fixture(scope="module")
def of_python(player: Player) -> Played:
    """The episodes of Python."""
    return play(player.task, player.python())


def test_for_what_python_observed_the_sidecar_chooses_what_python_chose(player: Player, of_python: Played) -> None:
    choose = player.sidecar("replay")
    space = player.model.action_space
    for agents, observed, starts, masks, expected in of_python.steps:
        actions = choose(agents, observed, starts, masks)
        if isinstance(space, spaces.Box):
            np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-4 * float((space.high - space.low).max()) / 2)
        else:
            np.testing.assert_array_equal(actions, expected)
    player.client.end_session("replay")


def test_episodes_played_through_the_sidecar_are_those_of_python(player: Player, of_python: Played) -> None:
    played = play(player.task, player.sidecar("free"))
    player.client.end_session("free")
    if isinstance(player.model.action_space, spaces.Box):
        spread = of_python.returns.std(ddof=1) / math.sqrt(len(of_python.returns))
        assert spread > 0
        assert abs(played.returns.mean() - of_python.returns.mean()) <= 1.96 * spread
    else:
        np.testing.assert_array_equal(played.returns, of_python.returns)
    assert len(of_python.steps) > 1
