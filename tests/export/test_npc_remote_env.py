"""A running engine as a vector environment: the same episodes over every protocol, in both libraries' views."""

from __future__ import annotations

import contextlib

import gymnasium as gym
import httpx
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from remote_engine import BOX, DISCRETE, LINKS, Refused, World, box_spec, connect, playing

from bridge.v1 import environment_service_pb2 as pb
from export.npc.remote_env.engines import Engines
from export.npc.remote_env.env import RemoteVectorEnv, action_arrays
from export.npc.remote_env.env import connect as wait_for_engine
from export.npc.remote_env.sb3_env import RemoteVecEnv
from export.npc.remote_env.server import EngineServer, ListenConfig
from export.npc.remote_env.session import Timing
from export.npc.remote_env.spec import read_spec

LISTEN = ListenConfig(port=0, timing=Timing(heartbeat_seconds=0.5, silence_seconds=600.0))
WAIT = 60.0


@contextlib.contextmanager
def offered(link: str, *worlds: World):
    """The engines of worlds, played until the block ends."""
    with EngineServer(LISTEN, len(worlds)) as server, contextlib.ExitStack() as stack:
        players = [stack.enter_context(playing(link, server, world)) for world in worlds]
        yield Engines(server, wait_seconds=WAIT)
        server.close("that is all")
    assert [player.farewell for player in players] == ["that is all"] * len(worlds)


@pytest.mark.parametrize("link", LINKS)
def test_an_engine_is_a_vector_environment_over_every_protocol(link):
    with offered(link, World(3, length=3)) as engines:
        env = RemoteVectorEnv(engines)
        observations, _ = env.reset(seed=40)
        assert observations[:, 0].tolist() == [40, 41, 42]
        assert env.observation_space.contains(observations)
        ends = {}
        for tick in range(1, 6):
            actions = np.full(3, tick % 2)
            observations, rewards, terminated, truncated, info = env.step(actions)
            assert rewards.tolist() == [tick % 2] * 3
            np.testing.assert_array_equal(info["ticks"], observations[:, 1])
            for row in np.flatnonzero(terminated | truncated):
                ends[int(row)] = tick
                assert info["final_obs"][row].tolist() == [40 + row, tick, tick % 2]
                assert observations[row].tolist() == [40 + row, 0, 0]
                assert bool(terminated[row]) == (row == 1)
        assert ends == {0: 3, 1: 4, 2: 5}
        assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_a_reset_may_choose_rows_and_carry_options():
    with offered("stream", World(3)) as engines:
        env = RemoteVectorEnv(engines)
        env.reset(seed=1)
        env.step(np.ones(3, np.int64))
        chosen = np.array([False, True, False])
        observations, _ = env.reset(options={"reset_mask": chosen, "level": np.float32([2.0])})
        assert observations[:, 1].tolist() == [1, 0, 1]


def test_stable_baselines_gets_its_infos_masks_and_returns():
    with offered("stream", World(2, length=3, masked=True)) as engines:
        env = RemoteVecEnv(engines)
        env.seed(7)
        env.reset()
        assert env.action_masks().tolist() == [[True, True], [True, True]]
        for _ in range(3):
            _, rewards, dones, infos = env.step(np.ones(2, np.int64))
            assert rewards.dtype == np.float32
        assert dones.tolist() == [True, False]
        assert infos[0]["TimeLimit.truncated"]
        assert infos[0]["terminal_observation"].tolist() == [7, 3, 1]
        assert infos[0]["episode"] == {"r": 3.0, "l": 3}
        assert env.env_method("action_masks", indices=[1])[0].tolist() == [False, True]
        _, _, dones, infos = env.step(np.zeros(2, np.int64))
        assert dones.tolist() == [False, True]
        assert not infos[1]["TimeLimit.truncated"]
        assert infos[1]["episode"] == {"r": 3.0, "l": 4}


