"""Rules of training in several processes: they stay equal to each other and to one process with the whole batch."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import assert_identical, assert_moved_alike, noise_pictures, tiny_config

from export import checkpoint
from export.avatar.parallel import any_process, mean, part_of_batch, rank, total, world
from export.avatar.trainer import Trainer

STEPS = 5
CHANGES: dict[str, Any] = {"batch": 16, "augment": "bgc", "augment_p": 0.3, "augment_kimg": 0.5}
WORKER = f"""
import sys
from pathlib import Path
import torch
from tiny_training import noise_pictures, tiny_config
from export import checkpoint
from export.avatar import parallel
from export.avatar.trainer import Trainer

torch.set_num_threads(1)
folder = Path(sys.argv[1])
with parallel.processes("cpu"):
    trainer = Trainer(tiny_config(folder, **{CHANGES}), noise_pictures(32))
    for _ in range({STEPS}):
        trainer.train_step()
    checkpoint.save(folder / f"rank{{parallel.rank()}}.pt", "avatar", trainer.state())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_processes(count: int, command: list[str]) -> None:
    """What torchrun does: the same command in processes that know their number and where to meet."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    processes = [
        subprocess.Popen(command, env=os.environ | shared | {"PYTHONPATH": paths, "RANK": str(index), "LOCAL_RANK": str(index)})
        for index in range(count)
    ]
    try:
        assert [process.wait(200) for process in processes] == [0] * count
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    run_processes(2, [sys.executable, "-c", WORKER, str(folder)])
    return [checkpoint.load(folder / f"rank{index}.pt", "avatar") for index in range(2)]


def test_two_processes_hold_equal_weights_and_equal_state(states: list[dict[str, Any]]) -> None:
    first, second = states
    for state in states:
        del state["seconds"]
    assert_identical(first, second)


def test_two_processes_take_the_steps_of_one_with_the_whole_batch(tmp_path: Path, states: list[dict[str, Any]]) -> None:
    one = Trainer(tiny_config(tmp_path, **CHANGES), noise_pictures(32))
    start = copy.deepcopy(one.state())
    for _ in range(STEPS):
        one.train_step()
    state, two = one.state(), states[0]
    for part in ("generator", "discriminator"):
        assert_moved_alike(start[part], state[part], two[part])
    assert torch.equal(two["rng"], state["rng"])
    assert two["augmentation"]["p"] == state["augmentation"]["p"] != 0.3
    assert torch.equal(two["augmentation"]["signs"], state["augmentation"]["signs"])
    torch.testing.assert_close(two["path_mean"], state["path_mean"], rtol=1e-3, atol=1e-5)
    assert two["metrics"] == pytest.approx(state["metrics"], rel=0.02, abs=1e-3)


def test_the_command_trains_in_two_processes_and_resumes_in_one(tmp_path: Path) -> None:
    shape = ("--model.channels", "4", "4", "4", "4", "--model.latent-size", "8")
    options = ("--run", "two", "--faces", "16", "--batch", "8", *shape)
    command = [sys.executable, "-m", "export", "avatar", "train", *options, "--runs", str(tmp_path), "--cache", str(tmp_path)]
    run_processes(2, [*command, "--kimg", "0.024"])
    path = tmp_path / "avatar/two/checkpoint.pt"
    assert checkpoint.load(path, "avatar")["step"] == 3
    subprocess.run([*command, "--kimg", "0.04", "--resume"], check=True, timeout=200)
    assert checkpoint.load(path, "avatar")["step"] == 5


@pytest.mark.parametrize(("batch", "parts"), [(8, 1), (8, 2), (32, 4), (6, 2), (5, 5)])
def test_parts_are_disjoint_cover_the_batch_and_keep_the_groups_of_the_deviation(batch: int, parts: int) -> None:
    chosen = [part_of_batch(batch, part, parts) for part in range(parts)]
    assert sorted(torch.cat(chosen).tolist()) == list(range(batch))
    if batch // parts % 4 == 0:
        whole = {frozenset(group) for group in torch.arange(batch).reshape(4, -1).t().tolist()}
        mine = {frozenset(group) for part in chosen for group in part.reshape(4, -1).t().tolist()}
        assert mine == whole


def test_a_process_alone_is_the_first_of_one_and_sums_are_its_own() -> None:
    value = torch.tensor([1.0, 2.0])
    assert (world(), rank()) == (1, 0)
    assert torch.equal(total(value), value)
    assert torch.equal(mean(value), value)
    assert any_process(True, False) == [True, False]
