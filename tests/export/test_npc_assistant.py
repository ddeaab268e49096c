"""Rules of training in the assistant's world: every learner learns, resumes and is measured; senses can be missing."""

from __future__ import annotations

import dataclasses
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO

from export import checkpoint
from export.npc.assistant.algorithms import build
from export.npc.assistant.config import VIEW_OF, TrainConfig, config_from_json
from export.npc.assistant.default_page import write_page
from export.npc.assistant.evaluation import Baseline, ablations, evaluate, table
from export.npc.assistant.fusion import FusionExtractor
from export.npc.assistant.modalities import MissingSenses, without
from export.npc.assistant.train import train
from export.npc.assistant.trained import CHECKPOINT, KIND, open_player, read_history, write_default
from export.npc.assistant.trainer import AssistantTrainer
from export.npc.train import POLICY_ZIP
from export.npc.world.actions import from_bins
from export.npc.world.sb3_env import AssistantVecEnv
from export.npc.world.scripted import random_policy, scripted
from export.npc.world.simulation import World
from export.npc.world.spec import MODALITIES, WorldConfig, observation_space

ROLLOUT = 4 * 16
SHORT = WorldConfig(seconds=2.0)


def tiny_config(folder: Path, **changes: Any) -> TrainConfig:
    """Episodes of 20 ticks end in the midst of rollouts of 16."""
    config = TrainConfig(
        runs=folder,
        steps=2 * ROLLOUT,
        worlds=4,
        world=SHORT,
        rollout_ticks=16,
        batch=32,
        epochs=2,
        width=8,
        hidden=(16,),
        lstm=8,
        replay=500,
        modality_dropout=0.3,
        evaluate_every=0,
        evaluate_episodes=4,
    )
    return dataclasses.replace(config, **changes)


def final_state(config: TrainConfig) -> dict[str, Any]:
    state = checkpoint.load(config.folder / CHECKPOINT, KIND)
    return {name: state[name] for name in ("policy", "optimiser", "world", "observations", "generators", "steps", "memory")}