def test_several_engines_are_one_environment_with_the_rows_of_all():
    with offered("stream", World(2, length=3), World(3, length=3)) as engines:
        env = RemoteVectorEnv(engines)
        assert env.num_envs == 5
        observations, _ = env.reset(seed=10)
        assert observations[:, 0].tolist() == [10, 11, 12, 13, 14]
        actions = np.array([0, 1, 0, 1, 1])
        observations, rewards, *_ = env.step(actions)
        assert observations[:, 2].tolist() == rewards.tolist() == actions.tolist()
        for _ in range(2):
            *_, terminated, truncated, info = env.step(actions)
        assert np.flatnonzero(truncated).tolist() == [place.first for place in engines.places]
        assert not terminated.any()
        assert info["final_obs"][0].tolist() == [10, 3, 0]
        assert info["final_obs"][1] is None


def test_a_reset_of_one_engines_rows_leaves_the_others_at_rest():
    with offered("stream", World(1, length=1), World(2, length=2)) as engines:
        env = RemoteVectorEnv(engines)
        env.reset(seed=np.int64(3))
        *_, truncated, info = env.step(np.ones(3, np.int64))
        assert truncated.any()
        assert "final_obs" in info
        first = np.arange(3) < engines.places[1].first
        observations, info = env.reset(seed=50, options={"reset_mask": first})
        assert observations[0].tolist() == [50, 0, 0]
        assert "final_obs" not in info


def test_one_call_waits_serves_and_ends():
    players, original = [], EngineServer.start

    def start(self):  # the ports are known when it has started, and then it waits
        original(self)
        if not players:
            players.append(stack.enter_context(playing("grpc-web", self, World(2))))

    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(EngineServer, "start", start)
        env = wait_for_engine(LISTEN, wait_seconds=WAIT)
        observations, _ = env.reset(seed=5)
        assert observations.shape == (2, 3)
        env.close()
    assert players[0].farewell == "the environment was closed"


def test_actions_that_no_engine_could_do_are_refused_before_they_are_sent():
    spec = pb.EnvironmentSpec(environments=2)
    spec.observations.add(kind=BOX, shape=[1])
    spec.actions.add(name="move", kind=BOX, shape=[2])
    spec.actions.add(name="act", kind=DISCRETE, choices=[3])
    checked = read_spec(spec, 1 << 20)
    good = {"move": np.zeros((2, 2)), "act": np.array([0, 2])}
    arrays = action_arrays(checked, good, 2)
    assert [array.dtype for array in arrays.values()] == [np.float32, np.int64]
    for name, value, says in (
        ("move", np.zeros((2, 3)), "expected \\[2, 2\\]"),
        ("move", np.full((2, 2), np.nan), "diverged"),
        ("act", np.array([0, 3]), "beyond its choices 3"),
    ):
        with pytest.raises(ValueError, match=says):
            action_arrays(checked, good | {name: value}, 2)


def test_a_dict_of_actions_is_for_gymnasium_and_not_for_stable_baselines():
    class Hybrid(World):
        @property
        def spec(self):
            spec = box_spec(self.rows)
            del spec.actions[:]
            spec.actions.add(name="move", kind=BOX, shape=[2])
            spec.actions.add(name="act", kind=DISCRETE, choices=[3])
            return spec

    with offered("stream", Hybrid(2)) as engines:
        space = RemoteVectorEnv(engines).action_space
        assert isinstance(space, gym.spaces.Dict)
        with pytest.raises(ValueError, match="which no trainer of Stable-Baselines3 takes"):
            RemoteVecEnv(engines)


def test_a_stream_from_the_client_is_not_for_the_web_port():
    with EngineServer(ListenConfig(port=0)) as server:
        url = f"{server.web}/bridge.v1.EnvironmentService/OfferEnvironment"
        answer = httpx.post(url, content=b"", headers={"content-type": "application/proto"}, trust_env=False, timeout=60.0)
    assert answer.status_code == 404


def test_a_token_is_asked_for_on_both_ports(tmp_path):
    file = tmp_path / "token"
    file.write_text("a-token-of-some-length")
    with EngineServer(ListenConfig(port=0, token_file=file)) as server:
        for link in LINKS:
            engine = connect(link, server, World())
            with contextlib.closing(engine.link), pytest.raises(Refused) as caught:
                engine.offer()
            assert caught.value.code == "UNAUTHENTICATED"
