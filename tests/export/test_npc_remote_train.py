"""Training in a running engine: it learns, saves and waits when the engine is lost, goes on, evaluates and publishes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from remote_engine import BOX, World, connect, playing
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

from bridge import tensors
from export import checkpoint
from export.npc.remote_env.config import RemoteTrainConfig
from export.npc.remote_env.engines import EngineLostError
from export.npc.remote_env.server import ListenConfig
from export.npc.remote_env.session import Timing
from export.npc.remote_env.train import KIND, RemoteEvaluateConfig, evaluate_run, train_remote
from export.npc.to_onnx import export_policy

LISTEN = ListenConfig(port=0, timing=Timing(heartbeat_seconds=0.5, silence_seconds=600.0, step_seconds=600.0))


class Server:
    """Where a trainer listens, from what it announces."""

    def __init__(self, line: dict[str, str]) -> None:
        self.address, self.web = line["address"], line["web"]


def config(tmp_path: Path, **settings) -> RemoteTrainConfig:
    """Return options of a short run."""
    small = {"steps": 512, "rollout_ticks": 32, "batch": 64, "epochs": 4, "learning_rate": 3e-3, "hidden": (16,)}
    small |= {"runs": tmp_path / "runs", "wait_seconds": 60.0, "evaluate_episodes": 10, "listen": LISTEN}
    return RemoteTrainConfig(**small | settings)


def train(options: RemoteTrainConfig, *plays) -> Path:
    """Train while functions of the server play engines, each in a thread."""
    with ThreadPoolExecutor(max(1, len(plays))) as threads:
        played = []

        def announce(line):
            played.extend(threads.submit(play, Server(line)) for play in plays)

        folder = train_remote(options, announce)
        for each in played:
            each.result(60)
    return folder


def play(world: World, link: str = "stream", **how):
    """Return what plays a world until the trainer closes."""

    def run(server):
        with playing(link, server, world, **how):
            pass

    return run


def test_it_learns_saves_evaluates_and_publishes(tmp_path, capsys):
    folder = train(config(tmp_path, steps=2048), play(World(4)))
    measured = json.loads((folder / "evaluation.json").read_text())
    assert measured["episodes"] == 10
    assert measured["mean_return"] == pytest.approx(measured["mean_length"]), "every action earns 1"
    assert "| trained | 10 |" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir() if "tfevents" not in path.name) == [
        "checkpoint.pt",
        "config.json",
        "evaluation.json",
        "policy.zip",
    ]
    assert "listen" not in json.loads((folder / "config.json").read_text())
    bundle = export_policy(str(folder / "policy.zip"), tmp_path / "models", "tiny")
    card = json.loads((bundle / "card.json").read_text())
    assert [each["name"] for each in card["spec"]["observations"]] == ["observation"]


def test_a_run_goes_on_with_its_weights_and_steps_in_an_engine_with_the_same_spaces(tmp_path):
    folder = train(config(tmp_path, evaluate_episodes=0), play(World(4)))
    first = checkpoint.load(folder / "checkpoint.pt", KIND)
    train(config(tmp_path, evaluate_episodes=0, steps=1024, resume=True), play(World(2)))
    second = checkpoint.load(folder / "checkpoint.pt", KIND)
    assert (first["steps"], second["steps"]) == (512, 1024)
    assert second["updates"] > first["updates"]
    evaluated = RemoteEvaluateConfig(folder, episodes=4, listen=LISTEN, wait_seconds=60.0)
    with ThreadPoolExecutor(1) as thread, pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda line, **_: thread.submit(play(World(2)), Server(json.loads(line))))
        assert evaluate_run(evaluated).episodes == 4


def test_a_run_that_exists_other_options_and_other_spaces_are_refused(tmp_path):
    train(config(tmp_path, evaluate_episodes=0), play(World(4)))
    with pytest.raises(ValueError, match="go on with --resume or choose another --run"):
        train_remote(config(tmp_path))
    with pytest.raises(ValueError, match=r"begun with \{'gamma': 0.99\}, not \{'gamma': 0.5\}"):
        train(config(tmp_path, resume=True, gamma=0.5), play(World(4)))

    class Wider(World):
        @property
        def spec(self):
            spec = super().spec
            spec.actions[0].choices[:] = [3]
            return spec

    refused = []

    def offer(server):
        with playing("grpc", server, Wider(4)) as engine:
            pass
        refused.append(engine.farewell)

    with pytest.raises(EngineLostError):
        train(config(tmp_path, resume=True, steps=1024, wait_seconds=2.0), offer)
    assert refused[0].fields == ["report.spec.actions[0].choices"]


def test_an_engine_that_vanishes_is_waited_for_and_the_training_goes_on_with_another(tmp_path, capsys):
    vanished = World(4)

    def first(server):
        engine = connect("stream", server, vanished)
        engine.play(turns=100)
        engine.link.close()
        play(World(4))(server)

    folder = train(config(tmp_path, steps=1024), first)
    said = capsys.readouterr().err
    assert "engine 0 does not answer: its connection ended; saved" in said
    assert "waiting 60 s for it at 127.0.0.1:" in said
    assert "engine 0 is back" in said
    assert checkpoint.load(folder / "checkpoint.pt", KIND)["steps"] == 1024


def test_what_was_learned_is_saved_when_no_engine_comes_back(tmp_path):
    def vanishing(server):
        engine = connect("stream", server, World(4))
        engine.play(turns=300)
        engine.link.close()

    options = config(tmp_path, steps=100_000, wait_seconds=10.0)
    with pytest.raises(EngineLostError, match="go on with --resume"):
        train(options, vanishing)
    saved = checkpoint.load(options.folder / "checkpoint.pt", KIND)
    assert saved["steps"] > 0
    assert saved["steps"] % 128 == 0
    assert (options.folder / "policy.zip").exists()


def test_rows_with_nan_now_and_then_do_not_end_the_training(tmp_path):
    world = World(4)

    def spoil(report, turn):
        if turn % 10 == 9 and report.rewards:
            seen = world.observe()
            seen[turn % 4] = np.nan
            del report.observations[:]
            report.observations.extend(tensors.from_arrays({"observation": seen}))

    folder = train(config(tmp_path, steps=1024), play(world, change=spoil))
    measured = json.loads((folder / "evaluation.json").read_text())
    assert measured["episodes"] == 10
    assert measured["dropped"] > 0


def test_an_engine_with_masks_is_trained_on_by_maskable_ppo(tmp_path):
    folder = train(config(tmp_path), play(World(4, masked=True)))
    model = MaskablePPO.load(folder / "policy.zip")
    assert model.num_timesteps >= 512
    bundle = export_policy(str(folder / "policy.zip"), tmp_path / "models", "masked")
    assert json.loads((bundle / "card.json").read_text())["spec"]["mask_size"] == 2


class Senses(World):
    """A world whose rows observe a Dict."""

    @property
    def spec(self):
        spec = super().spec
        spec.observations[0].name = "counts"
        spec.observations.add(name="view", kind=BOX, shape=[2, 2])
        return spec

    def _report(self):
        return self.senses(super()._report())

    def step(self, command):
        return self.senses(super().step(command))

    def senses(self, report):
        for named in (report.observations, report.final_observations):
            if len(named) == 1:
                rows = named[0].tensor.shape[0]
                named[0].name = "counts"
                named.extend(tensors.from_arrays({"view": np.ones((rows, 2, 2), np.float32)}))
        return report


def test_an_engine_with_several_senses_is_trained_on_by_a_network_of_all(tmp_path):
    folder = train(config(tmp_path), play(Senses(4)))
    model = PPO.load(folder / "policy.zip")
    assert sorted(model.observation_space.spaces) == ["counts", "view"]
    bundle = export_policy(str(folder / "policy.zip"), tmp_path / "models", "senses")
    names = [each["name"] for each in json.loads((bundle / "card.json").read_text())["spec"]["observations"]]
    assert sorted(names) == ["counts", "view"]


def test_pictures_that_the_network_cannot_take_are_refused_with_what_to_do(tmp_path):
    class Small(World):
        @property
        def spec(self):
            spec = super().spec
            spec.observations[0].shape[:] = [8, 8, 3]
            spec.observations[0].dtype = 5
            return spec

    with pytest.raises(ValueError, match='picture "observation" is 8 x 8, expected at least 36 x 36'):
        train(config(tmp_path), play(Small(4)))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": 0}, "no budget"),
        ({"batch": 1 << 20}, r"batch is 1048576, expected 2 .. 128 \(4 rows x rollout_ticks\)"),
        ({"engines": 0}, "expected at least 1"),
    ],
)
def test_options_that_cannot_be_trained_are_refused(tmp_path, settings, says):
    with pytest.raises(ValueError, match=says):
        train(config(tmp_path, **settings), play(World(4)))