def assert_identical(first: Any, second: Any, where: str = "state") -> None:
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_identical(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_identical(*pair, f"{where}[{index}]")
    else:
        assert first == second, where


@pytest.mark.parametrize("algorithm", ["maskable-ppo", "ppo", "recurrent-ppo"])
def test_an_interrupted_and_resumed_run_is_the_uninterrupted_run(tmp_path: Path, algorithm: Any) -> None:
    options = {"algorithm": algorithm, "cloning_steps": 4 * 32, "critic_rollouts": 1, "curriculum": 3 * ROLLOUT}
    whole = tiny_config(tmp_path, run="whole", steps=4 * ROLLOUT, **options)
    train(whole)
    parts = dataclasses.replace(whole, run="parts", steps=2 * ROLLOUT)
    train(parts)
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    train(dataclasses.replace(parts, steps=4 * ROLLOUT, resume=True))
    assert_identical(final_state(whole), final_state(parts))


def test_dqn_learns_and_goes_on_with_an_empty_buffer(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, algorithm="dqn", batch=16, cloning_steps=4 * 40, steps=3 * ROLLOUT)
    train(config)
    before = final_state(config)
    train(dataclasses.replace(config, steps=6 * ROLLOUT, resume=True))
    after = final_state(config)
    assert after["steps"] == 6 * ROLLOUT
    assert not torch.equal(before["policy"]["q_net.q_net.0.weight"], after["policy"]["q_net.q_net.0.weight"])
    assert open_player(config.folder).view == "discrete"


def test_imitation_teaches_what_the_scripted_policy_does(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path, worlds=32, batch=256, width=32, hidden=(64,), cloning_steps=32 * 32 * 6, modality_dropout=0.0
    )
    trainer = AssistantTrainer(config)
    seen: list[dict[str, float]] = []
    trainer.clone(lambda figures, _: bool(seen.append(figures)))
    assert seen[-1]["cloning/agreement"] > 2.0 * seen[0]["cloning/agreement"]
    assert seen[-1]["cloning/loss"] < 0.7 * seen[0]["cloning/loss"]
    weights = {name: tensor.clone() for name, tensor in trainer.weights().items()}
    assert trainer.critic_only()
    trainer.train_rollout()
    changed = {name for name, tensor in trainer.weights().items() if not torch.equal(tensor, weights[name])}
    assert changed
    assert all("value_net" in name for name in changed)


def test_a_run_starts_from_another_and_refuses_other_sizes(tmp_path: Path) -> None:
    first = tiny_config(tmp_path, run="first")
    train(first)
    changed = tiny_config(
        tmp_path, run="second", start_from=first.folder, world=WorldConfig(seconds=2.0, items=("lamp", "map"), top_speed=1.2)
    )
    trainer = AssistantTrainer(changed)
    fresh = {name: tensor.clone() for name, tensor in trainer.weights().items()}
    train(changed)
    best = checkpoint.load(first.folder / "best.pt", KIND)["policy"]
    trainer.start_from(best, [])
    assert_identical(dict(trainer.weights()), dict(best))
    assert not torch.equal(fresh["action_net.weight"], best["action_net.weight"])
    default = write_default(changed.folder, tmp_path / "small.safetensors")
    third = tiny_config(tmp_path, run="fourth", start_from=default, world=changed.world)
    train(third)
    for source, runs in (
        (first.folder, ["first"]),
        (default, ["first", "second"]),
        (third.folder, ["first", "second", "fourth"]),
    ):
        history = read_history(source)
        assert [re.search(r"--run (\w+)", run["command"])[1] for run in history] == runs
        assert all(run["steps"] > 0 and run["hours"] >= 0 for run in history)
    with pytest.raises(ValueError, match=r"weights differ in name or shape .*; use the same --algorithm, --width"):
        train(tiny_config(tmp_path, run="third", start_from=first.folder, width=9))


def test_stable_baselines_reads_the_zip_and_the_default_is_the_best_policy(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    train(config)
    player = open_player(config.folder)
    model = MaskablePPO.load(config.folder / POLICY_ZIP, device="cpu")
    assert_identical(dict(model.policy.state_dict()), dict(player.model.policy.state_dict()))
    written = open_player(write_default(config.folder, tmp_path / "small.safetensors"))
    world = World(6, 3)
    observation, masks = world.observe(), world.action_masks()
    np.testing.assert_array_equal(written.act(observation, masks), player.act(observation, masks))
    assert written.config == dataclasses.replace(player.config, runs=Path("runs"))


def test_a_default_has_a_page_that_says_how_it_was_made_and_measured(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, steps=ROLLOUT)
    train(config)
    page = write_page(write_default(config.folder, tmp_path / "small.safetensors"), episodes=2, seeds=2)
    text = page.read_text("utf-8")
    assert "--width 8 --hidden 16" in text
    assert "--world.seconds 2.0" in text
    assert text.count("| scripted | 4 |") == 1
    assert text.count(" masked | 4 |") == len(MODALITIES)
    assert re.search(rf"^1\. {ROLLOUT} steps in 0\.00 hours: `python -m export npc train", text, re.MULTILINE)
    assert (tmp_path / "small.gif").exists()


def test_options_that_can_not_train_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no budget"):
        train(tiny_config(tmp_path, steps=0))
    with pytest.raises(ValueError, match=r"batch is 400, expected 2 .. 64"):
        train(tiny_config(tmp_path, batch=400))
    with pytest.raises(ValueError, match=r"seconds is -1\.0, expected 0 or more"):
        tiny_config(tmp_path, seconds=-1.0)
    with pytest.raises(ValueError, match=r"without names \['smell'\], expected some of vision, audio"):
        tiny_config(tmp_path, without=("smell",))
    with pytest.raises(checkpoint.CheckpointError, match="train first"):
        train(tiny_config(tmp_path, resume=True))
    with pytest.raises(checkpoint.CheckpointError, match="no checkpoint at"):
        train(tiny_config(tmp_path, start_from=tmp_path / "nothing"))


def test_configurations_survive_json(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, without=("touch",), start_from=tmp_path, world=WorldConfig(agents=2, items=("lamp",)))
    assert config_from_json(config.to_json()) == config


def test_the_curriculum_brings_people_and_obstacles_in(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, curriculum=1000)
    stages = [(config.world_at(steps).people, config.world_at(steps).obstacles) for steps in (0, 499, 500, 999, 1000)]
    assert stages == [(0, 0), (0, 0), (2, 3), (2, 3), (4, 6)]


def test_a_missing_sense_is_missing_for_a_whole_episode_and_the_others_are_untouched() -> None:
    plain, senses = (AssistantVecEnv(16, 5, SHORT) for _ in range(2))
    wrapped = MissingSenses(senses, missing=("touch",), dropout=0.4)
    for environment in (plain, wrapped):
        environment.seed(5)
    full, seen = plain.reset(), wrapped.reset()
    first = wrapped.lacking()
    assert first[:, MODALITIES.index("touch")].all()
    assert 0.2 < first[:, :4][:, [0, 1, 2]].mean() < 0.6
    choose = random_policy(0)
    for tick in range(20):
        lacking = wrapped.lacking()
        assert (lacking == first).all() == (tick < 20)
        for sense, name in enumerate(MODALITIES):
            np.testing.assert_array_equal(seen[name][~lacking[:, sense]], full[name][~lacking[:, sense]])
            assert not seen[name][lacking[:, sense]].any()
        bins = choose(full, plain.action_masks())
        full, seen = plain.step(bins)[0], wrapped.step(bins)[0]
    assert not np.array_equal(wrapped.lacking(), first)


@pytest.mark.parametrize("missing", MODALITIES)
def test_a_missing_sense_changes_features_but_breaks_nothing(missing: str) -> None:
    torch.manual_seed(0)
    extractor = FusionExtractor(observation_space(), width=8, features=16).eval()
    world = World(8, 1)
    world.pressure[:] = 0.5
    observation = world.observe()
    whole = extractor({name: torch.from_numpy(part) for name, part in observation.items()})
    hidden = extractor({name: torch.from_numpy(part) for name, part in without(observation, (missing,)).items()})
    assert torch.isfinite(hidden).all()
    assert not torch.allclose(whole, hidden)


def test_what_is_said_chooses_a_place_of_the_map(tmp_path: Path) -> None:
    extractor = FusionExtractor(observation_space(), width=8, features=16).eval()
    places = torch.zeros(1, 10, 3)
    places[0, 4] = torch.tensor([1.0, 0.5, 0.0])
    attended, known = extractor._attend(torch.randn(1, 16), places)
    assert attended[0, :2].tolist() == pytest.approx([2.0, 0.0], abs=1e-4)
    assert attended[0, 5].item() == pytest.approx(1.0, abs=1e-4)
    assert known.item() == 1.0
    assert extractor._attend(torch.randn(1, 16), torch.zeros(1, 10, 3))[1].item() == 0.0


def test_evaluation_ranks_the_baselines_and_masks_senses() -> None:
    config = WorldConfig(tasks=("follow",), people=0, obstacles=0, seconds=15.0)
    players = {"scripted": Baseline(lambda _: scripted), "random": Baseline(random_policy)}
    measured = {name: evaluate(player, config, episodes=8, seeds=3) for name, player in players.items()}
    assert measured["scripted"].success_low > measured["random"].success_high
    assert measured["scripted"].episodes == 24
    assert measured["scripted"].return_spread > 0.0
    assert set(measured["scripted"].by_task) == {"follow"}
    deaf = evaluate(players["scripted"], config, episodes=8, seeds=3, missing=("language",))
    assert deaf.success < measured["scripted"].success
    assert table(measured).count("\n") == 3
    assert list(ablations(players["scripted"], config, episodes=1, seeds=2)) == [
        "all senses",
        *(f"{name} masked" for name in MODALITIES),
    ]


def test_every_algorithm_trains_on_its_view(tmp_path: Path) -> None:
    for algorithm, view in VIEW_OF.items():
        config = tiny_config(tmp_path, algorithm=algorithm)
        environment = AssistantVecEnv(4, 1, SHORT, action_view=view)
        model = build(config, MissingSenses(environment))
        assert model.action_space == environment.action_space
        assert len(from_bins(view, np.array([[1, 3, 0]] * 4))) == 4
