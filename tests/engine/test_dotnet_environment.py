"""The C# client on .NET 8 offers CartPole to a trainer: the same steps as Gymnasium's, and a policy trained through it."""

from __future__ import annotations

import concurrent.futures
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cart_poles
import dotnet_program
import numpy as np
import pytest
from tcp_proxy import Proxy

from export.npc.remote_env.config import RemoteTrainConfig
from export.npc.remote_env.engines import EngineLostError, Engines
from export.npc.remote_env.env import RemoteVectorEnv
from export.npc.remote_env.server import EngineServer, ListenConfig
from export.npc.remote_env.session import Timing
from export.npc.remote_env.train import train_remote
from export.npc.to_onnx import export_policy

pytestmark = pytest.mark.usefixtures("dotnet_client")
ROWS = 8
WAIT_SECONDS = 120.0
TRAINING_SECONDS = 280.0
LISTEN = ListenConfig(port=0, timing=Timing(heartbeat_seconds=1.0, silence_seconds=WAIT_SECONDS))


@contextmanager
def offered(folder: Path, link: str, *arguments: str) -> Iterator[RemoteVectorEnv]:
    """CartPole offered by the program over a stream or call by call; the program must end well when the block does."""
    with (
        EngineServer(LISTEN) as server,
        dotnet_program.running("environment", folder, server.address, str(ROWS), link, *arguments) as program,
    ):
        yield RemoteVectorEnv(Engines(server, wait_seconds=WAIT_SECONDS))
        server.close("that is all")
        said = program.reported()
    assert said.get("farewell") == "that is all" or "left" in said, said


@pytest.mark.parametrize("link", ["stream", "unary"])
@pytest.mark.parametrize("balanced", [False, True])
def test_its_cart_poles_are_gymnasiums(tmp_path: Path, link: str, balanced: bool) -> None:
    with offered(tmp_path, link) as remote:
        compared = cart_poles.compare(remote, balanced=balanced, seed=5)
    assert compared.worst <= cart_poles.TOLERANCE
    if balanced:
        assert compared.steps > ROWS * cart_poles.TICKS / 2, "the poles fall too soon to say anything"
    else:
        assert compared.ended == ROWS


def test_an_episode_is_cut_after_500_ticks_and_its_last_observation_is_not_the_next_ones_first(tmp_path: Path) -> None:
    with offered(tmp_path, "stream") as remote:
        observations, _ = remote.reset(seed=3)
        again, _ = remote.reset(seed=3)
        np.testing.assert_array_equal(observations, again)
        for _ in range(500):
            before = observations
            observations, _, terminated, truncated, info = remote.step(cart_poles.balancing(observations))
        assert truncated.any(), "no pole stayed up"
        assert not terminated[truncated].any()
        for row in np.flatnonzero(truncated):
            assert np.abs(observations[row]).max() <= 0.05
            position, velocity, angle, turn = before[row]
            np.testing.assert_allclose(
                info["final_obs"][row][[0, 2]], [position + 0.02 * velocity, angle + 0.02 * turn], atol=1e-5
            )


def test_a_game_that_ends_takes_leave_and_the_trainer_says_what_was_lost(tmp_path: Path) -> None:
    with offered(tmp_path, "stream", "20") as remote:
        remote.reset(seed=1)
        remote.engines.wait_seconds = 3.0

        def play_on() -> None:
            for _ in range(40):
                remote.step(np.zeros(ROWS, np.int64))

        with pytest.raises(EngineLostError, match=r"it left: the game ended it.*within 3 s; start it again"):
            play_on()


@pytest.mark.parametrize("link", ["stream", "unary"])
def test_connections_that_are_cut_now_and_then_lose_no_tick(tmp_path: Path, link: str) -> None:
    with (
        EngineServer(LISTEN) as server,
        Proxy(server.address) as proxy,
        dotnet_program.running("environment", tmp_path, proxy.address, str(ROWS), link) as program,
    ):
        remote = RemoteVectorEnv(Engines(server, wait_seconds=WAIT_SECONDS))

        def cut(tick: int) -> None:
            if tick % 40 == 10:
                proxy.cut()
            elif tick % 40 == 30:
                threading.Timer(0.001, proxy.cut).start()

        compared = cart_poles.compare(remote, balanced=True, seed=7, before_tick=cut)
        server.close("that is all")
        said = program.reported()
    assert compared.worst <= cart_poles.TOLERANCE
    assert (said["farewell"], said["steps"]) == ("that is all", str(cart_poles.TICKS))
    assert proxy.cuts >= 5
    assert int(said["failures"]) >= 5


def test_an_engine_offers_itself_anew_to_a_trainer_that_was_started_anew(tmp_path: Path) -> None:
    with (
        EngineServer(LISTEN) as first,
        EngineServer(LISTEN) as second,
        Proxy(first.address) as proxy,
        dotnet_program.running("environment", tmp_path, proxy.address, str(ROWS), "stream") as program,
    ):
        for server in (first, second):
            proxy.target = server.address
            proxy.cut()
            remote = RemoteVectorEnv(Engines(server, wait_seconds=WAIT_SECONDS))
            remote.reset(seed=1)
            observations = remote.step(np.ones(ROWS, np.int64))[0]
            assert (observations[:, 1] > 0.1).all(), "the carts were pushed to the right"
        second.close("that is all")
        assert program.reported()["farewell"] == "that is all"


def test_a_second_engine_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with EngineServer(ListenConfig(port=0)) as server:
        first = dotnet_program.running("environment", tmp_path / "first", server.address, str(ROWS), "stream")
        with first as program:
            Engines(server, wait_seconds=WAIT_SECONDS)
            said = dotnet_program.run("environment", tmp_path / "second", server.address, str(ROWS), "unary")
            assert said["refused"].startswith(
                "FailedPrecondition||FailedPrecondition: this trainer has its 1 engine; give it more"
            )
            server.close("enough")
            assert program.reported()["farewell"] == "enough"


def test_ppo_learns_to_balance_through_the_csharp_physics(tmp_path: Path) -> None:
    config = RemoteTrainConfig(
        run="cartpole",
        runs=tmp_path / "runs",
        steps=60_000,
        rollout_ticks=32,
        epochs=20,
        learning_rate=1e-3,
        learning_rate_half_life=30_000,
        gamma=0.98,
        gae_lambda=0.8,
        wait_seconds=WAIT_SECONDS,
        listen=ListenConfig(port=0, timing=Timing(silence_seconds=WAIT_SECONDS)),
    )
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        games = []

        def play(address: str) -> dict[str, str]:
            with dotnet_program.running("environment", tmp_path, address, "16", "stream") as program:
                return program.reported(TRAINING_SECONDS)

        folder = train_remote(config, lambda line: games.append(thread.submit(play, line["address"])))
        assert games[0].result()["farewell"] == "the training is over"
    measured = json.loads((folder / "evaluation.json").read_text())
    assert measured["episodes"] == 100
    assert measured["mean_return"] >= 475.0
    bundle = export_policy(str(folder / "policy.zip"), tmp_path / "models", "balancer")
    assert (bundle / "policy.onnx").exists()
